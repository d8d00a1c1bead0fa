"""The training steps of partial convolutions (Liu et al. 2018) in plain torch, in the order of naoto0804's code.

It has the paper's network, losses and phases. Nothing is optimized: masks have as many channels as the features that
they belong to and are counted by convolutions as wide as the network's, skips and masks are concatenated, VGG-16 runs
once for each picture and loss, and losses are read from the device in each step.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PHASES = ("train", "finetune")
WEIGHTS = {"valid": 1.0, "hole": 6.0, "perceptual": 0.05, "style": 120.0, "total_variation": 0.1}
RATES = {"train": 2e-4, "finetune": 5e-5}
LEVELS = 7  # those of 256 pixels; with 8 the deepest layer would be one pixel, which batch norm needs two pictures for


class PartialConvolutionLayer(nn.Module):
    """A partial convolution, batch norm, an activation."""

    def __init__(self, incoming: int, outgoing: int, kernel: int, stride: int, kind: str) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(incoming, outgoing, kernel, stride, kernel // 2, bias=False)
        self.counting = torch.ones(outgoing, incoming, kernel, kernel)
        self.bias = nn.Parameter(torch.zeros(outgoing)) if kind == "last" else None
        self.norm = nn.BatchNorm2d(outgoing) if kind not in ("first", "last") else None
        self.activation = {"decoder": nn.LeakyReLU(0.2), "last": nn.Identity()}.get(kind, nn.ReLU())

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        layer = self.convolution
        with torch.no_grad():
            count = F.conv2d(mask, self.counting.to(mask), None, layer.stride, layer.padding)
            updated = count.clamp(0, 1)
            ratio = updated * (layer.weight[0].numel() / (count + 1e-8))
        out = layer(x * mask) * ratio
        if self.bias is not None:
            out = (out + self.bias.view(1, -1, 1, 1)) * updated
        if self.norm is not None:
            out = self.norm(out)
        return self.activation(out), updated


class Network(nn.Module):
    """The U-Net."""

    def __init__(self, width: float) -> None:
        super().__init__()
        counts = [3, *(max(1, round(min(64 * 2**level, 512) * width)) for level in range(LEVELS))]
        kernels = [7, 5, 5] + [3] * (LEVELS - 3)
        self.encoder = nn.ModuleList(
            PartialConvolutionLayer(counts[i], counts[i + 1], kernels[i], 2, "encoder" if i else "first")
            for i in range(LEVELS)
        )
        self.decoder = nn.ModuleList(
            PartialConvolutionLayer(counts[i + 1] + counts[i], counts[i], 3, 1, "decoder" if i else "last")
            for i in reversed(range(LEVELS))
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        multiple = 2**LEVELS
        beyond = (0, -width % multiple, 0, -height % multiple)
        outputs = [(F.pad(x, beyond), F.pad(mask, beyond))]
        for layer in self.encoder:
            outputs.append(layer(*outputs[-1]))
        x, mask = outputs.pop()
        for layer in self.decoder:
            skip, skip_mask = outputs.pop()
            x = torch.cat([F.interpolate(x, scale_factor=2), skip], dim=1)
            mask = torch.cat([F.interpolate(mask, scale_factor=2), skip_mask], dim=1)
            x, mask = layer(x, mask)
        return x[..., :height, :width]


class VGG16(nn.Module):
    """The convolutions of VGG-16 up to pool3."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        incoming = 3
        for convolutions, channels in ((2, 64), (2, 128), (3, 256)):
            layers: list[nn.Module] = []
            for _ in range(convolutions):
                outgoing = max(1, round(channels * width))
                layers += [nn.Conv2d(incoming, outgoing, 3, padding=1), nn.ReLU(inplace=True)]
                incoming = outgoing
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for block in self.blocks:
            x = block(x)
            found.append(x)
        return found


class PartialConvolution(nn.Module):
    """The network and its Adam.

    Args:
        width: multiplier of all channel counts.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.network = Network(width)
        self.vgg = VGG16(width)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def prepare(self) -> None:
        """Make the optimizer, after the network was moved to its device."""
        self.optimizers["network"] = torch.optim.Adam(self.network.parameters(), lr=RATES["train"])

    def step(self, phase: str, batch: dict[str, Tensor]) -> dict[str, float]:
        """One training step.

        Args:
            phase: of the training.
            batch: image and mask, 1 = hole.

        Returns:
            The losses by name.
        """
        for module in self.network.encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.train(phase == "train")
                module.requires_grad_(phase == "train")
        for group in self.optimizers["network"].param_groups:
            group["lr"] = RATES[phase]
        truth = (batch["image"] - self.mean) / self.deviation
        valid = (1 - batch["mask"]).expand_as(truth)
        output = self.network(truth * valid, valid)
        composite = valid * truth + (1 - valid) * output
        losses = {
            "valid": F.l1_loss(valid * output, valid * truth),
            "hole": F.l1_loss((1 - valid) * output, (1 - valid) * truth),
            "perceptual": torch.zeros((), device=truth.device),
            "style": torch.zeros((), device=truth.device),
            "total_variation": self.variation(composite, batch["mask"]),
        }
        of_output, of_composite, of_truth = self.vgg(output), self.vgg(composite), self.vgg(truth)
        for seen, also, target in zip(of_output, of_composite, of_truth, strict=True):
            losses["perceptual"] = losses["perceptual"] + F.l1_loss(seen, target) + F.l1_loss(also, target)
            losses["style"] = (
                losses["style"] + F.l1_loss(gram(seen), gram(target)) + F.l1_loss(gram(also), gram(target))
            )
        self.optimizers["network"].zero_grad()
        torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum().backward()
        self.optimizers["network"].step()
        return {name: loss.item() for name, loss in losses.items()}

    def variation(self, composite: Tensor, mask: Tensor) -> Tensor:
        """The total variation of neighbours that both lie in the hole, grown by a pixel."""
        near = F.conv2d(mask, torch.ones(1, 1, 3, 3).to(mask), padding=1).clamp(0, 1)
        across = (composite[..., 1:] - composite[..., :-1]).abs() * near[..., 1:] * near[..., :-1]
        down = (composite[..., 1:, :] - composite[..., :-1, :]).abs() * near[..., 1:, :] * near[..., :-1, :]
        return across.mean() + down.mean()

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        """The network that learns, by name."""
        yield "network", self.network


def gram(features: Tensor) -> Tensor:
    """Gram matrices of features F: F F^T / (C H W)."""
    batch, channels, height, width = features.shape
    rows = features.view(batch, channels, height * width)
    return rows.bmm(rows.transpose(1, 2)) / (channels * height * width)
