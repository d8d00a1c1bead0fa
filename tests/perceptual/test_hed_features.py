"""HED's published weights, where somebody has fetched them: the numbers that its own framework gives."""

import pytest
import skimage.data
import torch

from inpaintlab.losses import HED
from inpaintlab.published import CATALOGUE, local_files

(PUBLISHED,) = (entry for entry in CATALOGUE if entry.name == "hed")

# Means over the blocks' last feature maps, of a photograph's first rows and columns.
MEANS = {
    "astronaut": (256, 256, [18.635, 4.272, 2.895, 1.121, 2.982]),
    "coffee": (256, 256, [29.245, 5.637, 3.606, 1.449, 3.888]),
    "chelsea": (256, 256, [15.175, 3.193, 2.236, 0.998, 2.545]),
    "rocket": (257, 201, [22.818, 3.611, 2.444, 1.117, 3.845]),
}


@pytest.mark.skipif(not local_files(PUBLISHED), reason="inpaintlab weights fetch hed gets the file")
@torch.no_grad()
def test_the_blocks_have_their_known_means() -> None:
    network = HED()
    for name, (rows, columns, expected) in MEANS.items():
        photograph = torch.from_numpy(getattr(skimage.data, name)()[:rows, :columns].copy())
        features = network(photograph.permute(2, 0, 1)[None] / 255)
        found = [features[layer].mean().item() for layer in ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")]
        assert found == pytest.approx(expected, abs=6e-4)
