"""EdgeConnect: Nazeri, Ng, Joseph, Qureshi, Ebrahimi, "EdgeConnect: Generative Image Inpainting with Adversarial
Edge Learning", 2019. Where paper and released code (knazeri/edge-connect) differ, an argument chooses.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim import Adam, Optimizer
from torchmetrics.classification import BinaryPrecision, BinaryRecall

from inpaintlab.edges import EdgeSource
from inpaintlab.imaging import mean_colour, rgb_to_gray
from inpaintlab.inpainting import BATCH_BY_BATCH, Learner, Losses, Schedule, Steps, evaluating, frozen, hide, weigh
from inpaintlab.layers import Context, channels, context_of
from inpaintlab.losses import VGG, VGG19, AdversarialLoss, feature_matching, l1_per_hole, perceptual_loss, style_loss
from inpaintlab.recipes import require_flag, require_one_of
from inpaintlab.shapes import Images, Planes

FILLS = {"white": 1.0, "zero": 0.0}


class EdgeGenerator(nn.Module):
    """G1: draws the edges in the hole. 10,761,089 parameters at width 1, spectral norm on all but the last layer."""

    def __init__(self, width: float = 1.0, *, spectral: bool = True, fill: float = 1.0) -> None:
        super().__init__()
        self.body = _generator(3, 1, width, spectral)
        self.fill = fill

    def forward(self, gray: Planes, known_edges: Planes, mask: Planes) -> Planes:
        """The probability of an edge at every pixel. In the hole ``gray`` is filled and ``known_edges`` are 0."""
        filled = gray * (1 - mask) + self.fill * mask
        return self.body(torch.cat([filled, known_edges * (1 - mask), mask], dim=1)).sigmoid()


class InpaintGenerator(nn.Module):
    """G2: paints the image from its edges. 10,774,595 parameters at width 1 without spectral norm.

    With ``offsets`` (ours) its colours are counted from the mean of the known ones, with which it starts.
    """

    def __init__(self, width: float = 1.0, *, spectral: bool = False, fill: float = 1.0, offsets: bool = False) -> None:
        super().__init__()
        self.body = _generator(4, 3, width, spectral)
        self.fill = fill
        self.offsets = offsets
        if offsets:
            nn.init.zeros_(self.body[-1].weight)  # type: ignore[arg-type]

    def forward(self, visible: Images, edges: Planes, mask: Planes) -> Images:
        """The raw output, RGB in [0, 1], or beyond with offsets. The mask says what is known; it is no input plane."""
        filled = visible * (1 - mask) + self.fill * mask
        output = self.body(torch.cat([filled, edges], dim=1)).tanh()
        return mean_colour(visible, 1 - mask) + output if self.offsets else (output + 1) / 2


class PatchDiscriminator(nn.Module):
    """D1 and D2: PatchGAN with a receptive field of 70 x 70 pixels and no norm, or spectral norm and no biases."""

    def __init__(self, incoming: int, width: float = 1.0, *, spectral: bool = True) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else nn.Identity()
        sizes = [incoming, *(channels(base, width) for base in (64, 128, 256, 512)), 1]
        self.layers = nn.ModuleList(
            wrap(_initialised(nn.Conv2d(sizes[i], sizes[i + 1], 4, 2 if i < 3 else 1, 1, bias=not spectral)))
            for i in range(5)
        )
        self.activation = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x: Float[Tensor, "batch planes height width"]) -> list[Tensor]:
        """The feature maps of the first four layers, and last the logit of each patch: how real it looks."""
        features = []
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
            features.append(x)
        return [*features, self.layers[-1](x)]


class EdgeConnect(Learner):
    """Edge generator G1 and inpainting generator G2 with their discriminators D1 and D2, trained in phases.

    ``edge`` trains G1 and D1 (the released code's MODEL 1); ``inpaint`` trains G2 and D2 on true edges (MODEL 2);
    ``edge_inpaint`` trains them on the edges of the fixed G1 (MODEL 3); ``joint`` trains G1 and G2 end to end (MODEL 4,
    which crashes as released; here its losses are summed).

    Each step updates a discriminator first, and then its generator through the updated, frozen discriminator. The
    order of the released code fails on current torch.

    Args:
        schedule: of the phases edge, inpaint, edge_inpaint, joint.
        weights: of the losses of ``edge``, ``inpaint`` and the ``discriminator``. None switches one
            of G2's off: adversarial (and D2), perceptual or style; without the last two, no VGG is needed.
        gan: the adversarial loss.
        edges: where the edges come from that are learnt from, and those that are known at completion.
        width: multiplier of all channel counts; 1 is the paper's.
        learning_rate: Adam's for the generators.
        discriminator_ratio: the discriminators' learning rate in units of the generators'.
        betas: Adam's.
        vgg: weights of the perceptual and style loss: of VGG-19 'imagenet', a file, or 'random' (as narrow as
            ``width``); or 'hed', another network's. Needed for training only.
        vgg_normalised: whether VGG-19's input is normalised by ImageNet's mean and deviation, as it was trained.
        spectral_norm: the networks that have spectral norm.
        fill: of the hole in the generators' input: 'white' or 'zero'.
        output: of G2: 'colours', or 'offsets' from the mean colour of the known pixels.
        conditional: whether D2 gets G2's edges beside the image.
        style_region: where the style is compared: in the 'hole' or in the 'known' region.
        joint: G1's losses in phase ``joint``: 'code' (its own through D1, and G2's) or 'paper' (G2's alone, no D1).
        train_edges: known edges in training: of the 'whole' image, whose edges at the hole's rim depend on the pixels
            inside, or of the 'known' region only. In the hole they are hidden.
        test_edges: the same for completion. 'whole' makes the method an oracle, and tables say so.
        hole_edges: G2's edges in the hole at completion: 'drawn' by G1; the 'original' ones of the whole image, which
            makes the method an oracle (the column Canny of the paper's Table 1); or 'none'.
        test_composite: whether at completion G2 gets the known edges outside the hole, as in training; if not, it gets
            G1's drawing everywhere, as in the released test script.
        steps: how batches become steps.

    Raises:
        ValueError: a setting that is none of its choices.
    """

    stride = 4
    smallest = 12
    NETWORKS = ("edge_generator", "edge_discriminator", "inpaint_generator", "inpaint_discriminator")
    adversaries: Mapping[str, str] = {NETWORKS[1]: NETWORKS[0], NETWORKS[3]: NETWORKS[2]}

    def __init__(
        self,
        *,
        schedule: Schedule,
        weights: Mapping[str, Mapping[str, float | None]],
        gan: AdversarialLoss,
        edges: EdgeSource,
        width: float,
        learning_rate: float,
        discriminator_ratio: float,
        betas: Sequence[float],
        vgg: str,
        vgg_normalised: bool,
        spectral_norm: Sequence[str],
        fill: str,
        output: str,
        conditional: bool,
        style_region: str,
        joint: str,
        train_edges: str,
        test_edges: str,
        hole_edges: str,
        test_composite: bool,
        steps: Steps = BATCH_BY_BATCH,
    ) -> None:
        super().__init__(schedule, learning_rate, steps)
        self.weights = {
            network: {name: weight for name, weight in losses.items() if weight is not None}
            for network, losses in weights.items()
        }
        self.gan, self.edges, self.discriminator_ratio = gan, edges, discriminator_ratio
        self.betas = (float(betas[0]), float(betas[1]))
        self.width, self.vgg_weights = width, vgg
        self.vgg_normalised = require_flag("model.vgg_normalised", vgg_normalised)
        if vgg == "hed" and vgg_normalised:
            raise ValueError("model.vgg_normalised is for VGG-19; with model.vgg=hed leave it false.")
        if not isinstance(spectral_norm, Sequence) or isinstance(spectral_norm, str):
            raise ValueError(f"model.spectral_norm is '{spectral_norm}'; give a list of networks, [] for none.")
        self.spectral_norm = [require_one_of("model.spectral_norm", name, self.NETWORKS) for name in spectral_norm]
        self.conditional = require_flag("model.conditional", conditional)
        self.style_region = require_one_of("model.style_region", style_region, ("hole", "known"))
        self.joint = require_one_of("model.joint", joint, ("code", "paper"))
        self.train_edges = require_one_of("model.train_edges", train_edges, ("whole", "known"))
        self.test_edges = require_one_of("model.test_edges", test_edges, ("known", "whole"))
        self.test_composite = require_flag("model.test_composite", test_composite)
        self.hole_edges = require_one_of("model.hole_edges", hole_edges, ("drawn", "original", "none"))
        if edges.draws and (hole_edges, test_edges) != ("drawn", "known"):
            raise ValueError("model/edges=drawn wants model.hole_edges=drawn and model.test_edges=known beside it.")
        self.sees_truth = test_edges == "whole" or hole_edges == "original"
        self.oracle = self.sees_truth or edges.draws
        self.reads_edges, self.sources = edges.reads, (edges,)
        self.drawn: Planes | None = None  # by G1 at the last completion
        self.vgg: tuple[VGG, ...] = ()  # in a tuple, so that no checkpoint and no optimizer gets it
        told = ("conditional", "style_region", "joint", "train_edges", "test_edges", "hole_edges", "test_composite")
        self.choices = {
            "gan": type(gan).__name__,
            "edges": edges.in_words(),
            "spectral_norm": ", ".join(spectral_norm) or "none",
            "fill": require_one_of("model.fill", fill, FILLS),
            "output": require_one_of("model.output", output, ("colours", "offsets")),
            **{name: getattr(self, name) for name in told},
            "vgg": VGG.kind(vgg, self.weights["inpaint"]),
            "vgg_normalised": vgg_normalised,
        }
        g1, d1, g2, d2 = (name in self.spectral_norm for name in self.NETWORKS)
        self.edge_generator = EdgeGenerator(width, spectral=g1, fill=FILLS[fill])
        self.edge_discriminator = PatchDiscriminator(2, width, spectral=d1)
        self.inpaint_generator = InpaintGenerator(width, spectral=g2, fill=FILLS[fill], offsets=output == "offsets")
        self.inpaint_discriminator = PatchDiscriminator(4 if conditional else 3, width, spectral=d2)
        self.edge_precision = BinaryPrecision()
        self.edge_recall = BinaryRecall()

    # --- completion ------------------------------------------------------------------------------------------------

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """G2's raw output from the source's edges in the known region and G1's, or a user's ``edges``, in the hole.

        ``edges`` are the true ones of a model that is to see these, and the files' of one whose source reads files;
        both are used in the known region, and G1's in the hole, unless drawings or ``hole_edges`` take their place.
        """
        return self.inpaint_generator(visible, self.edge_map(visible, mask, edges), mask)

    @property
    def context(self) -> Context:
        """What G2 sees of edges that G1 draws of what it sees."""
        return context_of([self.edge_generator.body, self.inpaint_generator.body], self.stride)

    def edge_map(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Planes:
        """G2's edges at completion, with arguments as in ``forward``; only an oracle's depend on hidden pixels."""
        self.drawn = None
        if edges is not None and self.hole_edges == "original":
            return edges
        known_edges = self.known_edges(visible, mask, edges)
        users = not self.reads_edges and not self.sees_truth
        if (drawing := edges if users else self.edges.in_hole(edges)) is not None:
            return drawing * mask + known_edges * (1 - mask)
        if self.hole_edges != "drawn":
            return known_edges * (1 - mask)
        drawn = self.edge_generator(rgb_to_gray(visible), known_edges, mask)
        self.drawn = drawn.detach()
        return drawn * mask + known_edges * (1 - mask) if self.test_composite else drawn

    def known_edges(self, image: Images, mask: Planes, edges: Planes | None) -> Planes:
        """The source's edges without the hole's pixels, as in the released test script, or an oracle's true edges."""
        if self.test_edges == "whole" and edges is not None:
            return edges
        return self.edges.known(image, mask, given=edges)

    def true_edges(self, image: Images, edges: Planes | None = None) -> Planes:
        """The edges of the whole image; ``edges`` are its map from a file, of a source that reads one."""
        return self.edges.whole(image, given=edges)

    def edges_at_completion(self, image: Images, edges: Planes | None) -> Planes | None:
        """The true edges, if the model is to see them; a ValueError if it gets others beside them."""
        if not self.sees_truth:
            return edges
        if edges is not None and not self.reads_edges:
            raise ValueError("EdgeConnect is set to see the true edges; it takes no others beside them.")
        return self.true_edges(image, edges)

    def require(self) -> None:
        """Load what the source of the edges needs."""
        self.edges.require()

    def drawing_and_truth(self, image: Images, mask: Planes, edges: Planes | None) -> tuple[Planes, Planes] | None:
        """G1's last map, and the edges that the source marks in the whole images; None where G1 drew nothing."""
        if self.drawn is None or min(image.shape[-2:]) < 3:  # Canny takes none so thin
            return None
        return self._at_own_size(self.drawn, mask, mask).float(), self.true_edges(image, edges)

    def inner_pictures(
        self, visible: Images, mask: Planes, edges: Planes | None = None
    ) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """G2's edges."""
        return {"edges": self.edge_map(visible, mask, edges)}

    # --- training --------------------------------------------------------------------------------------------------

    def learn_edge(self, batch: dict[str, Any]) -> Losses:
        """G1 and D1, on true edges (the released code's MODEL 1)."""
        optimizer_g1, *_ = self.optimizers()  # type: ignore[attr-defined]
        scene = self.scene(batch)
        losses, total = self.learn_to_draw(scene, self.draw(scene))
        self.descend(total, optimizer_g1)
        return losses

    def learn_inpaint(self, batch: dict[str, Any]) -> Losses:
        """G2 and D2, on true edges (MODEL 2)."""
        scene = self.scene(batch)
        return self.learn_painting_alone(scene, scene.edges(scene.true_edges))

    def learn_edge_inpaint(self, batch: dict[str, Any]) -> Losses:
        """G2 and D2, on the edges of the fixed G1 (MODEL 3)."""
        scene = self.scene(batch)
        with torch.no_grad(), evaluating(self.edge_generator):
            drawn = self.draw(scene)
        return self.learn_painting_alone(scene, scene.edges(drawn))

    def learn_joint(self, batch: dict[str, Any]) -> Losses:
        """Both generators, end to end on the sum of their losses (MODEL 4)."""
        optimizer_g1, _, optimizer_g2, _ = self.optimizers()  # type: ignore[attr-defined]
        scene = self.scene(batch)
        drawn = self.draw(scene)
        if self.joint == "paper":
            losses, total = self.learn_to_paint(scene, scene.edges(drawn))
        else:
            of_g1, total_of_g1 = self.learn_to_draw(scene, drawn)
            of_g2, total_of_g2 = self.learn_to_paint(scene, scene.edges(drawn))
            losses, total = of_g1 | of_g2, total_of_g1 + total_of_g2
        self.descend(total, optimizer_g1, optimizer_g2)
        return losses

    PHASES: Mapping[str, Callable[[Any, dict[str, Any]], Losses]] = {
        "edge": learn_edge,
        "inpaint": learn_inpaint,
        "edge_inpaint": learn_edge_inpaint,
        "joint": learn_joint,
    }

    def scene(self, batch: dict[str, Any]) -> "Scene":
        """A batch with its edges."""
        return Scene(batch["image"], batch["mask"], rgb_to_gray(batch["image"]), *self.training_edges(batch))

    def draw(self, scene: "Scene") -> Planes:
        """G1's edges of the whole image."""
        return self.edge_generator(scene.gray, scene.known_edges, scene.mask)

    def learn_to_draw(self, scene: "Scene", drawn: Planes) -> tuple[Losses, Tensor]:
        """One step of D1; returns the losses of both to log, and the weighted sum of G1's through the updated D1."""
        _, optimizer_d1, *_ = self.optimizers()  # type: ignore[attr-defined]
        real, fake = (torch.cat([scene.gray, edges], dim=1) for edges in (scene.true_edges, drawn))
        d_losses = self.discriminator_losses(self.edge_discriminator, real, fake)
        self.descend(weigh(d_losses, self.weights["discriminator"]), optimizer_d1)
        g_losses = self.edge_losses(real, fake)
        losses = _named("edge", g_losses) | _named("edge_discriminator", d_losses)
        return losses, weigh(g_losses, self.weights["edge"])

    def learn_to_paint(self, scene: "Scene", edges: Planes) -> tuple[Losses, Tensor]:
        """One step of D2; returns the losses of both to log, and the weighted sum of G2's through the updated D2."""
        *_, optimizer_d2 = self.optimizers()  # type: ignore[attr-defined]
        output = self.inpaint_generator(scene.image, edges, scene.mask)
        fake, d_losses = self.judged_by_d2(output, edges), {}
        if "adversarial" in self.weights["inpaint"]:
            real = self.judged_by_d2(scene.image, edges)
            d_losses = self.discriminator_losses(self.inpaint_discriminator, real, fake)
            self.descend(weigh(d_losses, self.weights["discriminator"]), optimizer_d2)
        g_losses = self.inpaint_losses(scene.image, output, scene.mask, fake)
        losses = _named("inpaint", g_losses) | _named("inpaint_discriminator", d_losses)
        return losses, weigh(g_losses, self.weights["inpaint"])

    def learn_painting_alone(self, scene: "Scene", edges: Planes) -> Losses:
        """A step of D2, then one of G2, on constant edges."""
        _, _, optimizer_g2, _ = self.optimizers()  # type: ignore[attr-defined]
        losses, total = self.learn_to_paint(scene, edges)
        self.descend(total, optimizer_g2)
        return losses

    def training_edges(self, batch: dict[str, Any]) -> tuple[Planes, Planes]:
        """The whole image's edges and the known ones."""
        image, given = batch["image"], self.edge_files(batch)
        drawn = self.edges.draw(len(image))
        true_edges = self.edges.whole(image, drawn, given)
        if self.train_edges == "whole":
            return true_edges, self.edges.around(image, drawn, true_edges)
        return true_edges, self.edges.known(image, batch["mask"], drawn, given)

    def judged_by_d2(self, image: Images, edges: Planes) -> Float[Tensor, "batch planes height width"]:
        """D2's input: the image and, if D2 is conditional, the edges, which get no gradient."""
        return torch.cat([image, edges.detach()], dim=1) if self.conditional else image

    def discriminator_losses(self, discriminator: PatchDiscriminator, real: Tensor, fake: Tensor) -> Losses:
        """A discriminator's losses on real and on generated input, with one forward pass for each."""
        real_logits, fake_logits = discriminator(real)[-1], discriminator(fake.detach())[-1]
        self.note_verdicts(discriminator, real_logits, fake_logits)
        return {"real": self.gan.real(real_logits), "fake": self.gan.fake(fake_logits)}

    def edge_losses(
        self, real: Float[Tensor, "batch 2 height width"], fake: Float[Tensor, "batch 2 height width"]
    ) -> Losses:
        """G1's losses through the frozen D1, on the unmasked gray image with true and with G1's edges, no composite."""
        with frozen(self.edge_discriminator):
            fake_features = self.edge_discriminator(fake)
            with torch.no_grad():
                real_features = self.edge_discriminator(real)
        matching = feature_matching(fake_features, real_features)
        return {"adversarial": self.gan.generator(fake_features[-1]), "feature_matching": matching}

    def inpaint_losses(
        self, image: Images, output: Images, mask: Planes, judged: Float[Tensor, "batch planes height width"]
    ) -> Losses:
        """G2's losses on its raw output, through the frozen D2, whose input is ``judged``, and a VGG."""
        losses = {"l1": l1_per_hole(output, image, mask)}
        if "adversarial" in self.weights["inpaint"]:
            with frozen(self.inpaint_discriminator):
                losses["adversarial"] = self.gan.generator(self.inpaint_discriminator(judged)[-1])
        if "perceptual" in self.weights["inpaint"]:
            losses["perceptual"] = perceptual_loss(self.features(output), self.constant_features(image))
        if "style" in self.weights["inpaint"]:
            region = mask if self.style_region == "hole" else 1 - mask
            seen, target = self.features(output * region), self.constant_features(image * region)
            losses["style"] = style_loss(seen, target, self.vgg[0].STYLE)
        return losses

    def features(self, image: Images) -> dict[str, Tensor]:
        """The VGG's feature maps of an image."""
        return self.vgg[0](image)

    @torch.no_grad()
    def constant_features(self, image: Images) -> dict[str, Tensor]:
        """The VGG's feature maps of a target, without gradient."""
        return self.features(image)

    def constants(self) -> list[nn.Module]:
        """The VGG, once it is loaded."""
        return list(self.vgg)

    def configure_optimizers(self) -> list[Optimizer]:
        """Adam for each of G1, D1, G2, D2."""
        ratios = (1.0, self.discriminator_ratio, 1.0, self.discriminator_ratio)
        return [
            Adam([{"params": net.parameters(), "lr_ratio": ratio}], self.learning_rate * ratio, self.betas, fused=True)
            for net, ratio in zip(self.networks(), ratios, strict=True)
        ]

    def setup(self, stage: str) -> None:
        """Load the VGG, before anything long starts, if a phase needs it."""
        trains_g2 = any(phase.batches for phase in self.schedule.phases if phase.name != "edge")
        if stage == "fit" and trains_g2 and self.choices["vgg"] != "none" and not self.vgg:
            self.vgg = (VGG19.chosen(self.vgg_weights, self.width, self.vgg_normalised),)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """Complete the batch; log precision and recall of G1's edges in the hole, thresholded at 0.5."""
        image, mask = batch["image"], batch["mask"]
        visible, given = hide(image, mask), self.edge_files(batch)
        true_edges = self.true_edges(image, given)
        known_edges = self.known_edges(visible, mask, true_edges if self.test_edges == "whole" else given)
        with self.completing():
            drawn = self.edge_generator(rgb_to_gray(visible), known_edges, mask)
        # Known pixels become true negatives, which neither precision nor recall counts.
        for metric, name in ((self.edge_precision, "edge_precision"), (self.edge_recall, "edge_recall")):
            metric.update((drawn * mask).flatten(), (true_edges * mask > 0.5).flatten().int())
            self.log(f"val/{name}", metric)
        return super().validation_step(batch, batch_idx)


@dataclass(frozen=True)
class Scene:
    """A batch with its gray images and its edges: the whole image's, and those known to the generators."""

    image: Images
    mask: Planes
    gray: Planes
    true_edges: Planes
    known_edges: Planes

    def edges(self, inside: Planes) -> Planes:
        """G2's edges: ``inside`` in the hole, the known ones elsewhere."""
        return inside * self.mask + self.known_edges * (1 - self.mask)


def _named(prefix: str, losses: Losses) -> Losses:
    return {f"{prefix}_{name}": loss for name, loss in losses.items()}


def _generator(incoming: int, outgoing: int, width: float, spectral: bool) -> nn.Sequential:
    """The body that G1 and G2 share: two downsamplings, eight residual blocks, two upsamplings."""
    c64, c128, c256 = (channels(base, width) for base in (64, 128, 256))
    wrap = spectral_norm if spectral else nn.Identity()
    return nn.Sequential(
        nn.ReflectionPad2d(3),
        *_block(wrap(_initialised(nn.Conv2d(incoming, c64, 7))), c64),
        *_block(wrap(_initialised(nn.Conv2d(c64, c128, 4, 2, 1))), c128),
        *_block(wrap(_initialised(nn.Conv2d(c128, c256, 4, 2, 1))), c256),
        *(ResidualBlock(c256, spectral) for _ in range(8)),
        *_block(wrap(_initialised(nn.ConvTranspose2d(c256, c128, 4, 2, 1))), c128),
        *_block(wrap(_initialised(nn.ConvTranspose2d(c128, c64, 4, 2, 1))), c64),
        nn.ReflectionPad2d(3),
        _initialised(nn.Conv2d(c64, outgoing, 7)),
    )


class ResidualBlock(nn.Module):
    """x + block(x), the first convolution dilated by 2; no activation after the sum, no biases under spectral norm."""

    def __init__(self, width: int, spectral: bool) -> None:
        super().__init__()
        wrap = spectral_norm if spectral else nn.Identity()
        self.block = nn.Sequential(
            nn.ReflectionPad2d(2),
            *_block(wrap(_initialised(nn.Conv2d(width, width, 3, dilation=2, bias=not spectral))), width),
            nn.ReflectionPad2d(1),
            wrap(_initialised(nn.Conv2d(width, width, 3, bias=not spectral))),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: Float[Tensor, "batch features height width"]) -> Float[Tensor, "batch features height width"]:
        """x + block(x), of the same shape."""
        return x + self.block(x)


def _block(convolution: nn.Module, width: int) -> list[nn.Module]:
    return [convolution, nn.InstanceNorm2d(width), nn.ReLU(inplace=True)]


def _initialised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Conv2d | nn.ConvTranspose2d:
    """Weights from N(0, 0.02), biases 0. To be called before spectral norm wraps the weight; later it has no effect."""
    nn.init.normal_(convolution.weight, 0.0, 0.02)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution
