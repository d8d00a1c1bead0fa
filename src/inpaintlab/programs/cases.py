"""What a program gives, checked: pictures with their masks and drawings of edges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from inpaintlab.data import in_unit_range
from inpaintlab.programs.kinds import pictures_of, require_range
from inpaintlab.programs.picture import Picture
from inpaintlab.programs.planes import Plane, drawings_of, masks_of, require_drawing, require_two_values
from inpaintlab.shapes import AnyImages, AnyPlanes


@final
@dataclass(frozen=True, eq=False)
class Case:
    """One picture with what is to be done to it.

    Args:
        picture: the picture.
        mask: its mask.
        drawing: a drawing of its edges; None without one.
        has_hole: whether there is something to fill.
        all_hole: whether nothing of the picture is known.
        brightest: the highest value of the drawing.
    """

    picture: Picture
    mask: Plane
    drawing: Plane | None
    has_hole: bool
    all_hole: bool
    brightest: float

    def on(self, device: torch.device) -> tuple[AnyImages, AnyPlanes, AnyPlanes | None]:
        """Image, mask and edges as a method takes them, on its device."""
        image = in_unit_range(self.picture.seen.to(device, non_blocking=True))
        mask = self.mask.hole.to(device, non_blocking=True).float()
        if self.drawing is None:
            return image, mask, None
        return image, mask, self.drawing.edges(self.brightest).to(device, non_blocking=True)


def cases_of(image: Any, mask: Any, edges: Any) -> tuple[list[Case], bool]:
    """The pictures of a call with their masks and drawings, after everything was checked.

    It waits once for each device on which something lies.

    Args:
        image: as `Method.complete` takes it.
        mask: likewise.
        edges: likewise.

    Returns:
        The cases, and whether several pictures were given, also where one is in a list.

    Raises:
        ValueError: in one sentence, what is wrong.
    """
    pictures, several = pictures_of(image)
    masks = masks_of(mask, pictures, several)
    return _asked(pictures, masks, drawings_of(edges, pictures, several)), several


def _asked(pictures: Sequence[Picture], masks: Sequence[Plane], drawings: Sequence[Plane | None]) -> list[Case]:
    """Check the values of all planes and pictures.

    Raises:
        ValueError: the first that is wrong, in one sentence.
    """
    parts: list[Tensor] = []
    for picture, mask, drawing in zip(pictures, masks, drawings, strict=True):
        hole = mask.hole
        extremes = picture.extremes(hole.to(picture.home))
        nothing = torch.zeros(4)
        some = torch.stack([hole.any(), hole.all()]).float()
        range_ = torch.tensor([0.0, 1.0]) if extremes is None else extremes
        parts += [mask.facts(), some, range_, nothing if drawing is None else drawing.facts()]
    numbers = _numbers(parts)
    found = []
    for at, (picture, mask, drawing) in enumerate(zip(pictures, masks, drawings, strict=True)):
        own = [number for part in numbers[4 * at : 4 * at + 4] for number in part]
        require_two_values(mask, own[:4])
        require_range(picture, own[6], own[7])
        if drawing is not None:
            require_drawing(drawing, own[8:])
        found.append(Case(picture, mask, drawing, bool(own[4]), bool(own[5]), own[9]))
    return found


def _numbers(parts: Sequence[Tensor]) -> list[list[float]]:
    """The numbers of tensors with one axis, by one copy from each device."""
    places: dict[torch.device, list[int]] = {}
    for place, part in enumerate(parts):
        places.setdefault(part.device, []).append(place)
    found: list[list[float]] = [[] for _ in parts]
    for here in places.values():
        numbers = iter(torch.cat([parts[place] for place in here]).tolist())
        for place in here:
            found[place] = [next(numbers) for _ in range(len(parts[place]))]
    return found
