"""GLCIC's training steps (Iizuka et al. 2017) in plain torch, in the order of otenim/GLCIC-PyTorch.

It has the paper's networks and losses: convolution, batch norm, ReLU; the discriminator sees the composite; Adadelta.
Nothing is optimized: sigmoids and binary cross entropy on probabilities, windows cut sample by sample, unused gradients
of the discriminator during the generator's backward pass, a graph of the completion network even if no gradient is
needed, and losses read from the device in each step.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

PHASES = ("completion", "discriminator", "joint")
ALPHA = 4e-4

Corners = list[tuple[int, int]]


def block(layer: nn.Module, channels: int) -> list[nn.Module]:
    """A convolution, batch norm, ReLU."""
    return [layer, nn.BatchNorm2d(channels), nn.ReLU()]


class Completion(nn.Module):
    """The completion network of 17 convolutions."""

    def __init__(self, width: float) -> None:
        super().__init__()
        c32, c64, c128, c256 = (max(1, round(base * width)) for base in (32, 64, 128, 256))
        self.layers = nn.Sequential(
            *block(nn.Conv2d(4, c64, 5, padding=2), c64),
            *block(nn.Conv2d(c64, c128, 3, stride=2, padding=1), c128),
            *block(nn.Conv2d(c128, c128, 3, padding=1), c128),
            *block(nn.Conv2d(c128, c256, 3, stride=2, padding=1), c256),
            *block(nn.Conv2d(c256, c256, 3, padding=1), c256),
            *block(nn.Conv2d(c256, c256, 3, padding=1), c256),
            *block(nn.Conv2d(c256, c256, 3, padding=2, dilation=2), c256),
            *block(nn.Conv2d(c256, c256, 3, padding=4, dilation=4), c256),
            *block(nn.Conv2d(c256, c256, 3, padding=8, dilation=8), c256),
            *block(nn.Conv2d(c256, c256, 3, padding=16, dilation=16), c256),
            *block(nn.Conv2d(c256, c256, 3, padding=1), c256),
            *block(nn.Conv2d(c256, c256, 3, padding=1), c256),
            *block(nn.ConvTranspose2d(c256, c128, 4, stride=2, padding=1), c128),
            *block(nn.Conv2d(c128, c128, 3, padding=1), c128),
            *block(nn.ConvTranspose2d(c128, c64, 4, stride=2, padding=1), c64),
            *block(nn.Conv2d(c64, c32, 3, padding=1), c32),
            nn.Conv2d(c32, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Branch(nn.Module):
    """The local or the global discriminator: convolutions of 5 x 5 with stride 2, then 1024 features."""

    def __init__(self, size: int, convolutions: int, width: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        incoming = 3
        for index in range(convolutions):
            outgoing = max(1, round(min(64 * 2**index, 512) * width))
            layers += block(nn.Conv2d(incoming, outgoing, 5, stride=2, padding=2), outgoing)
            incoming, size = outgoing, (size + 1) // 2
        features = max(1, round(1024 * width))
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(incoming * size * size, features), nn.ReLU())
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Discriminator(nn.Module):
    """The probability of an image being real, from the image and its window."""

    def __init__(self, size: int, patch: int, width: float) -> None:
        super().__init__()
        self.whole = Branch(size, 6, width)
        self.window = Branch(patch, 5, width)
        self.joint = nn.Linear(self.whole.features + self.window.features, 1)

    def forward(self, image: Tensor, window: Tensor) -> Tensor:
        return self.joint(torch.cat([self.window(window), self.whole(image)], dim=1)).sigmoid()


class GLCIC(nn.Module):
    """The completion network and the discriminator, with their Adadelta optimizers.

    Args:
        size: side of the images in pixels; the window has half of it.
        mean_pixel: the colour that fills the hole, RGB in [0, 1].
        width: multiplier of all channel counts.
    """

    def __init__(self, size: int, mean_pixel: list[float], width: float = 1.0) -> None:
        super().__init__()
        self.patch = size // 2
        self.completion = Completion(width)
        self.discriminator = Discriminator(size, self.patch, width)
        self.mean_pixel: Tensor
        self.register_buffer("mean_pixel", torch.tensor(mean_pixel).view(1, 3, 1, 1))
        self.cross_entropy, self.squared_error = nn.BCELoss(), nn.MSELoss()
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def prepare(self) -> None:
        """Make the optimizers, after the networks were moved to their device."""
        for name, network in self.networks():
            self.optimizers[name] = torch.optim.Adadelta(network.parameters())

    def step(self, phase: str, batch: dict[str, Any]) -> dict[str, float]:
        """One training step; the losses by name. ``batch``: image, mask, and ``corners`` of the holes' windows."""
        image, mask = batch["image"], batch["mask"]
        logs: dict[str, Tensor] = {}
        visible = (image - self.mean_pixel) * (1 - mask)
        output = self.completion(torch.cat([visible, mask], dim=1))
        completed = output * mask + image * (1 - mask)
        fake_corners: Corners = batch["corners"]
        real_corners = fake_corners[-1:] + fake_corners[:-1]  # an area of its own for each real image

        if phase != "completion":
            self.optimizers["discriminator"].zero_grad()
            constant = completed.detach()
            fake = self.discriminator(constant, self.windows(constant, fake_corners))
            real = self.discriminator(image, self.windows(image, real_corners))
            logs["discriminator_fake"] = self.cross_entropy(fake, torch.zeros_like(fake))
            logs["discriminator_real"] = self.cross_entropy(real, torch.ones_like(real))
            (logs["discriminator_fake"] + logs["discriminator_real"]).backward()
            self.optimizers["discriminator"].step()

        if phase != "discriminator":
            self.optimizers["completion"].zero_grad()
            logs["reconstruction"] = self.squared_error(output * mask, image * mask)
            total = logs["reconstruction"]
            if phase == "joint":
                judged = self.discriminator(completed, self.windows(completed, fake_corners))
                logs["adversarial"] = self.cross_entropy(judged, torch.ones_like(judged))
                total = total + ALPHA * logs["adversarial"]
            total.backward()
            self.optimizers["completion"].step()
        return {name: loss.item() for name, loss in logs.items()}

    def windows(self, image: Tensor, corners: Corners) -> Tensor:
        """The window of each sample."""
        cut = [
            sample[:, top : top + self.patch, left : left + self.patch]
            for sample, (top, left) in zip(image, corners, strict=True)
        ]
        return torch.stack(cut)

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        """The networks that learn, by name."""
        yield "completion", self.completion
        yield "discriminator", self.discriminator


def window_corners(mask: Tensor, patch: int) -> Corners:
    """Top and left of the window centred on each hole, kept inside the image; a loader knows where it cut the hole."""
    corners = []
    for hole in mask[:, 0].cpu():
        rows, columns = (hole.amax(dim=dim).nonzero().flatten() for dim in (1, 0))
        side = [
            min(max((int(along[0]) + int(along[-1]) + 1 - patch) // 2, 0), length - patch)
            for along, length in zip((rows, columns), hole.shape, strict=True)
        ]
        corners.append((side[0], side[1]))
    return corners
