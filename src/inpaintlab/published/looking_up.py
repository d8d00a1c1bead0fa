"""Looking up published weights by the name that commands call them, and their files on this machine."""

from pathlib import Path

from inpaintlab.published.catalogue import CATALOGUE, Published
from inpaintlab.published.download import local_files, weights_folder
from inpaintlab.published.starters import STARTERS
from inpaintlab.recipes import nearest


def look_up(name: str) -> Published:
    """The entry of the catalogue called ``name``.

    Raises:
        ValueError: there is none; the message suggests the nearest name.
    """
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    if name in {starter.name for starter in STARTERS}:
        raise ValueError(f"{name} is in this package: checkpoint={name} takes it, and so does init={name}.")
    guess = nearest(name, [entry.name for entry in CATALOGUE])
    raise ValueError(f"No published weights are called '{name}'.{guess} 'inpaintlab weights list' shows all of them.")


def files_to_import(given: str) -> list[Path]:
    """The file ``given``, or the files on this machine of the entry that is called so, or else the folder ``given``.

    Raises:
        ValueError: neither a file or folder nor an entry, or an entry without a file on this machine.
    """
    if Path(given).is_file():
        return [Path(given)]
    names = [entry.name for entry in CATALOGUE]
    if given not in names and Path(given).is_dir():  # of a checkpoint of TensorFlow's
        return [Path(given)]
    if given not in names:
        raise ValueError(f"'{given}' is neither a file nor the name of published weights.{nearest(given, names)}")
    entry = look_up(given)
    if files := local_files(entry):
        return files
    raise ValueError(
        f"No file of {given} lies in {weights_folder() / given}: run 'inpaintlab weights fetch {given}' first."
    )
