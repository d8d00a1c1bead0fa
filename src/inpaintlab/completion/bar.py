"""How far the photographs are that take seconds, as a bar on the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskProgressColumn, TimeRemainingColumn


@contextmanager
def progress_shown(images: int, console: Console) -> Iterator[Callable[[float], None] | None]:
    """Show a bar from when it is first told of progress.

    Args:
        images: that are to be completed.
        console: which also prints the images' lines.

    Yields:
        What takes the number of images that are done, with the share of the present one; None where the output is no
        terminal.
    """
    if not console.is_terminal:
        yield None
        return
    columns = Progress.get_default_columns()[:2]
    bar = Progress(*columns, TaskProgressColumn(), TimeRemainingColumn(), console=console, transient=True)
    task = bar.add_task("one image" if images == 1 else f"{images} images", total=images)

    def update(done: float) -> None:
        bar.start()
        bar.update(task, completed=done)

    try:
        yield update
    finally:
        bar.stop()
