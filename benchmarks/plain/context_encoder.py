"""The training step of Context Encoder for the centre (Pathak et al. 2016) in plain torch, in the order of train.lua.

It has the authors' networks, losses and rates. Nothing is optimized: the context is made by copying and writing three
planes, D ends in a sigmoid and learns by binary cross entropy with labels, the reconstruction's weights are a matrix as
large as the batch, D's parameters get gradients while G learns, and losses are read from the device in each step.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PHASES = ("train",)
FEATURES = 4000
OVERLAP, WEIGHT, RECONSTRUCTION = 4, 10.0, 0.999
RATE, RATIO, BETAS = 2e-4, 10.0, (0.5, 0.999)
FILL = (117, 104, 123)


def channels(side: int, width: float) -> list[int]:
    """Of the layers with stride 2 that lead from a side to 4 pixels; 512 is the last one."""
    counts: list[int] = []
    count = 512
    while side > 4:
        counts.insert(0, max(1, round(max(count, 64) * width)))
        side, count = side // 2, count // 2
    return counts


def generator(size: int, width: float) -> nn.Sequential:
    """Encoder, bottleneck, decoder."""
    down, up = channels(size, width), channels(size // 2, width)[::-1]
    layers: list[nn.Module] = [nn.Conv2d(3, down[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for incoming, outgoing in pairwise(down):
        layers += [nn.Conv2d(incoming, outgoing, 4, 2, 1, bias=False), nn.BatchNorm2d(outgoing), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(down[-1], FEATURES, 4, bias=False), nn.BatchNorm2d(FEATURES), nn.LeakyReLU(0.2)]
    layers += [nn.ConvTranspose2d(FEATURES, up[0], 4, bias=False), nn.BatchNorm2d(up[0]), nn.ReLU()]
    for incoming, outgoing in pairwise(up):
        layers += [nn.ConvTranspose2d(incoming, outgoing, 4, 2, 1, bias=False), nn.BatchNorm2d(outgoing), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(up[-1], 3, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(side: int, width: float) -> nn.Sequential:
    """Of predictions."""
    counts = channels(side, width)
    layers: list[nn.Module] = [nn.Conv2d(3, counts[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for incoming, outgoing in pairwise(counts):
        layers += [nn.Conv2d(incoming, outgoing, 4, 2, 1, bias=False), nn.BatchNorm2d(outgoing), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(counts[-1], 1, 4, bias=False), nn.Sigmoid())


class ContextEncoder(nn.Module):
    """Both networks and their Adams.

    Args:
        size: side of the pictures.
        width: multiplier of all channel counts but the bottleneck's.
    """

    def __init__(self, size: int, width: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.generator = generator(size, width)
        self.discriminator = discriminator(size // 2, width)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def prepare(self) -> None:
        """Make the optimizers, after the networks were moved to their device."""
        for name, network in self.networks():
            rate = RATE * (RATIO if name == "generator" else 1)
            self.optimizers[name] = torch.optim.Adam(network.parameters(), lr=rate, betas=BETAS)

    def step(self, phase: str, batch: dict[str, Tensor]) -> dict[str, float]:
        """One training step.

        Args:
            phase: the only one.
            batch: image and mask, 1 = hole.

        Returns:
            The losses by name.
        """
        truth = 2 * batch["image"] - 1
        context, quarter = truth.clone(), self.size // 4
        inside = slice(quarter + OVERLAP, 3 * quarter - OVERLAP)
        for plane, value in enumerate(FILL):
            context[:, plane, inside, inside] = 2 * value / 255 - 1
            context[:, plane][batch["mask"][:, 0] > 0.5] = 2 * value / 255 - 1
        target = truth[..., quarter : 3 * quarter, quarter : 3 * quarter]
        ones = truth.new_ones(len(truth), 1, 1, 1)

        prediction = self.generator(context)
        real = F.binary_cross_entropy(self.discriminator(target), ones)
        fake = F.binary_cross_entropy(self.discriminator(prediction.detach()), torch.zeros_like(ones))
        self.descend("discriminator", real + fake)

        adversarial = F.binary_cross_entropy(self.discriminator(prediction), ones)
        weight = torch.full_like(prediction, WEIGHT)
        weight[..., OVERLAP:-OVERLAP, OVERLAP:-OVERLAP] = 1
        reconstruction = (weight * (prediction - target) ** 2).mean()
        self.descend("generator", (1 - RECONSTRUCTION) * adversarial + RECONSTRUCTION * reconstruction)
        return {
            "discriminator_real": real.item(),
            "discriminator_fake": fake.item(),
            "reconstruction": reconstruction.item(),
            "adversarial": adversarial.item(),
            "squared_error": F.mse_loss(prediction, target).item(),
        }

    def descend(self, name: str, loss: Tensor) -> None:
        """A step of one network."""
        self.optimizers[name].zero_grad()
        loss.backward()
        self.optimizers[name].step()

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        """The networks by name."""
        yield "generator", self.generator
        yield "discriminator", self.discriminator
