"""What several test files share: one thread, models from the YAML that users build from, and a watched training."""

from collections.abc import Iterator

import pytest
import torch

from stand_ins.building import Builder, Composer, build_model, compose_train
from stand_ins.commands import server

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def composed() -> Composer:
    """``composed("model=glcic", ...)``: the whole configuration of a training."""
    return compose_train


@pytest.fixture(scope="session")
def built() -> Builder:
    """``built("glcic", "model.learning_rate=1e-3", ...)``: a small model, the same weights each time."""
    return build_model


@pytest.fixture(scope="session", autouse=True)
def end_the_server() -> Iterator[None]:
    """What forks processes for the tests ends with them, where one of them started it."""
    yield
    if server.cache_info().currsize:
        server().close()
