"""EdgeConnect: Nazeri, Ng, Joseph, Qureshi, Ebrahimi, "EdgeConnect: Generative Image Inpainting with Adversarial
Edge Learning", 2019. Where paper and released code differ, this is the released code.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import Adam, Optimizer
from torchmetrics.classification import BinaryPrecision, BinaryRecall

from inpaintlab.edges import canny, rgb_to_gray
from inpaintlab.inpainter import Inpainter, Losses, evaluating, frozen, hide
from inpaintlab.layers import InstanceNorm, channels
from inpaintlab.losses import VGG19, AdversarialLoss, feature_matching, l1_per_hole, perceptual, style, weigh
from inpaintlab.schedule import Phase, Schedule
from inpaintlab.shapes import Images, Planes


class EdgeGenerator(nn.Module):
    """G1: draws the edges of the hole. 10,761,089 parameters at width 1, spectral norm on all but the last layer."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.body = _generator(3, 1, width, spectral=True)

    def forward(self, gray: Planes, known_edges: Planes, mask: Planes) -> Planes:
        """The probability of an edge at every pixel. ``gray`` is made white, ``known_edges`` 0, in the hole."""
        return self.body(torch.cat([gray * (1 - mask) + mask, known_edges * (1 - mask), mask], dim=1)).sigmoid()


