"""Partial convolutions: Liu, Reda, Shih, Wang, Tao, Catanzaro, "Image Inpainting for Irregular Holes Using Partial
Convolutions", ECCV 2018. The authors published the layer, not the network; arguments choose what naoto0804's and
mmagic's networks do differently.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from inpaintlab.inpainting import BATCH_BY_BATCH, Learner, Losses, Schedule, Steps, evaluating, frozen, hide, weigh
from inpaintlab.layers import Context, channels, context_of
from inpaintlab.losses import REDUCTIONS, VARIATIONS, VGG, VGG16, hole_l1, perceptual_loss, style_loss
from inpaintlab.recipes import require_flag, require_one_of
from inpaintlab.shapes import Images, Planes, Size, height_width

Features = Float[Tensor, "batch _ _ _"]
Valid = Float[Tensor, "batch 1 _ _"]
"""The paper's mask: 1 = valid. Everywhere else here 1 = hole."""
Masked = tuple[Features, Valid]
"""Features, and which of them are valid."""

EPS = 1e-8
"""Added to the number of valid entries; NVIDIA's. It matters for windows without any, whose output is 0 anyway."""

KERNELS = (7, 5, 5)
"""Kernels of the first encoder layers; all further ones have 3."""

MOST_CHANNELS = 512
LEAST_LEVELS, MOST_LEVELS = 2, 10


class PartialConv2d(nn.Module):
    """A convolution over the valid entries of each window, scaled up by the share of them.

    X are a window's features, M their mask, W and b the parameters. Where a window has a valid entry,
    ``W (X * M) * (entries / valid entries) + b``, and the output is valid; elsewhere 0, and not valid. Entries of the
    padding are not valid. The mask is a constant.

    Features with one mask each may come from several sources, which are concatenated here: so a mask stays one plane.

    Args:
        incoming: channels of each source.
        outgoing: channels of the output.
        kernel: side of the window.
        stride: of the window.
        padding: on each side.
        dilation: distance of the window's entries.
        bias: whether there is b.
    """

    def __init__(
        self,
        incoming: Sequence[int],
        outgoing: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(sum(incoming), outgoing, kernel, stride, padding, dilation, bias=False)
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="relu")  # "He", naoto0804's too
        self.bias = nn.Parameter(torch.zeros(outgoing)) if bias else None
        window = torch.tensor(incoming, dtype=torch.float32).view(1, -1, 1, 1).expand(-1, -1, kernel, kernel)
        self.window: Tensor
        self.register_buffer("window", window.clone(), persistent=False)
        self.entries = sum(incoming) * kernel**2

    def forward(self, *sources: Masked) -> Masked:
        """The output and its mask."""
        valid, ratio = self.validity(torch.cat([valid for _, valid in sources], dim=1))
        visible = [features * valid for features, valid in sources]
        output = self.convolution(torch.cat(visible, dim=1) if len(visible) > 1 else visible[0]) * ratio
        return output if self.bias is None else output + self.bias.view(-1, 1, 1) * valid, valid

    @torch.no_grad()
    def validity(self, valid: Features) -> tuple[Valid, Valid]:
        """The mask of the output, and the factor that makes up for what is not valid, 0 where nothing is.

        In float32 under mixed precision too, where such a count would be rounded.
        """
        like = self.convolution
        with torch.autocast(valid.device.type, enabled=False):
            count = F.conv2d(valid, self.window, None, like.stride, like.padding, like.dilation)
            updated = count.clamp(0, 1)
            return updated, updated * self.entries / (count + EPS)


class PartialLayer(nn.Module):
    """A partial convolution with batch norm and an activation; a layer with b has no batch norm."""

    def __init__(self, partial: PartialConv2d, activation: nn.Module | None, normed: bool = True) -> None:
        super().__init__()
        self.partial = partial
        self.norm = nn.BatchNorm2d(partial.convolution.out_channels) if normed else None
        self.activation = activation

    def forward(self, *sources: Masked) -> Masked:
        """The output and its mask."""
        output, valid = self.partial(*sources)
        if self.norm is not None:
            output = self.norm(output)
        return output if self.activation is None else self.activation(output), valid


