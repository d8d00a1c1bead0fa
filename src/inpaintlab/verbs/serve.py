"""The command ``inpaintlab serve``: a local page to complete photographs and to compare methods."""

import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from inpaintlab.commandline import read
from inpaintlab.config import command
from inpaintlab.machine import shown
from inpaintlab.published import require_packages

if TYPE_CHECKING:
    from inpaintlab.web import Offered

_STARTERS = ("starter-edgeconnect", "starter-glcic")
"""Served with `_CLASSICAL` where no method is named: one that draws edges, one without, and one without a network."""

_CLASSICAL = "telea"

_SHORTEST_TOKEN = 12
"""Characters of a token that a user chooses, so that nobody finds it by trying."""


@command("serve")
def serve(cfg: DictConfig) -> None:
    """Listen, load the methods, and answer until a signal comes."""
    require_packages("inpaintlab serve", ("fastapi", "uvicorn"), extra="web")
    from inpaintlab.web import Door, Limits, Log, Server, Study, address, listening_socket, read_contender, run

    token = _token(cfg)
    keep = Path(cfg.keep) if cfg.keep else None
    if keep is not None and keep.exists() and not keep.is_dir():
        raise ValueError(f"keep={shown(keep)} is a file; give a folder.")
    if cfg.study and keep is None:
        raise ValueError("A study logs its choices: give keep=DIR, a folder for choices.csv.")
    if cfg.study and (cfg.checkpoint or cfg.models):
        raise ValueError("A study shows results that are there; leave out checkpoint= and model=, or study=.")
    with listening_socket(
        cfg.host, cfg.port
    ) as listener:  # before anything is loaded: a port that is taken is told now
        port = listener.getsockname()[1]
        study = None
        if cfg.study and keep is not None:
            study = Study([read_contender(Path(path)) for path in cfg.study], Log(keep / "choices.csv"), cfg.seed)
        methods = {} if study else _methods(cfg)
        device = next((one.model.device.type for one in methods.values()), "cpu")
        server = Server(
            methods,
            Door(cfg.host, port, token, cfg.most_bytes),
            Limits(cfg.most_pixels, cfg.most_bytes, cfg.minutes),
            keep=keep,
            study=study,
            device=device,
            report=lambda line: print(f"inpaintlab serve: {line}", file=sys.stderr, flush=True),
        )
        url = address(cfg.host, port, token)

        def ready() -> None:
            offered = f"{len(study.sizes)} cases of a study" if study else ", ".join(methods)
            print(f"inpaintlab serves {offered} at\n  {url}\nCtrl-C ends it.", flush=True)
            if cfg.open:
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()

        run(server.asgi, listener, ready, server.close)


def _token(cfg: DictConfig) -> str | None:
    """What visitors must show.

    Raises:
        ValueError: the user's own is too short, or cannot stand in an address.
    """
    from inpaintlab.web import is_loopback, new_token

    if cfg.token is None:
        return None if is_loopback(cfg.host) else new_token()
    token = str(cfg.token)
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.replace("-", "").replace("_", "").isalnum():
        raise ValueError(
            f"token must have at least {_SHORTEST_TOKEN} letters, digits, - and _; leave it out for a random one."
        )
    return token


def _methods(cfg: DictConfig) -> "dict[str, Offered]":
    """The methods by their labels, on their device.

    Raises:
        ValueError: one cannot be had, or cannot be served.
    """
    from inpaintlab.programs import load, method
    from inpaintlab.web import Offered

    checkpoints, models = list(cfg.checkpoint), list(cfg.models)
    if not checkpoints and not models:
        checkpoints, models = list(_STARTERS), [_CLASSICAL]
    methods: dict[str, Offered] = {}
    trust = list(cfg.trust)
    named = [load(str(what), fit="resize", trust=trust) for what in checkpoints]
    for one in [*named, *(method(str(name), fit="resize", trust=trust) for name in models)]:
        label, number = one.label, 1
        while label in methods:  # two runs of one name in two folders
            number += 1
            label = f"{one.label} ({number})"
        methods[label] = Offered(label, one.inpainter, one.precision, cfg.memory, cfg.window)
        methods[label].require_servable()
    return methods


def main() -> None:
    """Entry of ``inpaintlab serve [checkpoint=A checkpoint=B ...] KEY=VALUE ...``."""
    _, sys.argv[1:] = read("serve", sys.argv[1:])
    serve()


if __name__ == "__main__":
    main()
