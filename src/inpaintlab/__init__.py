"""inpaintlab: train, sweep and compare image-inpainting models."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inpaintlab.programs import Edges, Method, load, method

__version__ = "0.7.0"

__all__ = ["Edges", "Method", "__version__", "load", "method"]


def __getattr__(name: str) -> Any:
    """What programs call, imported when it is first asked for: torch takes seconds, the command line's help none."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from inpaintlab import programs

    return globals().setdefault(name, getattr(programs, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
