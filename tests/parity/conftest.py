"""What all recordings have: a seed, and the numbers recorded of it (see ``seeded_weights.py``)."""

import os
from typing import Any

import pytest
import seeded_weights


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes a ``seed`` with each of the module's RECORDINGS.

    Networks of full width take seconds to make: a second seed waits for ``make test-slow``, or further recordings.
    """
    if "seed" in metafunc.fixturenames:
        later = [] if "INPAINTLAB_PARITY" in os.environ else [pytest.mark.endurance]
        seeds = [pytest.param(seed, marks=later if seed > 1 else []) for seed in metafunc.module.RECORDINGS]
        metafunc.parametrize("seed", seeds, ids=lambda seed: f"seed{seed}", scope="module")


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest, seed: int) -> dict[str, Any]:
    """The numbers of the module's system."""
    return seeded_weights.recorded(request.module.RECORDINGS[seed])
