"""What turns text into objects, settings or code is named here, with the reason why no stranger's file reaches it.

A file's content comes in by ``machine.read_json``, ``machine.read_yaml`` or ``torch.load(weights_only=True)``; what it
describes is made by ``recipes.built``, and Hydra composes it only after ``recipes.require_settings``.
"""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import inpaintlab

SOURCES = Path(inpaintlab.__file__).parents[1]

POWERFUL = {
    *("hydra.utils.instantiate", "hydra.utils.call", "hydra.utils.get_class", "hydra.utils.get_method"),
    *("hydra.utils.get_object", "hydra.utils.get_static_method", "hydra._internal.utils._locate"),
    *("hydra.compose", "hydra.main", "hydra.experimental.compose"),
    *(f"omegaconf.OmegaConf.{name}" for name in ("create", "load", "merge", "unsafe_merge", "structured", "update")),
    *(f"omegaconf.OmegaConf.{name}" for name in ("from_dotlist", "from_cli", "resolve", "to_object", "to_container")),
    *("omegaconf.DictConfig", "omegaconf.ListConfig"),
    *(f"yaml.{name}" for name in ("load", "load_all", "full_load", "unsafe_load", "safe_load", "safe_load_all")),
    *("yaml.compose", "yaml.Loader", "yaml.UnsafeLoader", "yaml.FullLoader"),
    *("json.load", "json.loads", "json.JSONDecoder"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "numpy.load", "cloudpickle.loads", "joblib.load"),
    *("importlib.import_module", "pkgutil.resolve_name", "runpy.run_path", "runpy.run_module"),
    *("eval", "exec", "compile", "__import__"),
}
"""Names that read, resolve, import, build or run what a text says."""

MODULES = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle")

OWN = "of the user's own settings, as Hydra composed them"
ALLOWED = {
    ("hydra.main", "inpaintlab/config.py"): "the command line",
    ("hydra.compose", "inpaintlab/programs/composing.py"): "a program's arguments, after require_settings",
    ("hydra.compose", "inpaintlab/commandline/help.py"): "conf/ and the command line, for --help",
    ("hydra.compose", "inpaintlab/verbs/sweep.py"): "the command line",
    ("hydra.compose", "inpaintlab/commandline/mistakes.py"): "the choices of the command line, to name what is near",
    ("compile", "inpaintlab/settings/schema.py"): "the name of a setting",
    ("pkgutil.resolve_name", "inpaintlab/settings/recipe.py"): OWN + "; to hold them against their classes",
    ("hydra.compose", "inpaintlab/importers/checkpoint.py"): "a preset of ours, by a name of ours",
    ("hydra.compose", "inpaintlab/evaluation/study.py"): "after require_settings, require_literal and require_choices",
    ("hydra.utils.instantiate", "inpaintlab/verbs/bench.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/verbs/doctor.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/evaluation/plan.py"): OWN + ", or as a study chose them",
    ("hydra.utils.instantiate", "inpaintlab/inpainting/checkpoints.py"): OWN + ", or our presets; not in rebuild",
    ("hydra.utils.instantiate", "inpaintlab/verbs/manifest.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/report/tracked.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/settings/rules.py"): OWN + ", once their recipes are checked",
    ("hydra.utils.instantiate", "inpaintlab/verbs/shard.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/training/callbacks.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/tracking/chosen.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/training/chosen.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/training/fit.py"): OWN,
    ("hydra.utils.instantiate", "inpaintlab/training/trainer.py"): OWN,
    ("hydra.utils.instantiate", "hydra_plugins/inpaintlab_sweeper.py"): OWN,
    ("omegaconf.OmegaConf.to_container", "inpaintlab/commandline/help.py"): "conf/ and the command line, for --help",
    ("omegaconf.OmegaConf.to_container", "inpaintlab/recipes.py"): "plain: settings that Hydra composed",
    ("omegaconf.OmegaConf.to_container", "inpaintlab/trust.py"): "settings that Hydra composed, not resolved",
    ("yaml.load", "inpaintlab/commandline/help.py"): "conf/, by a safe loader",
    ("yaml.load", "inpaintlab/machine/yaml_files.py"): "read_yaml, by a loader of plain data",
    ("yaml.compose", "inpaintlab/commandline/comments.py"): "conf/",
    ("yaml.safe_load", "inpaintlab/comparison/papers.py"): "tables of the package",
    ("json.loads", "inpaintlab/machine/json_files.py"): "parse_json",
    ("json.loads", "inpaintlab/evaluation/plan.py"): "what json.dumps has just made",
    ("torch.load", "inpaintlab/readers/pickles.py"): "weights_only",
    ("torch.load", "inpaintlab/inpainting/checkpoints.py"): "weights_only",
    ("torch.load", "inpaintlab/losses/vgg.py"): "weights_only",
    ("torch.load", "inpaintlab/published/weight_files.py"): "weights_only",
    ("numpy.load", "inpaintlab/evaluation/photographs.py"): "allow_pickle=False",
    ("runpy.run_module", "inpaintlab/cli.py"): "a verb of ours",
    ("importlib.import_module", "inpaintlab/recipes.py"): "a wing of ours or torch.optim",
    ("importlib.import_module", "inpaintlab/trust.py"): "a module of a package that the command line trusts",
}


def used(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every name that code refers to, in full, as its imports make it."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            known |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    annotations = {
        id(inner)
        for node in ast.walk(tree)
        for note in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if note is not None
        for inner in ast.walk(note)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in annotations:
            first, *rest = ast.unparse(node).split(".")
            yield ".".join([known.get(first, first), *rest]), node


def powerful(tree: ast.AST) -> set[str]:
    names = {name for name, _ in used(tree)} - {"pickle.UnpicklingError"}
    return {name for name in names if name in POWERFUL or (name.partition(".")[0] in MODULES and "." in name)}


@functools.cache
def found() -> set[tuple[str, str]]:
    files = [
        path for path in SOURCES.rglob("*.py") if path.relative_to(SOURCES).parts[0] in ("inpaintlab", "hydra_plugins")
    ]
    return {
        (name, path.relative_to(SOURCES).as_posix())
        for path in files
        for name in powerful(ast.parse(path.read_text(encoding="utf-8")))
    }


def test_nothing_else_reads_resolves_builds_or_runs_what_a_text_says() -> None:
    assert found() - ALLOWED.keys() == set()


def test_no_reason_is_left_that_nothing_needs() -> None:
    assert ALLOWED.keys() - found() == set()


@pytest.mark.parametrize(("call", "safe"), [("torch.load", "weights_only=True"), ("numpy.load", "allow_pickle=False")])
def test_what_could_unpickle_is_told_not_to(call: str, safe: str) -> None:
    for path in (SOURCES / "inpaintlab").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        places = {id(node) for name, node in used(tree) if name == call}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and id(node.func) in places:
                assert safe in [ast.unparse(keyword) for keyword in node.keywords], f"{path}:{node.lineno}"


@pytest.mark.parametrize(
    "code",
    [
        "from hydra.utils import instantiate as make\nmake({})",
        "import hydra\nmake = hydra.utils.instantiate",
        "import omegaconf as o\no.OmegaConf.create('a')",
        "import pickle as p\np.loads(b'')",
        "from json import loads\nmap(loads, [])",
        "eval('1')",
    ],
)
def test_the_search_finds_what_goes_by_another_name(code: str) -> None:
    assert powerful(ast.parse(code))
