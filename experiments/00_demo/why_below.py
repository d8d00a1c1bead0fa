"""Why a short EdgeConnect stays below the mean colour: one thing changed at a time.

    python why_below.py [batches=300] [only=NAME,NAME] [seed=1] [SETTING ...]

Trains G2 alone, on true edges, as a demo once did (64 pixels, an eighth of the width, batches of 4), and again with
one thing changed at a time, from the same pictures, holes and first weights. Prints, against the mean colour of the
known pixels, the gain in PSNR (dB) on crops of training photographs and on validation tiles, and the part of the
squared error in the hole that is one constant an image and channel: a wrong colour of the whole hole. SETTING: of
`inpaintlab train`, such as data=folder data.root=DIR.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from inpaintlab.config import CONF
from inpaintlab.data import batch_as_floats
from inpaintlab.inpainting import build
from inpaintlab.models import EdgeConnect
from inpaintlab.runs import mask_recipe
from inpaintlab.testsets import Manifest, ManifestDataset

Change = Callable[[EdgeConnect], None]

BASE = [
    "model=edgeconnect",
    "model/schedule=inpaint_only",
    "model.width=0.125",
    "model.learning_rate=4e-4",
    "mask=mixture",
]
BASE += [
    "mask.weights=[1,0,3]",
    "model.weights.inpaint.perceptual=null",
    "model.weights.inpaint.style=null",
    "data.batch_size=4",
]
BASE += ["data.size=64", "data.workers=0"]


def no_instance_norm(model: EdgeConnect) -> None:
    """Take the norms out of G2; its weights start as He et al. would have them, so that signals keep their size."""
    norms_become(model, lambda width: nn.Identity())
    for module in model.inpaint_generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(
                module.weight, mode="fan_out" if isinstance(module, nn.ConvTranspose2d) else "fan_in"
            )


def batch_norm(model: EdgeConnect) -> None:
    """Norms of the batch in place of those of an image."""
    norms_become(model, nn.BatchNorm2d)


def norms_become(model: EdgeConnect, make: Callable[[int], nn.Module]) -> None:
    """Replace each instance norm of G2."""
    for parent in list(model.inpaint_generator.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.InstanceNorm2d):
                setattr(parent, name, make(child.num_features))


def mean_start(model: EdgeConnect) -> None:
    """The last layer starts at 0 with the bias of the training photographs' mean colour."""
    last = model.inpaint_generator.body[-1]
    nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(torch.atanh(2 * model.mean_of_training - 1))  # type: ignore[arg-type]