class InpaintGenerator(nn.Module):
    """G2: paints the image over the edges. 10,774,595 parameters at width 1, no spectral norm."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        self.body = _generator(4, 3, width, spectral=False)

    def forward(self, visible: Images, edges: Planes, mask: Planes) -> Images:
        """RGB in [0, 1]. The hole is made white; the mask itself is not an input."""
        return (self.body(torch.cat([visible * (1 - mask) + mask, edges], dim=1)).tanh() + 1) / 2


class PatchDiscriminator(nn.Module):
    """D1 and D2: PatchGAN of 70 x 70 pixels with spectral norm, no biases and no other norm."""

    def __init__(self, incoming: int, width: float = 1.0) -> None:
        super().__init__()
        sizes = [incoming, *(channels(base, width) for base in (64, 128, 256, 512)), 1]
        self.layers = nn.ModuleList(
            spectral_norm(_initialised(nn.Conv2d(sizes[i], sizes[i + 1], 4, 2 if i < 3 else 1, 1, bias=False)))
            for i in range(5)
        )
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: Float[Tensor, "batch planes height width"]) -> list[Tensor]:
        """The outputs of the five layers, the last of them the logit of each patch being real."""
        features = []
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
            features.append(x)
        return [*features, self.layers[-1](x)]


class EdgeConnect(Inpainter):
    """Edge generator G1 and inpainting generator G2 with their discriminators D1 and D2, trained in phases.

    ``edge`` trains G1 and D1 (the released code's MODEL 1); ``inpaint`` trains G2 and D2 on true edges (MODEL 2);
    ``edge_inpaint`` trains them on the edges of the fixed G1 (MODEL 3); ``joint`` trains all four networks, G1 on its
    own losses and on G2's (MODEL 4, whose losses are summed here: as released it crashes).

    Each step updates a discriminator first and then its generator through the updated, frozen discriminator; the
    released order fails on current torch.

    Args:
        schedule: lengths of the phases edge, inpaint, edge_inpaint, joint.
        weights: weights of the losses of ``edge``, ``inpaint`` and the ``discriminator``. None instead of a number
            switches the perceptual or the style loss off; without both, no VGG-19 is needed.
        gan: the adversarial losses.
        width: multiplier of all channel counts; 1 is the paper's.
        learning_rate: Adam's for the generators.
        discriminator_ratio: the discriminators' learning rate in units of the generators'.
        betas: Adam's.
        sigma: of the Canny edges' Gaussian, in pixels: a number; a range [low, high] to draw an integer per training
            sample, evaluated at its middle rounded down; or None for no known edges at all.
        vgg: weights of the perceptual and style loss: 'imagenet', a file, or 'random' (as narrow as ``width``).
            Needed for training only.
    """

    PHASES = ("edge", "inpaint", "edge_inpaint", "joint")

    def __init__(
        self,
        *,
        schedule: Schedule,
        weights: Mapping[str, Mapping[str, float | None]],
        gan: AdversarialLoss,
        width: float,
        learning_rate: float,
        discriminator_ratio: float,
        betas: Sequence[float],
        sigma: float | Sequence[int] | None,
        vgg: str,
    ) -> None:
        super().__init__(schedule, learning_rate, stride=4, smallest=12)
        schedule.require(self.PHASES)
        self.weights = {
            network: {name: weight for name, weight in losses.items() if weight is not None}
            for network, losses in weights.items()
        }
        self.gan = gan
        self.discriminator_ratio = discriminator_ratio
        self.betas = (float(betas[0]), float(betas[1]))
        self.sigma = sigma
        self.width = width
        self.vgg_weights = vgg
        self.vgg: tuple[VGG19, ...] = ()  # in a tuple: frozen, so neither a checkpoint nor an optimizer sees it
        self.edge_generator = EdgeGenerator(width)
        self.edge_discriminator = PatchDiscriminator(2, width)
        self.inpaint_generator = InpaintGenerator(width)
        self.inpaint_discriminator = PatchDiscriminator(3, width)
        self.edge_precision = BinaryPrecision()
        self.edge_recall = BinaryRecall()

    # --- completion ------------------------------------------------------------------------------------------------

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """G2's raw output on the known region's Canny edges and, in the hole, a user's ``edges`` or else G1's."""
        return self.inpaint_generator(visible, self.edges_from_known(visible, mask, edges), mask)

    def edges_from_known(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Planes:
        """The edge map that G2 gets outside training: no pixel of the hole has a say in it.

        Canny ignores the hole, as in the released test script; the known region keeps its Canny edges, as in the
        released training (the released test script feeds G2 the raw output of G1 there).
        """
        gray = rgb_to_gray(visible)
        known_edges = self.canny_edges(gray, known=1 - mask)
        drawn = self.edge_generator(gray, known_edges, mask) if edges is None else edges
        return drawn * mask + known_edges * (1 - mask)

    def canny_edges(self, gray: Planes, known: Planes | None = None) -> Planes:
        """Canny edges at this model's sigma; drawn per sample from a range while training."""
        if self.sigma is None:
            return torch.zeros_like(gray)
        if not isinstance(self.sigma, Sequence):
            return canny(gray, float(self.sigma), known)
        low, high = self.sigma
        if self.training:
            return canny(gray, [float(s) for s in torch.randint(low, high + 1, (len(gray),))], known)
        return canny(gray, float((low + high) // 2), known)

    def inner_pictures(self, visible: Images, mask: Planes) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """The edges that G2 paints over."""
        return {"edges": self.edges_from_known(visible, mask)}

    # --- training --------------------------------------------------------------------------------------------------

    def learn(self, batch: dict[str, Any], phase: Phase) -> Losses:
        """One batch of a phase: the discriminators first, then the generators through them, down one summed loss."""
        image, mask = batch["image"], batch["mask"]
        gray = rgb_to_gray(image)
        # The whole image's edges, as in the released training; edges from files, where the data have them.
        true_edges = batch["edges"] if "edges" in batch else self.canny_edges(gray)
        optimizer_g1, optimizer_d1, optimizer_g2, optimizer_d2 = self.optimizers()  # type: ignore[attr-defined]
        losses: Losses = {}
        totals: list[Tensor] = []
        edges = true_edges

        if phase.name in ("edge", "joint"):
            drawn = self.edge_generator(gray, true_edges, mask)
            real, fake = torch.cat([gray, true_edges], dim=1), torch.cat([gray, drawn], dim=1)
            d_losses = self.discriminator_losses(self.edge_discriminator, real, fake)
            self.descend(weigh(d_losses, self.weights["discriminator"]), optimizer_d1)
            g_losses = self.edge_losses(real, fake)
            totals.append(weigh(g_losses, self.weights["edge"]))
            losses |= _named("edge", g_losses) | _named("edge_discriminator", d_losses)
            edges = drawn * mask + true_edges * (1 - mask)

        if phase.name == "edge_inpaint":
            with torch.no_grad(), evaluating(self.edge_generator):
                drawn = self.edge_generator(gray, true_edges, mask)
            edges = drawn * mask + true_edges * (1 - mask)

        if phase.name != "edge":
            output = self.inpaint_generator(image, edges, mask)
            d_losses = self.discriminator_losses(self.inpaint_discriminator, image, output)
            self.descend(weigh(d_losses, self.weights["discriminator"]), optimizer_d2)
            g_losses = self.inpaint_losses(image, output, mask)
            totals.append(weigh(g_losses, self.weights["inpaint"]))
            losses |= _named("inpaint", g_losses) | _named("inpaint_discriminator", d_losses)

        learning = {"edge": [optimizer_g1], "joint": [optimizer_g1, optimizer_g2]}.get(phase.name, [optimizer_g2])
        self.descend(torch.stack(totals).sum(), *learning)
        return losses

    def discriminator_losses(self, discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> Losses:
        """What the discriminator loses on real and generated input, in a forward pass each."""
        return {
            "real": self.gan.real(discriminator(real)[-1]),
            "fake": self.gan.fake(discriminator(fake.detach())[-1]),
        }

    def edge_losses(
        self, real: Float[Tensor, "batch 2 height width"], fake: Float[Tensor, "batch 2 height width"]
    ) -> Losses:
        """G1's losses through the frozen D1, on the unmasked gray image with true and with drawn edges.

        The drawn edges are G1's raw output over the whole image, not a composite.
        """
        with frozen(self.edge_discriminator):
            fake_features = self.edge_discriminator(fake)
            with torch.no_grad():
                real_features = self.edge_discriminator(real)
        return {
            "adversarial": self.gan.generator(fake_features[-1]),
            "feature_matching": feature_matching(fake_features, real_features),
        }

    def inpaint_losses(self, image: Images, output: Images, mask: Planes) -> Losses:
        """G2's losses on its raw output, through the frozen D2 and VGG-19; the style is compared in the hole alone."""
        with frozen(self.inpaint_discriminator):
            logits = self.inpaint_discriminator(output)[-1]
        losses = {"l1": l1_per_hole(output, image, mask), "adversarial": self.gan.generator(logits)}
        if "perceptual" in self.weights["inpaint"]:
            losses["perceptual"] = perceptual(self.features(output), self.constant_features(image))
        if "style" in self.weights["inpaint"]:
            losses["style"] = style(self.features(output * mask), self.constant_features(image * mask))
        return losses

    def features(self, image: Images) -> dict[str, Tensor]:
        """VGG-19's feature maps of an image."""
        return self.vgg[0](image)

    @torch.no_grad()
    def constant_features(self, image: Images) -> dict[str, Tensor]:
        """The feature maps of a target, which no gradient passes."""
        return self.features(image)

    def configure_optimizers(self) -> list[Optimizer]:
        """Adam for each of G1, D1, G2, D2."""
        ratios = {
            self.edge_generator: 1.0,
            self.edge_discriminator: self.discriminator_ratio,
            self.inpaint_generator: 1.0,
            self.inpaint_discriminator: self.discriminator_ratio,
        }
        return [
            Adam([{"params": net.parameters(), "lr_ratio": ratio}], self.learning_rate * ratio, self.betas)
            for net, ratio in ratios.items()
        ]

    def loss_weights(self) -> dict[str, Mapping[str, float]]:
        """The YAML's weights."""
        return dict(self.weights)

    def setup(self, stage: str) -> None:
        """Fetch the VGG-19 before anything long starts, if a phase to come needs it."""
        assert self.schedule is not None
        painting = any(phase.batches for phase in self.schedule.phases if phase.name != "edge")
        looking = self.weights["inpaint"].keys() & {"perceptual", "style"}
        if stage == "fit" and painting and looking and not self.vgg:
            self.vgg = (VGG19(self.vgg_weights, self.width),)

    def on_fit_start(self) -> None:
        """Move the VGG-19, which Lightning does not see, to where the networks are."""
        for network in self.vgg:
            network.to(self.device)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Complete the batch, and score G1's edges in the hole against the whole image's, at threshold 0.5."""
        image, mask = batch["image"], batch["mask"]
        gray = rgb_to_gray(hide(image, mask))
        drawn = self.edge_generator(gray, self.canny_edges(gray, known=1 - mask), mask)
        true_edges = self.canny_edges(rgb_to_gray(image))
        # Known pixels become true negatives, which neither precision nor recall counts.
        for metric, name in ((self.edge_precision, "edge_precision"), (self.edge_recall, "edge_recall")):
            metric.update((drawn * mask).flatten(), (true_edges * mask).flatten().int())
            self.log(f"val/{name}", metric)
        return self.test_step(batch, batch_idx)


def _named(prefix: str, losses: Losses) -> Losses:
    return {f"{prefix}_{name}": loss for name, loss in losses.items()}


def _generator(incoming: int, outgoing: int, width: float, spectral: bool) -> nn.Sequential:
    """The body that G1 and G2 share: two downsamplings, eight residual blocks, two upsamplings."""
    c64, c128, c256 = (channels(base, width) for base in (64, 128, 256))
    wrap = spectral_norm if spectral else _as_it_is
    middle = [ResidualBlock(c256, spectral) for _ in range(8)]
    return nn.Sequential(
        nn.ReflectionPad2d(3),
        *_block(wrap(_initialised(nn.Conv2d(incoming, c64, 7))), c64),
        *_block(wrap(_initialised(nn.Conv2d(c64, c128, 4, 2, 1))), c128),
        *_block(wrap(_initialised(nn.Conv2d(c128, c256, 4, 2, 1))), c256),
        *middle,
        *_block(wrap(_initialised(nn.ConvTranspose2d(c256, c128, 4, 2, 1))), c128),
        *_block(wrap(_initialised(nn.ConvTranspose2d(c128, c64, 4, 2, 1))), c64),
        nn.ReflectionPad2d(3),
        _initialised(nn.Conv2d(c64, outgoing, 7)),
    )


class ResidualBlock(nn.Module):
    """x + block(x), the first convolution dilated by 2; no activation after the sum, no biases under spectral norm."""

    def __init__(self, width: int, spectral: bool) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else _as_it_is
        self.block = nn.Sequential(
            nn.ReflectionPad2d(2),
            *_block(wrap(_initialised(nn.Conv2d(width, width, 3, dilation=2, bias=not spectral))), width),
            nn.ReflectionPad2d(1),
            wrap(_initialised(nn.Conv2d(width, width, 3, bias=not spectral))),
            InstanceNorm(width),
        )

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features height width"]:
        """Same shape as the input."""
        return x + self.block(x)


def _block(convolution: nn.Module, width: int) -> list[nn.Module]:
    return [convolution, InstanceNorm(width), nn.ReLU()]


def _initialised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Conv2d | nn.ConvTranspose2d:
    """Weights from N(0, 0.02), biases 0: before spectral norm wraps the weight, afterwards it would change nothing."""
    nn.init.normal_(convolution.weight, 0.0, 0.02)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def _as_it_is(module: nn.Module) -> nn.Module:
    return module
