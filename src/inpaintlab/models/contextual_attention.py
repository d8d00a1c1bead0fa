"""Contextual Attention: Yu, Lin, Yang, Shen, Lu, Huang, "Generative Image Inpainting with Contextual Attention", CVPR
2018.

The defaults are those of the authors' code (JiahuiYu/generative_inpainting, branch v1.0.0, 06cd62c), called *released*;
arguments choose what daa233/generative-inpainting-pytorch (c6cdaea) and mmagic (0a560bb) do differently.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from inpaintlab.imaging import offset_colours
from inpaintlab.inpainting import BATCH_BY_BATCH, Learner, Losses, Schedule, Steps, frozen, hide, is_number, weigh
from inpaintlab.layers import Context, SamePad2d, at_corners, at_least_float32, channels, context_of
from inpaintlab.layers import ContextualAttention as Attention
from inpaintlab.losses import (
    PENALTIES,
    RECONSTRUCTIONS,
    Wasserstein,
    between,
    crop,
    discounts,
    hole_windows,
    require_window,
)
from inpaintlab.recipes import require_one_of
from inpaintlab.shapes import Images, Planes, Scalar, Size, height_width, plain_size

Features = Float[Tensor, "batch _ _ _"]
Verdicts = Float[Tensor, "batch 2"]  # of the local critic and of the global one


@final
@dataclass(frozen=True)
class Flavour:
    """How an implementation computes its networks; published weights want theirs.

    Args:
        padding: of the generator's convolutions: 'same' as TensorFlow's, which at stride 2 pads even sides at the
            bottom and right alone; 'zeros', the same on each side; 'reflect', likewise.
        attention: halving, norm, invalid and overlap, see ``layers.ContextualAttention``; the mask becomes smaller as
            the features are halved.
        matching: the activation before the attention.
        widest: channels of the local critic's last convolution.
        judging: the critics' activation; with ELU they end in a leaky ReLU.
    """

    padding: str
    attention: tuple[str, str, str, str]
    matching: type[nn.Module]
    widest: int
    judging: str


FLAVOURS: Mapping[str, Flavour] = {
    "released": Flavour("same", ("corners", "clamped", "zero", "four"), nn.ReLU, 512, "leaky"),
    "daa233": Flavour("zeros", ("even", "added", "zero", "four"), nn.ReLU, 256, "leaky"),
    "mmagic": Flavour("reflect", ("even", "clamped", "excluded", "counted"), nn.ELU, 512, "elu"),
}


class Layer(nn.Module):
    """A convolution with its padding and activation; where it ``doubles``, the sides are doubled before.

    Args:
        convolution: its channels before and after, kernel and stride.
        padding: see ``Flavour``.
        activation: after it. None: none.
        dilation: of the convolution.
    """

    def __init__(
        self,
        convolution: tuple[int, int, int, int],
        padding: str,
        activation: nn.Module | None,
        dilation: int = 1,
        doubles: bool = False,
    ) -> None:
        super().__init__()
        self.doubles = doubles
        *_, kernel, stride = convolution
        around = dilation * (kernel - 1) // 2
        self.padding: nn.Module | None = None
        if padding == "reflect" or (padding == "same" and stride > 1) or activation is None:
            self.padding = nn.ReflectionPad2d(around) if padding == "reflect" else SamePad2d(kernel, stride)
            around = 0
        self.convolution = nn.Conv2d(*convolution, around, dilation)
        self.activation = activation
        nn.init.xavier_uniform_(self.convolution.weight)  # TensorFlow's default
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]

    def forward(self, x: Features) -> Features:
        """The activated convolution."""
        if self.doubles:
            x = F.interpolate(x, (2 * x.shape[-2], 2 * x.shape[-1]))  # a scale is no number that compiles
        x = self.convolution(x if self.padding is None else self.padding(x))
        return x if self.activation is None else self.activation(x)


Row = tuple[str, int, int, int, int]
"""Of a table of convolutions: the authors' name, channels, kernel, stride, dilation."""


def _encoder(branch: str, *counts: int) -> list[Row]:
    names = ("1", "2_downsample", "3", "4_downsample", "5", "6")
    each = zip(names, counts, (5, 3, 3, 3, 3, 3), (1, 2, 1, 2, 1, 1), strict=True)
    return [(f"{branch}{name}", count, kernel, stride, 1) for name, count, kernel, stride in each]


def _atrous(branch: str) -> list[Row]:
    return [(f"{branch}{number}_atrous", 128, 3, 1, 2 ** (number - 6)) for number in (7, 8, 9, 10)]


