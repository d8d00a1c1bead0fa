"""The models of conf/, by whether they learn."""

from inpaintlab.config import CONF

MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


CLASSICAL = ("biharmonic", "mean_colour", "navier_stokes", "telea")


LEARNING = tuple(name for name in MODELS if name not in CLASSICAL)
