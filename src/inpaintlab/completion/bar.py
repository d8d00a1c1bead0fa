"""How far a method is that takes seconds for an image, as a bar on the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskProgressColumn, TimeRemainingColumn

from inpaintlab.inpainting import Classical, Inpainter


@contextmanager
def progress_shown(model: Inpainter, images: int, console: Console) -> Iterator[None]:
    """Show a bar from when a method first tells its progress; nothing where the output is no terminal.

    Args:
        model: the method; networks tell nothing, and each image's line shows how far they are.
        images: that are to be completed.
        console: which also prints the images' lines.
    """
    if not (isinstance(model, Classical) and console.is_terminal):
        yield
        return
    columns = Progress.get_default_columns()[:2]
    bar = Progress(*columns, TaskProgressColumn(), TimeRemainingColumn(), console=console, transient=True)
    task = bar.add_task("one image" if images == 1 else f"{images} images", total=images)

    def update(done: float) -> None:
        bar.start()
        bar.update(task, completed=done)

    with model.watched(update):
        try:
            yield
        finally:
            bar.stop()