def _decoder(branch: str) -> list[Row]:
    """A name that ends in _upsample says that the sides are doubled before the convolution."""
    counts = {"11": 128, "12": 128, "13_upsample": 64, "14": 64, "15_upsample": 32, "16": 16, "17": 3}
    return [(f"{branch}{name}", count, 3, 1, 1) for name, count in counts.items()]


COARSE = [*_encoder("conv", 32, 64, 64, 128, 128, 128), *_atrous("conv"), *_decoder("conv")]
HALLUCINATION = [*_encoder("xconv", 32, 32, 64, 64, 128, 128), *_atrous("xconv")]
MATCHING = _encoder("pmconv", 32, 32, 64, 128, 128, 128)
MATCHED: list[Row] = [("pmconv9", 128, 3, 1, 1), ("pmconv10", 128, 3, 1, 1)]
JOINT = _decoder("allconv")


def chain(
    incoming: int, table: list[Row], width: float, padding: str, last: type[nn.Module] = nn.ELU
) -> tuple[nn.Sequential, int]:
    """The convolutions of a table in a row, each with an ELU, and the channels that they end in.

    Args:
        incoming: channels.
        table: one of the tables above.
        width: multiplier of the table's channel counts.
        padding: see ``Flavour``.
        last: the last activation; that of an image has none.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (name, count, kernel, stride, dilation) in enumerate(table, start=1):
        paints = name.endswith("conv17")
        outgoing = count if paints else channels(count, width)
        kind = last if number == len(table) else nn.ELU
        activation = None if paints else kind(inplace=True)
        doubles = name.endswith("_upsample")
        layers[name] = Layer((incoming, outgoing, kernel, stride), padding, activation, dilation, doubles)
        incoming = outgoing
    return nn.Sequential(layers), incoming


class Refinement(nn.Module):
    """The second stage: a branch that invents, a branch that copies from the known region, and what joins both."""

    def __init__(self, width: float, flavour: Flavour) -> None:
        super().__init__()
        padding = flavour.padding
        self.halving = flavour.attention[0]
        self.hallucination, invented = chain(5, HALLUCINATION, width, padding)
        self.matching, copied = chain(5, MATCHING, width, padding, flavour.matching)
        self.attention = Attention(*flavour.attention)
        self.matched, copied = chain(copied, MATCHED, width, padding)
        self.joint, _ = chain(invented + copied, JOINT, width, padding)

    def forward(self, planes: Float[Tensor, "batch 5 height width"], mask: Planes) -> Images:
        """The second stage's output, before it is clipped.

        Args:
            planes: the first stage's image in the hole and the original elsewhere, ones, and the mask.
            mask: 1 = hole.
        """
        matching = self.matching(planes)
        copied = self.matched(self.attention(matching, matching, self.small(mask)))
        return self.joint(torch.cat([self.hallucination(planes), copied], dim=1))

    def small(self, mask: Planes) -> Features:
        """The mask at a quarter of the resolution, that of the attention."""
        if self.halving == "even":
            return mask[..., ::4, ::4]
        return at_corners(mask, mask.shape[-2] // 4, mask.shape[-1] // 4)


class Generator(nn.Module):
    """Both stages. At width 1 they have 3,601,542 parameters. Sides are multiples of 8.

    Args:
        width: multiplier of all channel counts.
        flavour: of the computation.
        planes: the order of the colours inside: 'bgr', as OpenCV reads them and published weights want them, or 'rgb'.
    """

    def __init__(self, width: float, flavour: Flavour, planes: str) -> None:
        super().__init__()
        self.planes = planes
        self.coarse, _ = chain(5, COARSE, width, flavour.padding)
        self.refinement = Refinement(width, flavour)

    def forward(self, visible: Images, mask: Planes) -> tuple[Images, Images]:
        """The first stage's image, and the second's.

        Args:
            visible: RGB in [0, 1]; what is in the hole does not matter, unless it is not finite.
            mask: 1 = hole.

        Returns:
            RGB in [0, 1], of the whole image.
        """
        coarse, planes = self.first(visible, mask)
        refined = self.refinement(planes, mask).clamp(-1, 1)
        return from_signed(coarse, self.planes), from_signed(refined, self.planes)

    @torch.no_grad()
    def seen_inside(self, visible: Images, mask: Planes) -> tuple[Images, Int[Tensor, "batch rows columns"]]:
        """The first stage's image, and the nearest source of each place of the attention; arguments as above."""
        coarse, planes = self.first(visible, mask)
        stage = self.refinement
        matching = stage.matching(planes)
        return from_signed(coarse, self.planes), stage.attention.nearest(matching, matching, stage.small(mask))

    def first(self, visible: Images, mask: Planes) -> tuple[Images, Float[Tensor, "batch 5 height width"]]:
        """The first stage's image in the network's range, and the input of the second stage; arguments as above."""
        known = to_signed(visible, self.planes) * (1 - mask)
        ones = torch.ones_like(mask)
        coarse = at_least_float32(self.coarse(torch.cat([known, ones, mask], dim=1))).clamp(-1, 1)
        return coarse, torch.cat([coarse * mask + known, ones, mask], dim=1)


