"""Contextual attention (Yu et al. 2018, section 4.1): features are put together again from patches of known ones."""

from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from inpaintlab.layers.rounding import at_least_float32

Features = Float[Tensor, "batch _ _ _"]
Columns = Float[Tensor, "batch _ _"]
"""Patches, each a column."""
Plane = Float[Tensor, "batch 1 _ _"]

SCALE = 10
"""Of the scores before their softmax."""

RANGE = 60
"""How far below the largest score of a query its others count as. So no weight is a denormal number, with which a CPU's
products take a hundred times as long; what that changes of a weight is less than 1e-26."""

TILE = 2**24
"""Scores that a tile may have for an image; 67 MB in float32."""


@final
class ContextualAttention(nn.Module):
    """Makes each patch of its features anew, as a mixture of source patches that are like it.

    Patches of 3 x 3 at half the resolution are compared; they stand for patches of 4 x 4 at the whole one, which
    overlap by half. A score is the product of a query patch and a source patch of length 1. Scores are *fused*: added
    along diagonals, first in the order of rows, then in the order of columns, so that neighbours come from neighbours.
    A softmax over the sources gives the weights. Those of sources that touch the hole are dropped, so the weights of a
    query may add up to less than 1.

    Queries are taken in tiles of whole rows, with a row of neighbours on either side. With h and w, an eighth of an
    image's sides, no tensor here has more elements for an image than the largest of ``tile`` scores, the scores of
    three rows, 3 (w + 2) (h + 2) (w + 2), and all patches, 16 h w channels. Up to 496 x 496 pixels there is one tile.
    While gradients are recorded, the weights of several tiles are not kept, but computed again in the backward pass.

    Args:
        halving: 'corners' takes pixels as TensorFlow with align_corners, 'even' every second one.
        norm: of a source patch. 'clamped': at least 1e-4; 'added': 1e-4 is added to the square of each entry.
        invalid: scores of sources that touch the hole are 'zero', or these sources are 'excluded' from the softmax.
        overlap: the sum of overlapping patches is divided by 'four', which darkens the border, or by how many are
            'counted'.
        fuse: whether scores are fused.
        tile: the most scores of a tile for an image, if three rows have no more.
    """

    def __init__(
        self,
        halving: str = "corners",
        norm: str = "clamped",
        invalid: str = "zero",
        overlap: str = "four",
        *,
        fuse: bool = True,
        tile: int = TILE,
    ) -> None:
        super().__init__()
        self.halving = halving
        self.norm = norm
        self.invalid = invalid
        self.overlap = overlap
        self.fuse = fuse
        self.tile = tile

    def forward(self, features: Features, sources: Features, mask: Plane | None) -> Features:
        """The features made of source patches, everywhere; 0 where an image has no source.

        Args:
            features: the sides are even.
            sources: as large as the features; may be the same.
            mask: as large; 1 = hole. None: every patch is a source.
        """
        height, width = features.shape[-2:]
        compared = self.compared(features, sources, mask)
        values = F.unfold(sources, 4, padding=1, stride=2)
        tiles = self.tiles(height // 2, width // 2)
        made = []
        for tile in tiles:
            if len(tiles) > 1 and torch.is_grad_enabled():
                mixed = checkpoint(
                    self._mixture, values, *compared, *tile, use_reentrant=False, preserve_rng_state=False
                )
            else:
                mixed = self._mixture(values, *compared, *tile)
            made.append(mixed)
        columns = torch.cat(made, dim=2) if len(made) > 1 else made[0]
        folded = F.fold(columns, (height, width), 4, padding=1, stride=2)
        output = folded / (4 if self.overlap == "four" else _overlaps(height, folded) * _overlaps(width, folded).mT)
        last = features.is_contiguous(memory_format=torch.channels_last)
        return output.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

    @torch.no_grad()
    def nearest(self, features: Features, sources: Features, mask: Plane | None) -> Int[Tensor, "batch _ _"]:
        """The source of the largest weight of each query, counted in the order of rows; -1 where all weights are 0."""
        height, width = (side // 2 for side in features.shape[-2:])
        compared = self.compared(features, sources, mask)
        found = [self.weights(*compared, *tile).max(dim=2) for tile in self.tiles(height, width)]
        largest = torch.cat([values for values, _ in found], dim=1)
        places = torch.cat([places for _, places in found], dim=1)
        return torch.where(largest > 0, places, -1).unflatten(1, (height, width))

    def tiles(self, height: int, width: int) -> list[tuple[int, int, bool]]:
        """Of each tile the first of its rows, the row after its last one, and whether that is the end."""
        around = 2 if self.fuse else 0
        row = (width + around) * (height + around) * (width + around)
        if (height + around) * row <= self.tile:  # told apart, so that a compiler need not know the sides
            return [(0, height, True)]
        rows = max(self.tile // row - around, 1)
        rows = -(-height // -(-height // rows))  # as many tiles, of about the same height
        return [(top, min(top + rows, height), top + rows >= height) for top in range(0, height, rows)]

    def compared(
        self, features: Features, sources: Features, mask: Plane | None
    ) -> tuple[Tensor, Tensor, Float[Tensor, "batch 1 _"] | None]:
        """Query patches and source patches in their places, times ``SCALE``, and which sources are valid."""
        with torch.autocast(features.device.type, enabled=False):
            halves = [
                at_least_float32(self.halved(x))
                for x in ((features, sources) if sources is not features else (features,))
            ]
            sides = halves[0].shape[-2:]
            columns = [F.unfold(half, 3, padding=1) for half in halves]
            square = columns[-1].square().sum(dim=1, keepdim=True)
            length = (square.clamp(min=1e-8) if self.norm == "clamped" else square + 1e-4 * columns[-1].shape[1]).sqrt()
            placed = [
                self._placed(patches.unflatten(2, sides)) for patches in (columns[0], columns[-1] * (SCALE / length))
            ]
            valid = None if mask is None else 1 - F.max_pool2d(self.halved(mask), 3, stride=1, padding=1).flatten(2)
        return placed[0], placed[1], valid if valid is None else valid.to(columns[0])

    def halved(self, x: Features) -> Features:
        """Every second pixel, more or less."""
        if self.halving == "even":
            return x[..., ::2, ::2]
        return at_corners(x, x.shape[-2] // 2, x.shape[-1] // 2)

    def _placed(self, patches: Features) -> Features:
        """For fusing, rows of patches with all neighbours that their scores are added to those of.

        A row gets the patches before and after it. Above the first row stand the patches that come before it in the
        order of columns, below the last row those that come after it. There are zeros beyond the first and last patch.
        """
        if not self.fuse:
            return patches
        width = patches.shape[-1]
        line = F.pad(patches.flatten(2), (2, 2))
        before, after = F.pad(patches[..., :-1, -1:], (0, 0, 1, 0)), F.pad(patches[..., 1:, :1], (0, 0, 0, 1))
        rows = torch.cat([before, patches, after], dim=3)  # no unfold, whose size no exporter keeps open
        above, below = line[..., None, -4 - width : -2], line[..., None, 2 : 4 + width]
        return torch.cat([above, rows, below], dim=2)

    def weights(
        self,
        queries: Features,
        keys: Features,
        valid: Float[Tensor, "batch 1 _"] | None,
        top: int,
        bottom: int,
        end: bool,
    ) -> Float[Tensor, "batch _ _"]:
        """The weights of all sources (columns) for the queries in the rows of a tile.

        Args:
            queries: as ``compared`` gives them; so the next two.
            keys: of the sources.
            valid: 1 = valid source.
            top: first row of the tile.
            bottom: the row after its last one.
            end: whether that is the end.
        """
        with torch.autocast(queries.device.type, enabled=False):
            tile = queries[:, :, top : bottom + (2 if self.fuse else 0)]
            scores = torch.bmm(tile.flatten(2).mT, keys.flatten(2))
            if self.fuse:
                scores = scores.unflatten(2, keys.shape[2:]).unflatten(1, tile.shape[2:])
                lines = scores[:, :, :-2, :, :-2] + scores[:, :, 1:-1, :, 1:-1] + scores[:, :, 2:, :, 2:]
                lines[:, :, :, 0, 0] = lines[:, :, :, -1, -1] = 0  # nothing comes before the first or after the last
                if top == 0:
                    lines[:, 0, 0] = 0
                if end:
                    lines[:, -1, -1] = 0
                scores = lines[:, :-2, :, :-2] + lines[:, 1:-1, :, 1:-1] + lines[:, 2:, :, 2:]
                scores = scores.flatten(3).flatten(1, 2)
            if valid is not None and self.invalid == "zero":
                scores = scores * valid
            elif valid is not None:  # not infinity, so that an image without a source gets zeros
                scores = scores.masked_fill(valid == 0, torch.finfo(scores.dtype).min)
            least = scores.detach().amax(dim=2, keepdim=True) - RANGE
            weights = torch.maximum(scores, least).softmax(dim=2)
            return weights if valid is None else weights * valid

    def _mixture(self, values: Columns, *compared: object) -> Columns:
        """The patches of a tile, as mixtures of ``values``; the rest as in ``weights``."""
        weights = self.weights(*compared)  # type: ignore[arg-type]
        return torch.bmm(
            values.to(weights) if not torch.is_autocast_enabled(values.device.type) else values, weights.mT
        )


def at_corners(x: Features, height: int, width: int) -> Features:
    """Nearest neighbours, so that the corners stay the corners: TensorFlow's with align_corners.

    Args:
        x: larger than the result.
        height: of the result.
        width: likewise.
    """
    for dim, side in ((2, height), (3, width)):
        scale = (x.shape[dim] - 1) / torch.sym_max(side - 1, 1)
        places = torch.arange(side, device=x.device, dtype=torch.float32) * scale + 0.5  # float32, as there
        x = x.index_select(dim, places.floor().long())
    return x


def _overlaps(side: int, like: Tensor) -> Float[Tensor, "_ 1"]:
    """How many patches lie over each row."""
    count = torch.full((side, 1), 2.0, dtype=like.dtype, device=like.device)
    count[0] = count[-1] = 1
    return count
