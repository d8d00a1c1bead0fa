"""HED's published weights, where somebody has fetched them: the numbers that its own framework gives."""

import pytest
import skimage.data
import torch

from inpaintlab.edges import HEDNetwork
from inpaintlab.published import CATALOGUE, local_files
from stand_ins.models import only

(PUBLISHED,) = (entry for entry in CATALOGUE if entry.name == "hed")

# Means over the blocks' last feature maps, of a photograph's first rows and columns.
MEANS = {
    "astronaut": (256, 256, [18.635, 4.272, 2.895, 1.121, 2.982]),
    "coffee": (256, 256, [29.245, 5.637, 3.606, 1.449, 3.888]),
    "chelsea": (256, 256, [15.175, 3.193, 2.236, 0.998, 2.545]),
    "rocket": (257, 201, [22.818, 3.611, 2.444, 1.117, 3.845]),
}


# Of the map of edges: mean, deviation, share above 0.5, and the values at these places, rows as columns.
MAPS = {
    "astronaut": (0.25321, 0.30632, 0.23988, [0.86768, 0.41594, 0.00160, 0.53728, 0.01936]),
    "coffee": (0.10891, 0.23727, 0.09482, [0.00139, 0.90573, 0.01925, 0.00004, 0.05499]),
    "chelsea": (0.19047, 0.21952, 0.12239, [0.09879, 0.01721, 0.02475, 0.21342, 0.00216]),
    "rocket": (0.16176, 0.26892, 0.15916, [0.00075, 0.32836, 0.00631, 0.00051, 0.48296]),
}
PLACES = (10, 64, 100, 150, 199)


@pytest.mark.skipif(not local_files(PUBLISHED), reason="inpaintlab weights fetch hed gets the file")
@pytest.mark.parametrize("name", only("astronaut", "rocket", of=MEANS))
@torch.no_grad()
def test_the_blocks_and_the_map_of_edges_have_their_known_numbers(name: str) -> None:
    network = HEDNetwork()
    seen: list[dict[str, torch.Tensor]] = []
    network.body.register_forward_hook(lambda _, __, features: seen.append(features))
    (rows, columns, expected), (mean, deviation, share, values) = MEANS[name], MAPS[name]
    photograph = torch.from_numpy(getattr(skimage.data, name)()[:rows, :columns].copy())
    edges = network(photograph.permute(2, 0, 1)[None] / 255)[0, 0]
    assert [edges.mean().item(), edges.std().item()] == pytest.approx([mean, deviation], abs=2e-5)
    assert (edges > 0.5).float().mean().item() == pytest.approx(share, abs=4e-5)
    assert [edges[place, place].item() for place in PLACES] == pytest.approx(values, abs=2e-5)
    found = [seen[0][layer].mean().item() for layer in ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")]
    assert found == pytest.approx(expected, abs=6e-4)
