"""A network of features that needs no weights."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from inpaintlab.metrics import FeatureNetwork
from inpaintlab.shapes import Images


@final
class Colours(FeatureNetwork):
    """The mean of each colour; counts the images that it is shown."""

    name = "colours"
    width = 3
    definition = "the mean of each colour"
    key = "colours"

    def __init__(self) -> None:
        super().__init__()
        self.shown = 0

    def require(self) -> None:
        pass

    def forward(self, images: Images) -> Float[Tensor, "batch features"]:
        self.shown += len(images)
        return images.mean(dim=(2, 3))