class Critic(nn.Module):
    """Four convolutions with stride 2, and one number of what remains: how real an image of one size is.

    Args:
        size: of the image, in pixels.
        widest: channels of the last convolution, at width 1; the rest as in the generator.
    """

    def __init__(self, size: Size, widest: int, width: float, flavour: Flavour, planes: str) -> None:
        super().__init__()
        self.planes = planes
        padding = "same" if flavour.padding == "same" else "zeros"
        rows, columns = height_width(size)
        incoming = 3
        for number, count in enumerate((64, 128, 256, widest), start=1):
            outgoing = channels(count, width)
            activation = nn.ELU(inplace=True) if flavour.judging == "elu" else nn.LeakyReLU(0.2, inplace=True)
            self.add_module(f"conv{number}", Layer((incoming, outgoing, 5, 2), padding, activation))
            incoming = outgoing
            rows, columns = (rows + 1) // 2, (columns + 1) // 2
        self.dense = nn.Linear(incoming * rows * columns, 1)
        nn.init.xavier_uniform_(self.dense.weight)
        nn.init.zeros_(self.dense.bias)
        self.end = nn.LeakyReLU(0.2) if flavour.judging == "elu" else nn.Identity()

    def forward(self, image: Images) -> Float[Tensor, "batch 1"]:
        """The verdict on an image, RGB in [0, 1]: a number without bounds."""
        x = to_signed(image, self.planes)
        for number in (1, 2, 3, 4):
            x = self.get_submodule(f"conv{number}")(x)
        return self.end(self.dense(x.flatten(1)))


class Critics(nn.Module):
    """The local critic, which sees a window around the hole, and the global one.

    Args:
        image_size: side of the image in pixels, or height and width.
        patch_size: side of the window, in pixels; the rest as in the generator.
    """

    def __init__(self, image_size: Size, patch_size: int, width: float, flavour: Flavour, planes: str) -> None:
        super().__init__()
        self.local_critic = Critic(patch_size, flavour.widest, width, flavour, planes)
        self.global_critic = Critic(image_size, 256, width, flavour, planes)

    def forward(self, image: Images, window: Float[Tensor, "batch 3 _ _"]) -> Verdicts:
        """Both verdicts, the local one first, on the image and its window, both RGB in [0, 1]."""
        with torch.autocast(image.device.type, enabled=False):  # rounded slopes would point elsewhere
            return torch.cat([self.local_critic(window), self.global_critic(image)], dim=1)


def to_signed(image: Images, planes: str) -> Images:
    """An image, RGB in [0, 1], as the networks see it: in [-1, 1]."""
    signed = 2 * image - 1
    return signed.flip(1) if planes == "bgr" else signed


def from_signed(image: Images, planes: str) -> Images:
    """The way back."""
    return ((image.flip(1) if planes == "bgr" else image) + 1) / 2


