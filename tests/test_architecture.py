"""Who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import inpaintlab

PACKAGE = Path(inpaintlab.__file__).parent
COMMANDS = {"train", "evaluate", "complete", "compare", "manifest", "doctor", "shard", "bench", "weights", "cli"}
ALLOWED = {
    "schedule": set(),
    "layers": set(),
    "losses": {"layers", "published.catalogue", "published.download"},
    "published.catalogue": set(),
    "published.download": {"published.catalogue"},
    "metrics": {"results"},
    "gray_metrics": {"metrics", "edges"},
    "edge_metrics": {"metrics", "edges"},
    "edges": {"edges_on_cpu"},
    "edges_on_cpu": set(),
    "recipes": set(),
    "arguments": {"recipes"},
    "config": {"arguments"},
    "pictures": set(),
    "inpainter": {"schedule", "blending"},
    "blending": set(),
    "published.torch7": set(),
    "masks": {"catmull_rom", "mask_settings"},
    "catmull_rom": set(),
    "mask_settings": set(),
    "mask_files": {"masks"},
    "order": {"masks"},
    "sources": {"masks", "order", "pictures"},
    "holes": {"masks", "mask_files"},
    "testset": {"holes", "masks", "pictures", "recipes", "results"},
    "pairs": {"holes", "mask_files", "masks", "pictures", "sources", "testset"},
    "leaks": {"holes", "mask_files", "sources", "testset"},
    "statistics": {"results", "bootstrap", "paired_tests"},
    "resampling": set(),
    "bootstrap": {"resampling"},
    "paired_tests": {"bootstrap", "resampling"},
    "results": set(),
    "extra": set(),
    "features": {"extra", "pictures", "provenance", "testset"},
    "set_metrics": {"extra", "features", "resampling", "results"},
    "perceptual": {"extra", "metrics", "provenance"},
    "scoring": {"blending", "features", "metrics", "results", "testset"},
    "report.published": set(),
    "crops": {"masks", "pictures", "sources"},
    "storage": set(),
    "signals": set(),
    "shard_lists": {"sources"},
    "shard_recipe": {"pictures"},
    "shards": {"order", "pictures", "shard_lists", "sources", "storage"},
    "data": {"masks", "crops", "order", "sources", "pictures", "signals"},
}
ALLOWED_TO_MODELS = {"recipes", "inpainter", "schedule", "losses", "layers", "edges"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"}


def imports(module: str) -> set[str]:
    """The modules of this package that ``module`` imports anywhere in its code."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively in line {node.lineno}"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in inside if name.removeprefix("inpaintlab.") in MODULES} or {str(node.module)}
    ours = {name.removeprefix("inpaintlab.") for name in found if name.startswith("inpaintlab.")}
    return ours - {"shapes"}  # names for annotations, which anyone may use


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_a_command(module: str) -> None:
    assert not imports(module) & COMMANDS


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("models.")])
def test_models_import_neither_data_nor_each_other(module: str) -> None:
    assert imports(module) <= ALLOWED_TO_MODELS


@pytest.mark.parametrize("module", ALLOWED)
def test_the_lower_layers_import_only_what_lies_below(module: str) -> None:
    assert imports(module) <= ALLOWED[module]


def test_only_what_hydra_calls_reads_hydras_global_state() -> None:
    """A command, the decorator around it, and what a launcher runs; they hand down what others need."""
    state = ("hydra.core.hydra_config", "hydra.core.global_hydra")
    reading = {module for module, path in MODULES.items() if any(name in path.read_text() for name in state)}
    assert reading <= COMMANDS | {"config", "jobs"}


def test_no_module_imports_in_a_circle() -> None:
    edges = {module: imports(module) & MODULES.keys() for module in MODULES}
    while edges:
        free = {module for module, needed in edges.items() if not needed & edges.keys()}
        assert free, f"these modules import each other in a circle: {sorted(edges)}"
        edges = {module: needed for module, needed in edges.items() if module not in free}


@pytest.mark.parametrize("module", ["cli", "__init__"])
def test_help_answers_without_loading_torch(module: str) -> None:
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    named = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in named} <= sys.stdlib_module_names | {"inpaintlab"}
    code = f"import sys, inpaintlab.{module}; print(*sys.modules)" if module != "__init__" else "import sys, inpaintlab"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "lightning", "hydra", "wandb"} & set(loaded)


def test_the_package_is_at_most_two_folders_deep() -> None:
    assert all(len(path.relative_to(PACKAGE).parts) <= 2 for path in MODULES.values())
