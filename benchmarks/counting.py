"""What a step consists of: its operators, and the graphs that torch's compiler made of it."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

_ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "lift_fresh"}


class Operators(TorchDispatchMode):
    """Counts the operators of torch that compute something: no views, no allocations.

    On a GPU most of them are one launch or a few, so that where Python is what a step waits for, their number is what
    it waits for. An optimizer's foreach operator counts once for all tensors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        views = any(given.alias_info and not given.alias_info.is_write for given in func._schema.returns)
        if not views and name not in _ALLOCATIONS:
            self.calls[name] += 1
        return func(*args, **(kwargs or {}))


class Graphs:
    """Counts what torch's compiler does in this process from the construction on."""

    def __init__(self) -> None:
        from torch._dynamo.utils import clear_compilation_metrics, counters, set_compilation_metrics_limit

        counters.clear()
        set_compilation_metrics_limit(10_000)
        clear_compilation_metrics()

    def counts(self) -> dict[str, int]:
        """``graphs``, ``breaks`` of them, and ``recompilations``: code compiled again because a guard failed."""
        from torch._dynamo.utils import counters, get_compilation_metrics

        return {
            "graphs": counters["stats"]["unique_graphs"],
            "breaks": sum(counters["graph_break"].values()),
            "recompilations": sum(bool(compiled.recompile_reason) for compiled in get_compilation_metrics()),
        }
