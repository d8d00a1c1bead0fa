"""What several test files share: one thread, models from the YAML that users build from, and a watched training."""

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jaxtyping
import jaxtyping._import_hook
import pytest

from stand_ins.signatures import Loader, checked

if TYPE_CHECKING:
    from stand_ins.building import Builder, Composer

jaxtyping.jaxtyped = checked
jaxtyping._import_hook._JaxtypingLoader = Loader

# What takes seconds is imported where it is used: with several workers this file is read by one more process, which
# runs no test and which they wait for.


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold long tests, so that none of these is left to one worker at the end."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)


def pytest_collection_finish() -> None:
    """Keep what 6,000 collected tests and their imports hold out of each later collection of garbage, of 0.3 s."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """As many threads as there are workers for a core."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def settings_files_are_read_once() -> Iterator[None]:
    """Nobody changes ``conf/`` while tests run, but hundreds of them compose."""
    from stand_ins.read_once import read_once

    with pytest.MonkeyPatch.context() as patch:
        read_once(patch)
        yield


@pytest.fixture(scope="session")
def composed() -> "Composer":
    """``composed("model=glcic", ...)``: the whole configuration of a training."""
    from stand_ins.building import compose_train

    return compose_train


@pytest.fixture(scope="session")
def built() -> "Builder":
    """``built("glcic", "model.learning_rate=1e-3", ...)``: a small model, the same weights each time."""
    from stand_ins.building import build_model

    return build_model


@pytest.fixture(scope="session", autouse=True)
def end_the_server() -> Iterator[None]:
    """What forks processes for the tests ends with them, where one of them started it."""
    from stand_ins.commands import server

    yield
    if server.cache_info().currsize:
        server().close()