def mean_filled(model: EdgeConnect) -> None:
    """The hole is filled with the mean of each image's known pixels, in place of white."""

    def forward(visible: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        known = (visible * (1 - mask)).sum((2, 3), keepdim=True) / (1 - mask).sum((2, 3), keepdim=True).clamp(min=1)
        filled = visible * (1 - mask) + known * mask
        return (generator.body(torch.cat([filled, edges], dim=1)).tanh() + 1) / 2

    generator = model.inpaint_generator
    generator.forward = forward  # type: ignore[method-assign]


def l1_in_hole(model: EdgeConnect) -> None:
    """The l1 loss looks at the hole alone: the known pixels, which are put back anyway, teach nothing."""
    whole = model.inpaint_losses

    def inpaint_losses(image: Tensor, output: Tensor, mask: Tensor, judged: Tensor) -> dict[str, Tensor]:
        losses = whole(image, output, mask, judged)
        return losses | {"l1": F.l1_loss(output * mask, image * mask) / mask.mean()}

    model.inpaint_losses = inpaint_losses  # type: ignore[method-assign]


def l2(model: EdgeConnect) -> None:
    """The squared error in place of l1, as PSNR has it."""
    whole = model.inpaint_losses

    def inpaint_losses(image: Tensor, output: Tensor, mask: Tensor, judged: Tensor) -> dict[str, Tensor]:
        return whole(image, output, mask, judged) | {"l1": 4 * F.mse_loss(output, image) / mask.mean()}

    model.inpaint_losses = inpaint_losses  # type: ignore[method-assign]


def as_it_is(model: EdgeConnect) -> None:
    """Nothing changed."""


VARIANTS: dict[str, tuple[list[str], Change]] = {
    "as in the demo": ([], as_it_is),
    "no instance norm": ([], no_instance_norm),
    "learning rate 2e-3": (["model.learning_rate=2e-3"], as_it_is),
    "learning rate 1e-4 (released)": (["model.learning_rate=1e-4"], as_it_is),
    "four times the batches": ([], as_it_is),
    "no adversarial loss": (["model.weights.inpaint.adversarial=null"], as_it_is),
    "batches of 16": (["data.batch_size=16"], as_it_is),
    "Adam's betas 0.9 and 0.999": (["model.betas=[0.9,0.999]"], as_it_is),
    "l1 in the hole alone": ([], l1_in_hole),
    "squared error": ([], l2),
    "last layer starts at the mean colour": ([], mean_start),
    "hole filled with the mean colour": ([], mean_filled),
    "output: offsets": (["model.output=offsets"], as_it_is),
    "fill: zero": (["model.fill=zero"], as_it_is),
    "batch norm": ([], batch_norm),
    "a quarter of the width": (["model.width=0.25"], as_it_is),
    "l1 times 10": (["model.weights.inpaint.l1=10"], as_it_is),
    "style and perceptual of hed": (
        ["model.vgg=hed", "model.weights.inpaint.perceptual=0.1", "model.weights.inpaint.style=250"],
        as_it_is,
    ),
}


def main(*arguments: str) -> None:
    """Run the variants and print a line for each."""
    pairs = [argument.split("=", 1) for argument in arguments]
    own = {key: value for key, value in pairs if key in ("batches", "only", "seed")}
    given = [argument for argument, (key, _) in zip(arguments, pairs, strict=True) if key not in own]
    chosen = own["only"].split(",") if "only" in own else list(VARIANTS)
    print("| changed | gain, training crops | gain, validation | constant part of the error, both | seconds |")
    print("|---|---|---|---|---|")
    for name in chosen:
        settings, change = VARIANTS[name]
        batches = int(own.get("batches", 300)) * (4 if name == "four times the batches" else 1)
        print(f"| {name} |", trained([*BASE, *settings, *given], change, batches, int(own.get("seed", 1))), flush=True)


def trained(settings: list[str], change: Change, batches: int, seed: int) -> str:
    """Train G2 and say how good it is."""
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        cfg = compose("train", overrides=settings)
    data: Any = instantiate(cfg.datamodule, mask=cfg.mask, seed=seed)
    torch.manual_seed(seed)
    model: Any = build(cfg.model)
    model.mean_of_training = data.mean_pixel()
    change(model)
    model.setup("fit")
    optimizers = model.configure_optimizers()
    model.optimizers = lambda: optimizers
    model.descend = descend
    samples = data.training_set()
    order = torch.Generator().manual_seed(seed)
    start = time.monotonic()
    for batch in range(batches):
        indices = torch.randint(len(samples), (data.batch_size,), generator=order).tolist()
        model.learn_inpaint(
            together([samples[batch * data.batch_size + place, index] for place, index in enumerate(indices)])
        )
    seconds = time.monotonic() - start
    crops = [samples[10**6 + number, number % len(samples)] for number in range(48)]
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    frozen = {key: plain["data"][key] for key in ("source", "crop", "size")}
    tiles = ManifestDataset(
        Manifest.create(**frozen, bins={"holes": mask_recipe(plain)}, split="val", seed=0, images=48)
    )
    found = [scored(model, part) for part in (crops, [tiles[index] for index in range(len(tiles))])]
    return f"{found[0][0]:+.2f} | {found[1][0]:+.2f} | {found[0][1]:.0%}, {found[1][1]:.0%} | {seconds:.0f} |"


def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """A step, as `Learner.descend` takes it."""
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def together(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch of samples."""
    return batch_as_floats({key: torch.stack([sample[key] for sample in samples]) for key in ("image", "mask")})


def scored(model: EdgeConnect, samples: list[dict[str, Any]]) -> tuple[float, float]:
    """The mean gain in PSNR over the mean colour, with true edges in the hole; the constant part of the error."""
    gains, constant, whole = [], 0.0, 0.0
    for sample in samples:
        batch = together([sample])
        image, mask = batch["image"], batch["mask"]
        known = (image * (1 - mask)).sum((2, 3), keepdim=True) / (1 - mask).sum()
        error = (model.complete(image, mask, model.true_edges(image)) - image) * mask
        floor = (known - image) * mask
        gains.append(10 * torch.log10(floor.square().sum() / error.square().sum()))
        constant += float((error.sum((2, 3)).square() / mask.sum()).sum())
        whole += float(error.square().sum())
    return float(torch.stack(gains).mean()), constant / whole


if __name__ == "__main__":
    main(*sys.argv[1:])
