"""The command ``inpaintlab weights``: list what others have published, fetch it, import it as a checkpoint."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from inpaintlab.machine import INTERRUPTED
from inpaintlab.published import (
    CATALOGUE,
    STARTER_CREDITS,
    STARTER_LICENCE,
    STARTERS,
    File,
    Published,
    fetch,
    files_to_import,
    look_up,
    weights_folder,
)

_LEAST_WIDTH = 120
"""Columns that one line of the table needs; the default for a pipe is 80."""


def show(console: Console) -> None:
    """Print starter weights and the catalogue with what lies here; then sources with licences, and the folder."""
    table = Table("name", "purpose", "import as", "size", "hash", "here", box=None, padding=(0, 2, 0, 0))
    for starter in STARTERS:
        size = f"{starter.path.stat().st_size / 1e6:.1f} MB"
        table.add_row(starter.name, starter.purpose, "-", size, f"sha256 {starter.sha256[:8]}", "yes")
    saw = "; ".join(f"{starter.name} saw {starter.saw}" for starter in STARTERS)
    sources = {f"{STARTER_CREDITS}  {STARTER_LICENCE}\n    {saw}": [starter.name for starter in STARTERS]}
    for entry in CATALOGUE:
        table.add_row(entry.name, entry.purpose, entry.layout or "-", _size(entry), _hashes(entry), _presence(entry))
        sources.setdefault(f"{entry.source}  {entry.licence}", []).append(entry.name)
    console.print(table)
    lines = [f"{', '.join(names)}\n    {source}" for source, names in sources.items()]
    for line in [
        "\nSources and licences:",
        *lines,
        f"\nhere: in {weights_folder()} (INPAINTLAB_WEIGHTS names another folder)",
    ]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _size(entry: Published) -> str:
    sizes = [file.megabytes for file in entry.files]
    return "?" if None in sizes else f"{sum(size for size in sizes if size)} MB"


def _hashes(entry: Published) -> str:
    return ", ".join(dict.fromkeys(_hash(file) for file in entry.files))


def _hash(file: File) -> str:
    if file.sha256:
        return f"sha256 {file.sha256[:8]}"
    return f"md5 {file.md5[:8]}" if file.md5 else "none known"


def _presence(entry: Published) -> str:
    there = [(weights_folder() / entry.name / file.name).is_file() for file in entry.files]
    return "yes" if all(there) else "partly" if any(there) else "no"


def _list(arguments: argparse.Namespace) -> None:
    show(Console(width=max(Console().width, _LEAST_WIDTH)))


def _fetch(arguments: argparse.Namespace) -> None:
    for path in fetch(look_up(arguments.name)):
        print(path)


def _import(arguments: argparse.Namespace) -> None:
    from inpaintlab.importers import import_checkpoint  # torch: not for a list

    if arguments.out.exists() and not arguments.force:
        raise ValueError(f"{arguments.out} exists already: give another --out, or --force to replace it.")
    files = [path for given in arguments.files for path in files_to_import(given)]
    for line in import_checkpoint(files, arguments.layout, arguments.out, arguments.mean_pixel):
        print(line)


def _layout(name: str) -> str:
    """Check the value of ``--as``; the importers, which know the layouts, are imported only here."""
    from inpaintlab.importers import LAYOUTS

    if name not in LAYOUTS:
        raise argparse.ArgumentTypeError(f"'{name}' is not one of {', '.join(LAYOUTS)}")
    return name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("inpaintlab weights", description="Weights that others have published.")
    verbs = parser.add_subparsers(required=True, metavar="list | fetch | import")
    verb = verbs.add_parser("list", help="what there is, where it comes from, and what lies on this machine")
    verb.set_defaults(run=_list)

    verb = verbs.add_parser("fetch", help="download weights, check them, and print where they are")
    verb.add_argument("name", metavar="NAME", help="a name from the list")
    verb.set_defaults(run=_fetch)

    verb = verbs.add_parser("import", help="make published weights a checkpoint of this package")
    verb.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="published files, the folder of a checkpoint of TensorFlow's, or a name from the list",
    )
    layouts = dict.fromkeys(entry.layout for entry in CATALOGUE if entry.layout)
    verb.add_argument(
        "--as", dest="layout", type=_layout, required=True, metavar="LAYOUT", help=f"whose files: {', '.join(layouts)}"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="CKPT", help="the checkpoint to write")
    verb.add_argument(
        "--mean-pixel", nargs=3, type=float, metavar=("R", "G", "B"), help="colour in [0, 1] that fills the hole"
    )
    verb.add_argument("--force", action="store_true", help="replace a checkpoint that is there")
    verb.set_defaults(run=_import)
    return parser


def main() -> None:
    """Entry of ``inpaintlab weights``. A user's mistake is one sentence and exit code 1, a wrong usage exit code 2."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        print(f"inpaintlab weights: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:  # users may stop a long download
        print("inpaintlab weights: stopped; the same command goes on from here.", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
