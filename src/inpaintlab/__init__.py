"""inpaintlab: train, sweep and compare image-inpainting models."""

TYPE_CHECKING = False  # as type checkers take it: importing typing takes longer than all else here

if TYPE_CHECKING:
    from inpaintlab.programs import Comparison, Edges, Evaluation, Method, compare, evaluate, freeze, load, method

__version__ = "0.8.0"

__all__ = [
    "Comparison",
    "Edges",
    "Evaluation",
    "Method",
    "__version__",
    "compare",
    "evaluate",
    "freeze",
    "load",
    "method",
]

if not TYPE_CHECKING:  # or they would take every name for one of ours

    def __getattr__(name: str) -> object:
        """What programs call, imported when it is first asked for: torch takes seconds, the command's help none."""
        if name.startswith("_") or name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from inpaintlab import programs

        return globals().setdefault(name, getattr(programs, name))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
