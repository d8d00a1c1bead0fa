"""What stands beside the package for people and for GitHub: parsed, held to the package, and linted."""

import fnmatch
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from inpaintlab import __version__

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
LOCK = tomllib.loads((REPOSITORY / "uv.lock").read_text())
FORMS = sorted(path for path in (REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
HADOLINT = Path(sys.executable).with_name("hadolint")


class Strict(yaml.SafeLoader):
    """A loader of plain data that refuses a key that stands twice."""


def once(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    found = loader.construct_pairs(node, deep=True)
    assert len(dict(found)) == len(found), f"a key stands twice: {[key for key, _ in found]}"
    return dict(found)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, once)


def read(path: str) -> Any:
    return yaml.load((REPOSITORY / path).read_text(encoding="utf-8"), Strict)


def targets() -> set[str]:
    """The targets of the Makefile that people call."""
    return set(re.findall(r"^([a-z-]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def called(text: str) -> set[str]:
    return set(re.findall(r"^[\s-]*(?:run: )?make ([a-z-]+)", text, re.MULTILINE))


def not_there(wanted: set[str]) -> set[str]:
    """Targets that the Makefile lacks; that of the documentation comes with its settings."""
    return wanted - targets() - (set() if (REPOSITORY / "mkdocs.yml").exists() else {"docs"})


# ------------------------------------------------------------------------------------------------------------ workflow


WORKFLOW = read(".github/workflows/ci.yml")
STEPS = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_the_workflow_tests_every_python_that_the_package_takes() -> None:
    low, high = (int(part) for part in re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"]).groups())  # type: ignore[union-attr]
    assert WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"] == [f"3.{minor}" for minor in range(low, high)]
    others = {step["with"]["python-version"] for step in STEPS if "setup-python" in step.get("uses", "")}
    assert others - {"${{ matrix.python }}"} <= set(WORKFLOW["jobs"]["test"]["strategy"]["matrix"]["python"])


def test_the_workflow_calls_targets_that_there_are() -> None:
    wanted = {target for step in STEPS for target in called(step.get("run", ""))}
    assert wanted == {"test", "test-perceptual", "lint", "docs"}
    assert not not_there(wanted)


def test_the_workflow_may_read_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not [name for name, job in WORKFLOW["jobs"].items() if "permissions" in job]
    checkouts = [step for step in STEPS if "checkout" in step.get("uses", "")]
    assert len(checkouts) == len(WORKFLOW["jobs"])
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert "pull_request_target" not in WORKFLOW[True]  # YAML 1.1 reads the key "on" as true
    assert "secrets." not in (REPOSITORY / ".github/workflows/ci.yml").read_text()


def test_actions_are_githubs_own_at_one_version_each() -> None:
    used = {step["uses"] for step in STEPS if "uses" in step}
    assert all(re.fullmatch(r"actions/[a-z-]+@(v\d+|[0-9a-f]{40})", name) for name in used), used
    assert len({name.partition("@")[0] for name in used}) == len(used)


def test_what_a_stranger_names_reaches_no_shell() -> None:
    for step in STEPS:
        assert "${{" not in step.get("run", ""), step


def test_every_job_ends_and_a_newer_push_ends_it_earlier() -> None:
    assert all(job["timeout-minutes"] <= 90 for job in WORKFLOW["jobs"].values())
    assert "github.ref" in WORKFLOW["concurrency"]["group"]


# --------------------------------------------------------------------------------------------------------------- forms


ATTRIBUTES = {
    "markdown": ({"value"}, set()),
    "textarea": ({"label"}, {"description", "placeholder", "value", "render"}),
    "input": ({"label"}, {"description", "placeholder", "value"}),
    "dropdown": ({"label", "options"}, {"description", "multiple", "default"}),
    "checkboxes": ({"label", "options"}, {"description"}),
}
"""What GitHub's syntax for issue forms asks of each kind, and what it takes besides."""


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one_that_github_takes(path: Path) -> None:
    form = read(str(path.relative_to(REPOSITORY)))
    assert form.keys() == {"name", "description", "labels", "body"}
    assert all(isinstance(text, str) and text for text in (form["name"], form["description"], *form["labels"]))
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(set(ids)) == len(ids)
    labels = [part["attributes"]["label"] for part in form["body"] if part["type"] != "markdown"]
    assert len(set(labels)) == len(labels) > 0
    for part in form["body"]:
        needed, taken = ATTRIBUTES[part["type"]]
        assert needed <= part["attributes"].keys() <= needed | taken
        assert part.keys() <= {"type", "id", "attributes", "validations"}
        for option in part["attributes"].get("options", []):
            assert isinstance(option, dict) == (part["type"] == "checkboxes")


def test_there_are_forms_for_what_people_come_with() -> None:
    assert {path.stem for path in FORMS} == {"bug", "question", "method"}
    assert read(".github/ISSUE_TEMPLATE/config.yml") == {"blank_issues_enabled": False}
    assert (REPOSITORY / ".github/pull_request_template.md").is_file()


# ------------------------------------------------------------------------------------------------------------ citation


CITATION = read("CITATION.cff")


def test_the_citation_is_of_this_version() -> None:
    assert CITATION["version"] == __version__
    dates = re.findall(
        rf"^## \[{re.escape(__version__)}\] - (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert dates == [CITATION["date-released"]]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["abstract"] == f"{PROJECT['description']}."


def test_the_citation_has_what_its_format_asks_for() -> None:
    """Of the schema 1.2.0 of the Citation File Format: the keys that have to be there, and their types."""
    assert CITATION["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= CITATION.keys()
    assert isinstance(CITATION["date-released"], str), "a date without quotes is none that the schema takes as text"
    for entry in (CITATION, *CITATION["references"]):
        assert entry["type"] in ("software", "article")
        assert entry["title"]
        for author in entry["authors"]:
            assert author.keys() in ({"name"}, {"family-names", "given-names"})


def test_the_citation_names_both_papers() -> None:
    first, second = CITATION["references"]
    assert (first["doi"], first["year"]) == ("10.1145/3072959.3073659", 2017)
    assert second["identifiers"][0]["value"] == "arXiv:1901.00212"
    assert second["authors"][0]["family-names"] == "Nazeri"


# ---------------------------------------------------------------------------------------------------------- pre-commit


def test_the_hooks_are_the_programs_of_the_virtual_environment() -> None:
    (repo,) = read(".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    for hook in repo["hooks"]:
        assert hook["language"] == "system"
        program = hook["entry"].split()[0]
        assert program.startswith(".venv/bin/")
        assert any(
            re.match(rf"{Path(program).name}(-bin)?\b", entry) for entry in PROJECT["optional-dependencies"]["dev"]
        )
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert lint is not None
    hooks = {" ".join(hook["entry"].split()[:2]).removeprefix(".venv/bin/") for hook in repo["hooks"]}
    linted = {" ".join(line.split()[:2]).removeprefix("$(BIN)/") for line in lint[1].splitlines()}
    assert hooks == {"ruff check", "ruff format", "mypy", "hadolint"}
    assert {"hadolint" if line == "hadolint Dockerfile" else line for line in linted} == hooks


# --------------------------------------------------------------------------------------------------------------- image


DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed")
def test_the_dockerfile_is_what_hadolint_asks_for() -> None:
    done = subprocess.run([HADOLINT, "--no-color", "Dockerfile"], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed")
def test_hadolint_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.replace("torch==${TORCH}", "torch"))
    done = subprocess.run([HADOLINT, "--no-color", tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "DL3013" in done.stdout


def test_the_image_takes_the_versions_of_the_lock() -> None:
    locked = {package["name"]: package.get("version") for package in LOCK["package"]}
    assert re.search(r"^ARG TORCH=(\S+)$", DOCKERFILE, re.MULTILINE)[1] == locked["torch"]  # type: ignore[index]
    assert f"hatchling=={locked['hatchling']}" in DOCKERFILE
    low, high = (int(part) for part in re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    minor = int(re.search(r"^ARG PYTHON=3\.(\d+)$", DOCKERFILE, re.MULTILINE)[1])  # type: ignore[index]
    assert low <= minor < high
    extras = re.search(r'^ARG EXTRAS="([^"]*)"$', DOCKERFILE, re.MULTILINE)[1].split()  # type: ignore[index]
    assert set(extras) <= PROJECT["optional-dependencies"].keys()


def test_the_image_runs_the_command_as_nobody_special() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 1000$", last, re.MULTILINE)
    assert 'ENTRYPOINT ["inpaintlab"]' in last
    # --user gives a user without a folder of their own
    assert re.search(r"^ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib$", last, re.MULTILINE)
    assert not re.search(r"(?i)token|password|secret", DOCKERFILE.replace("its token", ""))


def test_only_public_hosts_are_named() -> None:
    names = ["Dockerfile", ".github/workflows/ci.yml", "CITATION.cff", "CONTRIBUTING.md", ".pre-commit-config.yaml"]
    hosts = {host for name in names for host in re.findall(r"https?://([^/\s\"']+)", (REPOSITORY / name).read_text())}
    assert hosts <= {"download.pytorch.org", "pypi.org"}


def test_the_builder_gets_what_the_wheel_is_built_of_and_nothing_else() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    kept = {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    hatch = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {path.split("/")[0] for path in [*hatch["packages"], *hatch["force-include"]]}
    needed |= {PROJECT["readme"], *PROJECT["license-files"], "pyproject.toml", "uv.lock"}
    assert kept == needed
    assert all((REPOSITORY / name).exists() for name in kept)
    ignored = [pattern for pattern in patterns[1:] if not pattern.startswith("!")]
    assert any(fnmatch.fnmatch("src/inpaintlab/__pycache__", pattern) for pattern in ignored)


# -------------------------------------------------------------------------------------------------------- contributing


def test_what_contributors_are_told_to_type_and_read_is_there() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text()
    wanted = called(text)
    assert {"setup", "test", "lint", "docs", "bench"} <= wanted
    assert not not_there(wanted)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (REPOSITORY / link).exists(), link
    for path in re.findall(r"`((?:src|tests|docs|\.github)/[^`]*)`", text):
        assert (REPOSITORY / path.replace("NAME.py", "glcic.py")).exists(), path
    assert len(text.splitlines()) <= 80, "one page"
