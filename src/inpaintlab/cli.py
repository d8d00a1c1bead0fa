"""The command ``inpaintlab <verb> ...``. A verb's module is imported only when the verb has work to do."""

import atexit
import gc
import os
import re
import runpy
import sys
import traceback

from inpaintlab import __version__
from inpaintlab.machine import INTERRUPTED

VERBS = {
    "train": "train a model; the same command again resumes where it stopped",
    "evaluate": "score one method on one manifest and write its result folder",
    "complete": "fill the holes of your own photographs",
    "serve": "a local page: paint holes, edit edges, complete with several methods, compare them",
    "export": "one file of ONNX (or torch.export) that completes images in other programs",
    "compare": "tables and a report: inpaintlab compare RESULTS... or compare study=FILE.yaml",
    "manifest": "frozen test sets: inpaintlab manifest create | show | verify | split | leaks | import",
    "sweep": "how the jobs of inpaintlab train -m stand: inpaintlab sweep status DIR | export wandb",
    "runs": "a line a run: inpaintlab runs [FOLDER]; or how some of them differ: inpaintlab runs compare RUN RUN",
    "weights": "what others have published: inpaintlab weights list | fetch NAME | import FILE...",
    "shard": "pack a folder of pictures into tar files, for disks and URLs that hold millions",
    "figures": "the figures of the papers: inpaintlab figures NAME, from results or a checkpoint",
    "bench": "how fast one core prepares training samples: inpaintlab bench data",
    "doctor": "list every file of a data set that would spoil a run",
}

HELP = f"""inpaintlab {__version__}: train, sweep and compare image-inpainting models

usage: inpaintlab VERB [KEY=VALUE ...]

{chr(10).join(f"  {verb:<10} {line}" for verb, line in VERBS.items())}

Settings are Hydra overrides: inpaintlab train model=edgeconnect data=folder data.root=photos
'inpaintlab VERB --help' lists a verb's choices and settings with what they mean, '--cfg job' the resolved ones.
eval "$(inpaintlab -sc install=bash)" lets the tab key complete verbs, choices and settings (also zsh, fish).
"""


def main() -> None:
    """Run one verb as ``python -m inpaintlab.verbs.VERB`` would.

    The module runs as ``__main__`` with its own spec, so that Lightning's relaunch of a process per device finds
    ``python -m inpaintlab.verbs.train ...`` again instead of this dispatcher without its verb.
    """
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    # Python looks for cycles in all that torch has loaded before it ends, for a second; then none is left to be found
    atexit.register(gc.freeze)
    if at := next((at for at, word in enumerate(sys.argv) if word in ("-sc", "--shell-completion")), 0):
        from inpaintlab.commandline import answer_shell  # Hydra: not for the list of verbs
        from inpaintlab.config import CONF

        answer_shell(CONF, sys.argv[at + 1 :], list(VERBS))
    elif verb in ("-h", "--help", "help"):
        print(HELP, end="")
    elif verb in ("-V", "--version"):
        print(__version__)
    elif verb in VERBS:
        del sys.argv[1]
        # a process for a device, a method or a job begins as `python -m`, which would import what lies in this folder
        os.environ["PYTHONSAFEPATH"] = "1"
        try:
            if not _answered(verb):
                runpy.run_module(f"inpaintlab.verbs.{verb}", run_name="__main__", alter_sys=True)
        except BrokenPipeError:  # whoever read the output has seen enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would complain at its end
            raise SystemExit(1) from None
        except KeyboardInterrupt:  # while it is imported, or in a command that has nothing to save
            raise SystemExit(INTERRUPTED) from None
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            if not _raised_by("torchvision", error):
                raise
            print(f"inpaintlab {verb}: {_other_torchvision(error)}", file=sys.stderr)
            raise SystemExit(1) from None
    else:
        from inpaintlab.recipes import nearest  # OmegaConf: not for help

        message = f"there is no verb '{verb}'.{nearest(verb, VERBS)}"
        print(f"inpaintlab: {message} Verbs: {', '.join(VERBS)}.", file=sys.stderr)
        raise SystemExit(2)


def _answered(verb: str) -> bool:
    """Answer a question such as ``--help`` from the verb's settings alone; False if the arguments ask for work."""
    if verb == "weights":  # takes names and files, no settings
        return False
    from inpaintlab.config import answer, asks  # Hydra: not for the list of verbs

    if not asks(sys.argv[1:]):
        return False
    answer(verb, sys.argv[1:])
    return True


def _raised_by(package: str, error: BaseException) -> bool:
    """Whether an error comes out of a package's own code, or out of what that called."""
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] == package for frame in frames)


def _other_torchvision(error: BaseException) -> str:
    """What to do about a torchvision that cannot be loaded. Lightning and torchmetrics load it where there is one."""
    from importlib.metadata import requires, version  # not for help

    torch, torchvision = version("torch"), version("torchvision")
    bounds = (re.match(r"torch\s*\(?(==[\w.+]+)", entry) for entry in requires("torchvision") or ())
    wants = next((f"torch{bound[1]}" for bound in bounds if bound), "another torch or for one")
    minor = re.match(r"2\.(\d+)", torch)
    fits = f"; beside torch 2.{minor[1]} belongs torchvision 0.{int(minor[1]) + 15}" if minor else ""
    reason = " ".join(str(error).split())[:200]
    return (
        f"torchvision {torchvision} cannot be loaded beside torch {torch} ({reason}). It is made for {wants} of the "
        f"same build, CPU or CUDA{fits}. Install the two together from one place, "
        'pip install --force-reinstall "inpaintlab[perceptual]", or leave torchvision out, pip uninstall torchvision: '
        "the metrics of the extra perceptual alone need it."
    )
