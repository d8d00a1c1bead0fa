"""A table in the terminal, of any width, and plain whole lines where there is none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_LEAST_OF_FOLDED = 16
"""Columns that are left to a text which is folded."""

_GAP = 2


@final
@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Args:
        headings: one a column.
        rows: as many cells each, fit to be printed.
        folded: headings of columns that are folded where there is no room.
        optional: headings of columns that are left out then, the first of them first.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def show(self, console: Console) -> None:
        """Print the table; where the output is no terminal, each row as one line without padding at its end.

        A terminal that is too narrow even for the columns that have to be there gets a paragraph a row.
        """
        widths = [max(map(cell_len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        if not console.is_terminal:
            for row in (self.headings, *self.rows):
                padded = (f"{cell}{' ' * (width - cell_len(cell))}" for cell, width in zip(row, widths, strict=True))
                console.file.write(f"{(' ' * _GAP).join(padded).rstrip()}\n")
            return
        for dropped in range(len(self.optional) + 1):
            kept = [at for at, name in enumerate(self.headings) if name not in self.optional[:dropped]]
            least = sum(self._least(at, widths[at]) for at in kept) + _GAP * (len(kept) - 1)
            if least <= console.width:
                console.print(self._table(kept, widths), markup=False, highlight=False)
                return
        for first, *rest in self.rows:
            if first:
                console.print(Text(first, style="bold"), soft_wrap=True)
            cells = (f"{heading} {cell}" for heading, cell in zip(self.headings[1:], rest, strict=True) if cell)
            console.print(Padding(Text(", ".join(cells), overflow="fold"), (0, 0, 0, _GAP)))

    def _least(self, at: int, width: int) -> int:
        return min(width, _LEAST_OF_FOLDED) if self.headings[at] in self.folded else width

    def _table(self, kept: Sequence[int], widths: Sequence[int]) -> Table:
        table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
        for at in kept:
            is_folded = self.headings[at] in self.folded
            least = self._least(at, widths[at])
            table.add_column(Text(self.headings[at]), overflow="fold", no_wrap=not is_folded, min_width=least)
        for row in self.rows:
            table.add_row(*(Text(row[at]) for at in kept))
        return table
