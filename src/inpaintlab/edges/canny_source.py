"""Canny's edges as a source."""

from collections.abc import Sequence
from typing import final

import torch

from inpaintlab.edges.canny_detector import canny
from inpaintlab.edges.source import EdgeSource
from inpaintlab.imaging import rgb_to_gray
from inpaintlab.shapes import Images, Planes


@final
class Canny(EdgeSource):
    """Canny's edges of the grey image, those of scikit-image.

    Args:
        sigma: of the Gaussian, in pixels: a number, or a range [low, high] of which a whole number is drawn for each
            training sample, and whose middle, rounded down, is evaluated at.

    Raises:
        ValueError: a sigma is not above 0, or the range is none of two whole numbers.
    """

    def __init__(self, sigma: float | Sequence[int]) -> None:
        self.range: tuple[int, int] | None = None
        if isinstance(sigma, Sequence):
            if len(sigma) != 2 or any(type(one) is not int for one in sigma) or not 0 < sigma[0] <= sigma[1]:
                raise ValueError(
                    f"model.edges.sigma is {list(sigma)}; give a number of pixels, or a range of two whole numbers "
                    "above 0, the lower one first, such as [1, 4]."
                )
            self.range = (sigma[0], sigma[1])
        self.sigma = float(sum(self.range) // 2 if self.range else sigma)  # type: ignore[arg-type]  # mypy: of a Sequence
        if not 0 < self.sigma < float("inf"):
            raise ValueError(f"model.edges.sigma is {self.sigma:g}; it must be a number of pixels above 0, such as 2.")

    def in_words(self) -> str:
        """Such as 'canny, sigma 2' or 'canny, sigma 1 to 4'."""
        return f"canny, sigma {f'{self.range[0]} to {self.range[1]}' if self.range else f'{self.sigma:g}'}"

    def draw(self, count: int) -> list[float] | None:
        """A sigma of the range for each sample; None without a range."""
        if self.range is None:
            return None
        low, high = self.range
        return [float(sigma) for sigma in torch.randint(low, high + 1, (count,))]

    def mark(self, image: Images, mask: Planes | None, drawn: Sequence[float] | None, given: Planes | None) -> Planes:
        """Canny's edges; the known ones ignore the hole, as in EdgeConnect's released test script."""
        return canny(rgb_to_gray(image), drawn or self.sigma, None if mask is None else 1 - mask)