class PartialUNet(nn.Module):
    """The U-Net: an encoder with stride 2, a decoder of nearest-neighbour upsampling; all convolutions are partial.

    With 8 levels at width 1 it has 32,859,732 parameters. Takes any size: at the bottom and right it pads to a multiple
    of 2 ** levels with pixels that are not valid, and cuts them off at the end.

    Args:
        levels: layers of the encoder, and of the decoder.
        width: multiplier of all channel counts.
        first_bias: whether the first layer has b.
    """

    def __init__(self, levels: int, width: float = 1.0, *, first_bias: bool = False) -> None:
        super().__init__()
        counts = [3, *(channels(min(64 * 2**level, MOST_CHANNELS), width) for level in range(levels))]

        def encoding(level: int) -> PartialLayer:
            kernel = KERNELS[level - 1] if level <= len(KERNELS) else 3
            settings = counts[level - 1 : level], counts[level], kernel, 2, kernel // 2
            convolution = PartialConv2d(*settings, bias=level == 1 and first_bias)
            return PartialLayer(convolution, nn.ReLU(inplace=True), normed=level > 1)

        def decoding(level: int) -> PartialLayer:
            sources = [counts[level], counts[level - 1]]
            convolution = PartialConv2d(sources, counts[level - 1], 3, padding=1, bias=level == 1)
            return PartialLayer(convolution, nn.LeakyReLU(0.2, inplace=True) if level > 1 else None, normed=level > 1)

        self.encoder = nn.ModuleList(encoding(level) for level in range(1, levels + 1))
        self.decoder = nn.ModuleList(decoding(level) for level in range(levels, 0, -1))

    def forward(self, planes: Features, valid: Valid) -> Features:
        """The output, as large as the input.

        Args:
            planes: three colours; their holes do not matter, unless they are not finite.
            valid: 1 = valid.
        """
        *skips, (features, valid_features) = self.encode(planes, valid)
        for layer, skip in zip(self.decoder, reversed(skips), strict=True):
            features, valid_features = layer((doubled(features), doubled(valid_features)), skip)
        return features[..., : planes.shape[-2], : planes.shape[-1]]

    def encode(self, planes: Features, valid: Valid) -> list[Masked]:
        """The padded input, and the output of each layer of the encoder, all with their masks."""
        multiple = 2 ** len(self.encoder)
        height, width = (-(-side // multiple) * multiple for side in planes.shape[-2:])
        beyond = (0, width - planes.shape[-1], 0, height - planes.shape[-2])
        found = [(F.pad(planes, beyond), F.pad(valid, beyond))]
        for layer in self.encoder:
            found.append(layer(found[-1]))
        return found


IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of RGB that torchvision documents
PIXELS: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {
    "normalised": IMAGENET,  # naoto0804's network, and NVIDIA's losses
    "signed": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # mmagic's: in [-1, 1]
}
"""Ranges of the network: what is subtracted from an image in [0, 1], by colour, and what it is divided by then."""


class PartialConvolution(Learner):
    """The U-Net of partial convolutions, trained in the paper's two phases.

    ``train`` normalises by the batch; ``finetune`` does so in the decoder alone, while the encoder's batch norm stays
    as it is: a batch's statistics are of valid pixels and of holes together.

    Args:
        schedule: of the phases train and finetune.
        weights: of the losses, for the ``network``. None switches a loss off; without the perceptual and the style
            loss, no VGG-16 is needed.
        image_size: side of the training images in pixels, or height and width; any is completed.
        levels: layers of the encoder; the deepest one has 1 / 2 ** levels of the side.
        width: multiplier of all channel counts; 1 is the paper's.
        first_bias: whether the encoder's first layer has a bias.
        pixels: the range of the network's input and output, in which errors of pixels are taken too: 'normalised' by
            ImageNet's mean and deviation, or 'signed', from -1 to 1.
        reduction: of the errors in the hole and in the known region: 'all' averages over all elements, 'hole' over
            those of the region.
        variation: where the total variation is taken: 'everywhere', 'near' the hole, or 'from' its pixels; see
            ``losses.VARIATIONS``.
        frozen_norm: what phase finetune freezes of the encoder's batch norm: its running 'statistics', or 'all', weight
            and bias too.
        learning_rate: Adam's.
        betas: Adam's.
        vgg: weights of VGG-16: 'imagenet', 'hed', a file, or 'random' (as narrow as ``width``). Needed for training
            only.
        vgg_planes: the order in which VGG-16 gets the colours: 'rgb', which is right, or 'bgr'.
        steps: how batches become steps.

    Raises:
        ValueError: a setting that is none of its choices, or too few or too many levels.
    """

    LAYERS = ("pool1", "pool2", "pool3")
    """Of VGG-16, which the perceptual and the style loss compare."""

    def __init__(
        self,
        *,
        schedule: Schedule,
        weights: Mapping[str, Mapping[str, float | None]],
        image_size: Size,
        levels: int,
        width: float,
        first_bias: bool,
        pixels: str,
        reduction: str,
        variation: str,
        frozen_norm: str,
        learning_rate: float,
        betas: Sequence[float],
        vgg: str,
        vgg_planes: str,
        steps: Steps = BATCH_BY_BATCH,
    ) -> None:
        super().__init__(schedule, learning_rate, steps)
        if not LEAST_LEVELS <= levels <= MOST_LEVELS:
            raise ValueError(f"model.levels is {levels}; give a whole number from {LEAST_LEVELS} to {MOST_LEVELS}.")
        self.weights = {
            network: {name: weight for name, weight in losses.items() if weight is not None}
            for network, losses in weights.items()
        }
        self.reduction = REDUCTIONS[require_one_of("model.reduction", reduction, ("all", "hole"))]
        self.variation = VARIATIONS[require_one_of("model.variation", variation, VARIATIONS)]
        self.frozen_norm = require_one_of("model.frozen_norm", frozen_norm, ("statistics", "all"))
        self.vgg_planes = require_one_of("model.vgg_planes", vgg_planes, ("rgb", "bgr"))
        self.betas = (float(betas[0]), float(betas[1]))
        self.width = width
        self.vgg_weights = vgg
        self.vgg: tuple[VGG, ...] = ()  # in a tuple, so that no checkpoint and no optimizer gets it
        self.choices = {
            "levels": levels,
            "first_bias": require_flag("model.first_bias", first_bias),
            "pixels": require_one_of("model.pixels", pixels, PIXELS),
            "reduction": reduction,
            "variation": variation,
            "frozen_norm": frozen_norm,
            "vgg": VGG.kind(vgg, self.weights["network"]),
            "vgg_planes": vgg_planes,
        }
        self.network = PartialUNet(levels, width, first_bias=first_bias)
        self.offset: Tensor
        self.scale: Tensor
        for name, colours in zip(("offset", "scale"), PIXELS[pixels], strict=True):
            self.register_buffer(name, torch.tensor(colours).view(3, 1, 1), persistent=False)
        trains = any(phase.batches for phase in schedule.phases if phase.name == "train")
        if trains and max(height_width(image_size)) <= 2**levels:
            self.smallest_batch = 2  # the deepest layer is one pixel

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """The network's output in [0, 1]; edges are not used."""
        return self.in_colours(self.network(self.in_range(visible), 1 - mask)).clamp(0, 1)

    @property
    def context(self) -> Context:
        """What the U-Net sees through its deepest layer."""
        doubled_first = (part for layer in self.network.decoder for part in (nn.Upsample(scale_factor=2), layer))
        return context_of([*self.network.encoder, *doubled_first], self.stride)

    def in_range(self, image: Images) -> Features:
        """An image in [0, 1] in the network's range."""
        return (image - self.offset) / self.scale

    def in_colours(self, planes: Features) -> Images:
        """The image of planes in the network's range: in [0, 1], or beyond."""
        return planes * self.scale + self.offset

    def inner_pictures(
        self, visible: Images, mask: Planes, edges: Planes | None = None
    ) -> dict[str, Float[Tensor, "batch _ height width"]]:
        """The updated masks in one picture: white is known, and the darker a pixel, the later the encoder reaches it.

        A pixel's grey is the share of masks, from the input's to that of the deepest layer, in which it is valid.
        """
        height, width = mask.shape[-2:]
        masks = [valid for _, valid in self.network.encode(self.in_range(visible), 1 - mask)]
        at_full_size = [F.interpolate(valid, masks[0].shape[-2:]) for valid in masks]
        return {"updated masks": torch.stack(at_full_size).mean(dim=0)[..., :height, :width]}

    # --- training --------------------------------------------------------------------------------------------------

    def learn_train(self, batch: dict[str, Any]) -> Losses:
        """A step in which batch norm normalises by the batch."""
        losses = self.losses(batch["image"], batch["mask"])
        self.descend(weigh(losses, self.weights["network"]), self.optimizers())  # type: ignore[arg-type]
        return losses

    def learn_finetune(self, batch: dict[str, Any]) -> Losses:
        """The same step, with the encoder's batch norm frozen."""
        norms = [module for module in self.network.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
        with ExitStack() as stack:
            for norm in norms:
                stack.enter_context(evaluating(norm))
            if self.frozen_norm == "all":
                stack.enter_context(frozen(*norms))
            return self.learn_train(batch)

    PHASES: Mapping[str, Callable[[Any, dict[str, Any]], Losses]] = {
        "train": learn_train,
        "finetune": learn_finetune,
    }

    def losses(self, image: Images, mask: Planes) -> Losses:
        """Those of a batch that have a weight."""
        target = self.in_range(image)
        output = self.network(self.in_range(hide(image, mask)), 1 - mask)
        composite = torch.where(mask > 0.5, output, target)
        weighted = self.weights["network"]
        losses = {}
        if "valid" in weighted:
            losses["valid"] = hole_l1(output, target, 1 - mask, self.reduction)
        if "hole" in weighted:
            losses["hole"] = hole_l1(output, target, mask, self.reduction)
        if weighted.keys() & {"perceptual", "style"}:
            with torch.no_grad():
                of_image = self.features(target)
            seen = [self.features(output), self.features(composite)]
            for name, loss in (("perceptual", perceptual_loss), ("style", style_loss)):
                if name in weighted:
                    losses[name] = loss(seen[0], of_image, self.LAYERS) + loss(seen[1], of_image, self.LAYERS)
        if "total_variation" in weighted:
            losses["total_variation"] = self.variation(composite, mask)
        return losses

    def features(self, planes: Features) -> dict[str, Tensor]:
        """VGG-16's feature maps of planes in the network's range, normalised as it was trained."""
        image = self.in_colours(planes)
        return self.vgg[0](image.flip(1) if self.vgg_planes == "bgr" else image)

    def constants(self) -> list[nn.Module]:
        """VGG-16, once it is loaded."""
        return list(self.vgg)

    def configure_optimizers(self) -> Optimizer:
        """Adam, which keeps its state from phase to phase."""
        parameters = [{"params": self.network.parameters(), "lr_ratio": 1.0}]
        return Adam(parameters, self.learning_rate, self.betas, fused=True)

    def setup(self, stage: str) -> None:
        """Load VGG-16, before anything long starts, if a loss uses it."""
        if stage == "fit" and self.choices["vgg"] != "none" and not self.vgg:
            self.vgg = (VGG16.chosen(self.vgg_weights, self.width, normalised=True),)


def doubled(plane: Features) -> Features:
    """Each pixel as a square of four."""
    return F.interpolate(plane, (2 * plane.shape[-2], 2 * plane.shape[-1]))  # a scale is no number that compiles