class ContextualAttention(Learner):
    """The generator of two stages and the two critics, trained as a WGAN with a penalty of gradients.

    A cycle is ``critic_steps`` batches from which the critics learn, and then one from which the generator does; where
    it ``shares`` a batch, it learns from the last of the critics'. The position in the cycle follows from how many
    batches are done, so a run that goes on is where it was.

    Args:
        schedule: of the phase train.
        weights: of the losses: l1, ae and adversarial of the ``generator``; wgan, penalty and drift of the ``critics``.
            None switches a loss off.
        coarse_weight: of the first stage in l1 and ae; the second stage's is 1.
        image_size: side of the training images in pixels, or height and width.
        patch_size: side of the local critic's window in pixels, which is centred on the hole.
        width: multiplier of all channel counts; 1 is the paper's.
        flavour: how the networks are computed: 'released', 'daa233' or 'mmagic', see ``FLAVOURS``.
        planes: the order of the colours inside: 'bgr' or 'rgb'.
        reconstruction: l1 and ae: 'released', 'daa233' or 'mmagic', see ``RECONSTRUCTIONS``.
        discount: l1 weighs a pixel by this to the power of its distance to the window's border.
        penalty: of the critics' gradients in the 'hole', 'everywhere', or of single 'pixels'; see ``PENALTIES``.
        critic_steps: of the critics for one of the generator.
        generator_batch: of the generator's step: its 'own', or 'shared' with the critics' last one.
        learning_rate: Adam's, of all networks.
        betas: Adam's.
        steps: how batches become steps.

    Raises:
        ValueError: a setting that is none of its choices, or a window that does not fit into the image.
    """

    stride = 8
    adversaries: Mapping[str, str] = {"critics": "generator"}

    gan = Wasserstein()

    def __init__(
        self,
        *,
        schedule: Schedule,
        weights: Mapping[str, Mapping[str, float | None]],
        coarse_weight: float,
        image_size: Size,
        patch_size: int,
        width: float,
        flavour: str,
        planes: str,
        reconstruction: str,
        discount: float,
        penalty: str,
        critic_steps: int,
        generator_batch: str,
        learning_rate: float,
        betas: Sequence[float],
        steps: Steps = BATCH_BY_BATCH,
    ) -> None:
        super().__init__(schedule, learning_rate, steps)
        self.image_size, self.patch_size = plain_size(image_size), require_window(patch_size, image_size)
        self.weights = {
            network: {name: weight for name, weight in losses.items() if weight is not None}
            for network, losses in weights.items()
        }
        self.coarse_weight = coarse_weight
        self.reconstruction = RECONSTRUCTIONS[require_one_of("model.reconstruction", reconstruction, RECONSTRUCTIONS)]
        self.penalty = PENALTIES[require_one_of("model.penalty", penalty, PENALTIES)]
        self.shares = require_one_of("model.generator_batch", generator_batch, ("own", "shared")) == "shared"
        if not is_number(critic_steps, int) or critic_steps < 1:
            raise ValueError(f"model.critic_steps is {critic_steps}; give a whole number of at least 1.")
        self.critic_steps, self.betas = critic_steps, (float(betas[0]), float(betas[1]))
        self.choices = {
            "flavour": require_one_of("model.flavour", flavour, FLAVOURS),
            "planes": require_one_of("model.planes", planes, ("bgr", "rgb")),
            "reconstruction": reconstruction,
            "penalty": penalty,
            "critic_steps": critic_steps,
            "generator_batch": generator_batch,
        }
        self.generator = Generator(width, FLAVOURS[flavour], planes)
        self.critics = Critics(image_size, self.patch_size, width, FLAVOURS[flavour], planes)
        if FLAVOURS[flavour].padding == "reflect":
            self.smallest = 72  # a quarter of it is mirrored by the dilation of 16
        self.discount: Tensor
        self.register_buffer("discount", discounts(self.patch_size, discount), persistent=False)

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """The second stage's image; edges are not used."""
        return self.generator(visible, mask)[1]

    @property
    def context(self) -> Context:
        """What the attention's branch sees of the first stage's image."""
        stage, double = self.generator.refinement, nn.Upsample(scale_factor=2)
        layers = [*self.generator.coarse, *stage.matching, stage.attention, *stage.matched, *stage.joint]
        each = ([double, layer] if getattr(layer, "doubles", False) else [layer] for layer in layers)
        return context_of((part for parts in each for part in parts), self.stride)

    def inner_pictures(
        self, visible: Images, mask: Planes, edges: Planes | None = None
    ) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """The first stage's image, and whence the attention takes each place most: a direction has a colour."""
        coarse, sources = self.generator.seen_inside(visible, mask)
        return {"coarse": coarse, "attention": F.interpolate(offset_colours(sources), mask.shape[-2:])}

    # --- training --------------------------------------------------------------------------------------------------

    def learn_train(self, batch: dict[str, Any]) -> Losses:
        """A step of the critics, of the generator, or of both, by the position in the cycle.

        Under mixed precision, what the critics alone learn from is completed in float32 too.
        """
        image, mask = batch["image"], batch["mask"]
        done = self.schedule.iteration // self.steps.accumulate
        generator = (done + 1) % (self.critic_steps if self.shares else self.critic_steps + 1) == 0
        critics = self.shares or not generator
        exact = torch.autocast(image.device.type, enabled=torch.is_autocast_enabled(image.device.type) and generator)
        with exact, nullcontext() if generator else torch.no_grad():
            coarse, refined = self.generator(hide(image, mask), mask)
        losses: Losses = {}
        if critics:
            losses |= self.learn_to_judge(image, mask, self.paste(image, mask, refined))
        if generator:
            losses |= self.learn_to_complete(image, mask, coarse, refined)
        return losses

    PHASES: Mapping[str, Callable[[Any, dict[str, Any]], Losses]] = {"train": learn_train}

    def learn_to_judge(self, image: Images, mask: Planes, completed: Images) -> Losses:
        """One step of the critics on real and on completed images."""
        _, optimizer = self.optimizers()  # type: ignore[attr-defined]
        losses = self.critics_losses(image, mask, completed.detach())
        self.descend(weigh(losses, self.weights["critics"]), optimizer)
        self.descents = [seen for seen in self.descents if seen[0]]  # a plateau is one of the generator's losses
        return {f"critics_{name}": loss for name, loss in losses.items()}

    def learn_to_complete(self, image: Images, mask: Planes, coarse: Images, refined: Images) -> Losses:
        """One step of the generator, from its outputs."""
        optimizer, _ = self.optimizers()  # type: ignore[attr-defined]
        with frozen(self.critics):
            losses = self.generator_losses(image, mask, coarse, refined)
            self.descend(weigh(losses, self.weights["generator"]), optimizer)
        return losses

    def generator_losses(self, image: Images, mask: Planes, coarse: Images, refined: Images) -> Losses:
        """Those that have a weight. The errors of pixels are those of the range [-1, 1]."""
        weighted, window = self.weights["generator"], self.window_of(mask)
        stages = [self.reconstruction(image, mask, output, window, self.discount) for output in (coarse, refined)]
        both_stages = [2 * (self.coarse_weight * first + second) for first, second in zip(*stages, strict=True)]
        losses = {name: loss for name, loss in zip(("l1", "ae"), both_stages, strict=True) if name in weighted}
        if "adversarial" in weighted:
            completed = self.paste(image, mask, refined)
            verdicts = self.critics(completed, window(completed))
            losses["adversarial"] = self.gan.generator(verdicts.sum(dim=1))
            if self.noting:
                with torch.no_grad():
                    self.note_distance(self.critics.forward(image, window(image)), verdicts)
        return losses

    def critics_losses(self, image: Images, mask: Planes, completed: Images) -> Losses:
        """Those that have a weight, from real images and completed ones, which get no gradient; of both critics."""
        weighted, window = self.weights["critics"], self.window_of(mask)
        pairs = torch.cat([image, completed]), torch.cat([window(image), window(completed)])
        real, fake = self.critics(*pairs).chunk(2)
        losses = {"wgan": self.gan.real(real.sum(dim=1)) + self.gan.fake(fake.sum(dim=1))}
        if "penalty" in weighted:
            losses["penalty"] = self.gradient_penalty(image, mask, completed)
        if "drift" in weighted:
            losses["drift"] = real.mean(dim=0).square().sum() + fake.mean(dim=0).square().sum()
        if self.noting:
            self.note_distance(real, fake)
        return losses

    def gradient_penalty(self, image: Images, mask: Planes, completed: Images) -> Scalar:
        """The penalty of both critics' gradients, with respect to images in [-1, 1], between real and completed ones.

        The critics are called uncompiled, since torch's compiler cannot differentiate a backward pass again.
        """
        window = self.window_of(mask)
        with torch.autocast(image.device.type, enabled=False):
            shares = self.draw_shares(image)
            whole, part = between(image, completed, shares[0]), between(window(image), window(completed), shares[1])
            verdicts = self.critics.forward(whole, part)  # and not self.critics(...), which may be compiled
            gradients = torch.autograd.grad(verdicts.sum(), (whole, part), create_graph=True)
            return self.penalty(gradients[0] / 2, gradients[1] / 2, mask, window(mask))

    def draw_shares(self, image: Images) -> Float[Tensor, "2 batch 1 1 1"]:
        """How much of the completed image is in the points where each critic's gradient is taken; global, local."""
        return torch.rand(2, len(image), 1, 1, 1, dtype=image.dtype, device=image.device)

    def window_of(self, mask: Planes) -> Callable[[Tensor], Tensor]:
        """What cuts the local critic's windows, centred on holes. The authors draw each, and shrink it to the hole."""
        return partial(crop, corners=hole_windows(mask, self.patch_size), patch=self.patch_size)

    def note_distance(self, real: Verdicts, fake: Verdicts) -> None:
        """Note for the log how far completed images are from real ones, as the critics see it."""
        self.notes["health/critics_distance"] = (real.detach() - fake.detach()).mean(dim=0).sum()

    def configure_optimizers(self) -> list[Optimizer]:
        """One Adam for the generator, one for both critics."""
        return [
            Adam([{"params": network.parameters(), "lr_ratio": 1.0}], self.learning_rate, self.betas, fused=True)
            for network in (self.generator, self.critics)
        ]
