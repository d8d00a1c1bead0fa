"""EdgeConnect as its authors publish it (knazeri/edge-connect 3142579): four files for each data set."""

from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from inpaintlab.importers.layout import Found, Network, width_of
from inpaintlab.readers import read_torch, table, tensors

# Their convolutions by ours: encoder, residual blocks and decoder are one sequence here.
GENERATOR = {
    **{f"body.{index}": f"encoder.{index}" for index in (1, 4, 7)},
    **{
        f"body.{10 + block}.block.{index}": f"middle.{block}.conv_block.{index}"
        for block in range(8)
        for index in (1, 5)
    },
    **{f"body.{18 + index}": f"decoder.{index}" for index in (0, 3, 7)},
}

OUR_LAST, LAST = "body.25", "decoder.7"  # never spectrally normalised
DISCRIMINATOR = {f"layers.{index}": f"conv{index + 1}.0" for index in range(5)}
POWER_ITERATIONS = 200

# The number of input planes tells the stages apart, whatever the files are called: G1 takes gray, edges, mask; G2 RGB,
# edges; D1 gray, edges; D2 RGB.
ROLES = {
    ("generator", 3): "edge_generator",
    ("generator", 4): "inpaint_generator",
    ("discriminator", 2): "edge_discriminator",
    ("discriminator", 3): "inpaint_discriminator",
}

SPECTRAL = ("edge_generator", "edge_discriminator", "inpaint_discriminator")


def read(paths: Sequence[Path], mean_pixel: Sequence[float] | None = None) -> Found:
    """Read both generators, and the discriminators if their files are given.

    Takes files of one or several GPUs ('module.' in front of each name), leaves out the second name 'features' of a
    discriminator's first layer, and computes the singular vectors that files of torch 0.4 lack.

    Args:
        paths: the files, in any order.
        mean_pixel: None, because EdgeConnect has none.

    Raises:
        ValueError: a file of another kind, one role twice, a generator missing, or a mean pixel.
    """
    if mean_pixel is not None:
        raise ValueError("EdgeConnect has no mean pixel; leave it out.")
    networks: dict[str, Network] = {}
    iterations = None
    for path in paths:
        kind, state, iteration = _state(path)
        network = _network(path, kind, state)
        if network.ours in networks:
            raise ValueError(
                f"{path} and {networks[network.ours].path} both hold the {network.ours.replace('_', ' ')}."
            )
        networks[network.ours] = network
        if network.ours == "inpaint_generator":
            iterations = iteration
    for role, name in (("edge_generator", "EdgeModel_gen.pth"), ("inpaint_generator", "InpaintingModel_gen.pth")):
        if role not in networks:
            raise ValueError(f"No file holds the {role.replace('_', ' ')} ({name} of the release); give it as well.")
    generator = networks["inpaint_generator"]
    return Found(
        preset="edgeconnect",
        size=256,
        settings={"width": width_of(generator.theirs, "encoder.1.weight", generator.path)},
        networks=list(networks.values()),
        absent=[role for role in ROLES.values() if role not in networks],
        iterations=iterations,
    )


def _state(path: Path) -> tuple[str, dict[str, Tensor], int | None]:
    """'generator' or 'discriminator', its state dict, and the file's iteration, if it is plausible."""
    content = table(read_torch(path)) or {}
    kinds = [kind for kind in ("generator", "discriminator") if kind in content]
    if len(kinds) != 1:
        raise ValueError(f"{path} is not one of EdgeConnect's files: each has an entry 'generator' or 'discriminator'.")
    iteration = content.get("iteration")
    if type(iteration) is not int or not 0 <= iteration < 2**53:  # the largest number that JSON keeps everywhere
        iteration = None
    return kinds[0], tensors(content[kinds[0]], path, kinds[0]), iteration


