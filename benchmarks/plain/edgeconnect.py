"""EdgeConnect's training steps as in its released code (knazeri/edge-connect), in plain torch.

Nothing is optimized: sigmoids and binary cross entropy on probabilities, two VGG-19s that compute all their layers, a
separate pass for each picture and loss, three passes of a discriminator per step, torch's instance norm, and losses
read from the device in each step. The released order (both backward passes after both forward passes) fails on current
torch, so the discriminator steps before its third pass here. The released joint stage crashes, so its losses are
summed.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

STAGES = ("edge", "inpaint", "edge_inpaint", "joint")


class ResidualBlock(nn.Module):
    """x + two convolutions of 3 x 3, the first dilated by 2."""

    def __init__(self, channels: int, spectral: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.ReflectionPad2d(2),
            wrap(nn.Conv2d(channels, channels, 3, dilation=2, bias=not spectral), spectral),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            wrap(nn.Conv2d(channels, channels, 3, bias=not spectral), spectral),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class Generator(nn.Module):
    """The body of G1 (spectral norm on all but the last layer) and of G2 (without)."""

    def __init__(self, incoming: int, outgoing: int, width: float, spectral: bool) -> None:
        super().__init__()
        few, more, many = (max(1, round(base * width)) for base in (64, 128, 256))
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(3),
            wrap(nn.Conv2d(incoming, few, 7), spectral),
            nn.InstanceNorm2d(few),
            nn.ReLU(),
            wrap(nn.Conv2d(few, more, 4, stride=2, padding=1), spectral),
            nn.InstanceNorm2d(more),
            nn.ReLU(),
            wrap(nn.Conv2d(more, many, 4, stride=2, padding=1), spectral),
            nn.InstanceNorm2d(many),
            nn.ReLU(),
            *(ResidualBlock(many, spectral) for _ in range(8)),
            wrap(nn.ConvTranspose2d(many, more, 4, stride=2, padding=1), spectral),
            nn.InstanceNorm2d(more),
            nn.ReLU(),
            wrap(nn.ConvTranspose2d(more, few, 4, stride=2, padding=1), spectral),
            nn.InstanceNorm2d(few),
            nn.ReLU(),
            nn.ReflectionPad2d(3),
            nn.Conv2d(few, outgoing, 7),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Discriminator(nn.Module):
    """D1 and D2: the probability of each patch being real, and the outputs of the five layers."""

    def __init__(self, incoming: int, width: float) -> None:
        super().__init__()
        sizes = [incoming, *(max(1, round(base * width)) for base in (64, 128, 256, 512)), 1]
        self.layers = nn.ModuleList(
            wrap(nn.Conv2d(sizes[i], sizes[i + 1], 4, stride=2 if i < 3 else 1, padding=1, bias=False), True)
            for i in range(5)
        )
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
            features.append(x)
        logits = self.layers[-1](x)
        return logits.sigmoid(), [*features, logits]


class VGG19(nn.Module):
    """All 16 convolutions of VGG-19 and the output of each of its ReLUs by name."""

    def __init__(self, width: float) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        incoming = 3
        for block, (count, base) in enumerate([(2, 64), (2, 128), (4, 256), (4, 512), (4, 512)], start=1):
            for number in range(1, count + 1):
                outgoing = max(1, round(base * width))
                layers[f"conv{block}_{number}"] = nn.Conv2d(incoming, outgoing, 3, padding=1)
                layers[f"relu{block}_{number}"] = nn.ReLU()
                incoming = outgoing
            layers[f"pool{block}"] = nn.MaxPool2d(2)
        del layers["pool5"]
        self.layers = nn.ModuleDict(layers)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = {}
        for name, layer in self.layers.items():
            x = layer(x)
            if name.startswith("relu"):
                features[name] = x
        return features


class EdgeConnect(nn.Module):
    """The four networks, two VGG-19s and four Adams.

    Args:
        width: multiplier of all channel counts.
        learning_rate: of the generators.
        discriminator_ratio: the discriminators' rate in units of it.
    """

    def __init__(self, width: float = 1.0, learning_rate: float = 1e-4, discriminator_ratio: float = 0.1) -> None:
        super().__init__()
        self.edge_generator = Generator(3, 1, width, spectral=True)
        self.edge_discriminator = Discriminator(2, width)
        self.inpaint_generator = Generator(4, 3, width, spectral=False)
        self.inpaint_discriminator = Discriminator(3, width)
        self.perceptual_vgg, self.style_vgg = VGG19(width), VGG19(width)
        self.cross_entropy, self.l1 = nn.BCELoss(), nn.L1Loss()
        self.rates = (learning_rate, learning_rate * discriminator_ratio)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def prepare(self) -> None:
        """Make the optimizers, after the networks were moved to their device."""
        generator, discriminator = self.rates
        for name, rate in (
            ("edge_generator", generator),
            ("edge_discriminator", discriminator),
            ("inpaint_generator", generator),
            ("inpaint_discriminator", discriminator),
        ):
            self.optimizers[name] = torch.optim.Adam(getattr(self, name).parameters(), lr=rate, betas=(0.0, 0.9))

    def step(self, stage: str, batch: dict[str, Tensor]) -> dict[str, float]:
        """One training step.

        Args:
            stage: of the training.
            batch: as from the released loader: image, gray, edges, mask.

        Returns:
            The losses by name.
        """
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        edges, mask = batch["edges"], batch["mask"]
        logs: dict[str, Tensor] = {}
        totals: list[Tensor] = []
        if stage != "inpaint":
            drawn = self.draw(batch["gray"], edges, mask)
            if stage == "edge_inpaint":
                drawn = drawn.detach()
            else:
                totals.append(self.judge_edges(batch["gray"], edges, drawn, logs))
            edges = drawn * mask + edges * (1 - mask)
        if stage != "edge":
            totals.append(self.judge_image(batch["image"], edges, mask, logs))
        torch.stack(totals).sum().backward()
        for name in {"edge": ["edge"], "joint": ["edge", "inpaint"]}.get(stage, ["inpaint"]):
            self.optimizers[f"{name}_generator"].step()
        return {name: loss.item() for name, loss in logs.items()}

    def draw(self, gray: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        """G1's edges from the masked gray image, the masked edges and the mask."""
        return self.edge_generator(torch.cat([gray * (1 - mask) + mask, edges * (1 - mask), mask], dim=1)).sigmoid()

    def paint(self, image: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        """G2's image from the masked one and the edges."""
        return (self.inpaint_generator(torch.cat([image * (1 - mask) + mask, edges], dim=1)).tanh() + 1) / 2

    def judge_edges(self, gray: Tensor, edges: Tensor, drawn: Tensor, logs: dict[str, Tensor]) -> Tensor:
        """A step of D1, then G1's loss."""
        real, real_features = self.edge_discriminator(torch.cat([gray, edges], dim=1))
        fake, _ = self.edge_discriminator(torch.cat([gray, drawn.detach()], dim=1))
        self.discriminate("edge_discriminator", real, fake, logs)

        fake, fake_features = self.edge_discriminator(torch.cat([gray, drawn], dim=1))
        logs["edge_adversarial"] = self.cross_entropy(fake, torch.ones_like(fake))
        matching = torch.zeros((), device=gray.device)
        for fake_map, real_map in zip(fake_features, real_features, strict=True):
            matching = matching + self.l1(fake_map, real_map.detach())
        logs["edge_feature_matching"] = matching
        return logs["edge_adversarial"] + 10 * matching

    def judge_image(self, image: Tensor, edges: Tensor, mask: Tensor, logs: dict[str, Tensor]) -> Tensor:
        """G2's image, a step of D2, then G2's loss."""
        output = self.paint(image, edges, mask)
        real, _ = self.inpaint_discriminator(image)
        fake, _ = self.inpaint_discriminator(output.detach())
        self.discriminate("inpaint_discriminator", real, fake, logs)

        fake, _ = self.inpaint_discriminator(output)
        logs["inpaint_adversarial"] = self.cross_entropy(fake, torch.ones_like(fake))
        logs["inpaint_l1"] = self.l1(output, image) / mask.mean()
        logs["inpaint_perceptual"] = self.perceptual(output, image)
        logs["inpaint_style"] = self.style(output * mask, image * mask)
        return (
            0.1 * logs["inpaint_adversarial"]
            + logs["inpaint_l1"]
            + 0.1 * logs["inpaint_perceptual"]
            + 250 * logs["inpaint_style"]
        )

    def discriminate(self, name: str, real: Tensor, fake: Tensor, logs: dict[str, Tensor]) -> None:
        """A discriminator's losses and its step."""
        logs[f"{name}_real"] = self.cross_entropy(real, torch.ones_like(real))
        logs[f"{name}_fake"] = self.cross_entropy(fake, torch.zeros_like(fake))
        ((logs[f"{name}_real"] + logs[f"{name}_fake"]) / 2).backward()
        self.optimizers[name].step()

    def perceptual(self, output: Tensor, image: Tensor) -> Tensor:
        """The perceptual loss: mean absolute differences of VGG-19's features."""
        theirs, truth = self.perceptual_vgg(output), self.perceptual_vgg(image)
        loss = torch.zeros((), device=output.device)
        for name in ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"):
            loss = loss + self.l1(theirs[name], truth[name])
        return loss

    def style(self, output: Tensor, image: Tensor) -> Tensor:
        """The style loss: mean absolute differences of Gram matrices."""
        theirs, truth = self.style_vgg(output), self.style_vgg(image)
        loss = torch.zeros((), device=output.device)
        for name in ("relu2_2", "relu3_4", "relu4_4", "relu5_2"):
            loss = loss + self.l1(gram(theirs[name]), gram(truth[name]))
        return loss

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        """The networks that learn, by name."""
        for name in ("edge_generator", "edge_discriminator", "inpaint_generator", "inpaint_discriminator"):
            yield name, getattr(self, name)


def gram(features: Tensor) -> Tensor:
    """Gram matrices of features F: F F^T / (C H W)."""
    batch, channels, height, width = features.shape
    rows = features.view(batch, channels, height * width)
    return rows.bmm(rows.transpose(1, 2)) / (channels * height * width)


def wrap(layer: nn.Conv2d | nn.ConvTranspose2d, spectral: bool) -> nn.Module:
    """Weights from N(0, 0.02), biases 0, then spectral norm where it belongs."""
    nn.init.normal_(layer.weight, 0.0, 0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return nn.utils.spectral_norm(layer) if spectral else layer
