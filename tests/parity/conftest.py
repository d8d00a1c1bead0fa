"""What all recordings have: a seed, and the numbers recorded of it (see ``seeded_weights.py``)."""

from typing import Any

import pytest
import seeded_weights


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what takes a ``seed`` with each of the module's SEEDS, or of its RECORDINGS."""
    if "seed" in metafunc.fixturenames:
        seeds = getattr(metafunc.module, "SEEDS", metafunc.module.RECORDINGS)
        metafunc.parametrize("seed", seeds, ids=lambda seed: f"seed{seed}", scope="module")


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest, seed: int) -> dict[str, Any]:
    """The numbers of the module's system."""
    return seeded_weights.recorded(request.module.RECORDINGS[seed])