def _network(path: Path, kind: str, theirs: dict[str, Tensor]) -> Network:
    first = "encoder.1" if kind == "generator" else "conv1.0"
    weight = theirs.get(f"{first}.weight", theirs.get(f"{first}.weight_orig"))
    role = ROLES.get((kind, weight.shape[1])) if weight is not None and weight.ndim == 4 else None
    if role is None:
        raise ValueError(
            f"{path} holds no {kind} of EdgeConnect: {first} should be a convolution of "
            f"{' or '.join(str(planes) for k, planes in ROLES if k == kind)} planes."
        )
    if kind == "discriminator":
        theirs = {key: tensor for key, tensor in theirs.items() if not key.startswith("features.0.")}
    places = GENERATOR if kind == "generator" else DISCRIMINATOR
    if role not in SPECTRAL:
        names = {f"{our}.{part}": f"{their}.{part}" for our, their in places.items() for part in ("weight", "bias")}
        return Network(role, path, theirs, names)

    return _spectral(role, path, theirs, {our: their for our, their in places.items() if their != LAST})


def _spectral(role: str, path: Path, theirs: dict[str, Tensor], places: dict[str, str]) -> Network:
    """A network with spectral norm at ``places``; the last layer of a generator has none."""
    with_v = any(key.endswith(".weight_v") for key in theirs)
    vectors = {"original": "weight_orig", "0._u": "weight_u"} | ({"0._v": "weight_v"} if with_v else {})
    names: dict[str, str] = {}
    for our, their in places.items():
        names |= {f"{our}.parametrizations.weight.{part}": f"{their}.{old}" for part, old in vectors.items()}
        if role == "edge_generator" and not their.startswith("middle"):
            names[f"{our}.bias"] = f"{their}.bias"
    if role == "edge_generator":
        names |= {f"{OUR_LAST}.{part}": f"{LAST}.{part}" for part in ("weight", "bias")}

    # torch 0.4 kept the normalised weight beside the original one, and no v
    normalised = {
        f"{their}.weight": theirs[f"{their}.weight"]
        for their in places.values()
        if not with_v and {f"{their}.weight", f"{their}.weight_orig"} <= theirs.keys()
        if theirs[f"{their}.weight"].shape == theirs[f"{their}.weight_orig"].shape
    }
    theirs = {key: tensor for key, tensor in theirs.items() if key not in normalised}

    def convert(weights: dict[str, Tensor]) -> None:
        for our, their in places.items():
            stem = f"{our}.parametrizations.weight"
            if not with_v:
                _find_vectors(weights, stem, normalised.get(f"{their}.weight"))
            sigma = _sigma(*(weights[f"{stem}.{part}"] for part in ("original", "0._u", "0._v")))
            if sigma.isfinite() and not (weights[f"{stem}.original"] / sigma).isfinite().all():
                raise ValueError(f"{path}: the spectral norm of {their} is {sigma:.3g}, by which nothing is divided.")

    return Network(role, path, theirs, names, convert)


def _find_vectors(weights: dict[str, Tensor], stem: str, normalised: Tensor | None) -> None:
    """Set both vectors of the largest singular value, by power iteration from the file's u.

    If the file holds the normalised weight, u is scaled so that sigma = u W v gives exactly that weight, as torch does
    for such files.
    """
    original, u = weights[f"{stem}.original"].double(), weights[f"{stem}.0._u"].double()
    matrix = _as_matrix(original, u)
    for _ in range(POWER_ITERATIONS):
        v = F.normalize(matrix.T @ u, dim=0)
        u = F.normalize(matrix @ v, dim=0)
    if normalised is not None:
        sigma = original.square().sum() / (original * normalised.double()).sum()
        u = u * sigma / (u @ matrix @ v)
    weights[f"{stem}.0._u"], weights[f"{stem}.0._v"] = u.float(), v.float()


def _as_matrix(weight: Tensor, u: Tensor) -> Tensor:
    """A row for each output channel, as in spectral norm; a transposed convolution has them in its second dimension."""
    turned = weight.shape[0] != len(u)
    return (weight.transpose(0, 1) if turned else weight).reshape(len(u), -1)


def _sigma(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return u @ _as_matrix(weight, u) @ v
