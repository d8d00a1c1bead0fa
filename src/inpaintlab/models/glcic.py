"""GLCIC: Iizuka, Simo-Serra, Ishikawa, "Globally and Locally Consistent Image Completion", SIGGRAPH 2017.

The paper is the default; what otenim/GLCIC-PyTorch and mmagic do differently is chosen by arguments.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, final

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from inpaintlab.inpainting import BATCH_BY_BATCH, Learner, Losses, Schedule, Steps, evaluating, frozen, hide, weigh
from inpaintlab.layers import channels
from inpaintlab.losses import REDUCTIONS, hole_l1, hole_mse
from inpaintlab.recipes import require_flag, require_one_of
from inpaintlab.shapes import Images, Planes, Scalar

MeanPixel = Float[Tensor, "3"]


class Pixels(ABC):
    """What C's convolutions see of an image, what C makes of their output, and what D sees. Images are in [0, 1]."""

    @abstractmethod
    def seen(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """The colours that C's first convolution gets beside the mask."""

    @abstractmethod
    def given(self, output: Images) -> Images:
        """C's output in [0, 1], of its last convolution's."""

    def judged(self, image: Images) -> Images:
        """The colours that D's first convolutions get."""
        return image


@final
class Centred(Pixels):
    """The authors' network."""

    def seen(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """The mean pixel is subtracted, and the hole is 0."""
        return (visible - mean_pixel.view(1, 3, 1, 1)) * (1 - mask)

    def given(self, output: Images) -> Images:
        """A sigmoid ends in [0, 1]."""
        return output.sigmoid()


@final
class Filled(Pixels):
    """otenim/GLCIC-PyTorch."""

    def seen(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """The hole shows the mean pixel."""
        return visible * (1 - mask) + mean_pixel.view(1, 3, 1, 1) * mask

    def given(self, output: Images) -> Images:
        """A sigmoid ends in [0, 1]."""
        return output.sigmoid()


@final
class Signed(Pixels):
    """mmagic."""

    def seen(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """Pixels are in [-1, 1], and the hole is 0."""
        return (2 * visible - 1) * (1 - mask)

    def given(self, output: Images) -> Images:
        """The output is clamped to [-1, 1]."""
        return (output.clamp(-1, 1) + 1) / 2

    def judged(self, image: Images) -> Images:
        """D sees [-1, 1] too."""
        return 2 * image - 1


PIXELS: Mapping[str, Pixels] = {"centred": Centred(), "filled": Filled(), "signed": Signed()}


class CompletionNetwork(nn.Module):
    """The completion network C: 17 convolutions, four of them dilated.

    Height and width are multiples of 4. At width 1 it has 6,072,131 parameters and sees 303 x 303 pixels.

    Args:
        width: multiplier of all channel counts.
        pixels: what the convolutions see and give, one of ``PIXELS``.
        norm_first: whether batch norm stands before the ReLU (the authors' network, mmagic) or behind it (otenim).
        bias: whether convolutions in front of batch norm have one.
    """

    def __init__(
        self, width: float = 1.0, *, pixels: Pixels = PIXELS["centred"], norm_first: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        self.pixels = pixels
        c32, c64, c128, c256 = (channels(base, width) for base in (32, 64, 128, 256))

        def layer(incoming: int, outgoing: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
            padding = dilation * (kernel - 1) // 2
            convolution = nn.Conv2d(incoming, outgoing, kernel, stride, padding, dilation, bias=bias)
            return _normalised(convolution, outgoing, norm_first)

        def upsampling(incoming: int, outgoing: int) -> nn.Sequential:
            return _normalised(nn.ConvTranspose2d(incoming, outgoing, 4, 2, 1, bias=bias), outgoing, norm_first)

        self.layers = nn.Sequential(
            layer(4, c64, 5),
            layer(c64, c128, 3, stride=2),
            layer(c128, c128, 3),
            layer(c128, c256, 3, stride=2),
            layer(c256, c256, 3),
            layer(c256, c256, 3),
            layer(c256, c256, 3, dilation=2),
            layer(c256, c256, 3, dilation=4),
            layer(c256, c256, 3, dilation=8),
            layer(c256, c256, 3, dilation=16),
            layer(c256, c256, 3),
            layer(c256, c256, 3),
            upsampling(c256, c128),
            layer(c128, c128, 3),
            upsampling(c128, c64),
            layer(c64, c32, 3),
            nn.Conv2d(c32, 3, 3, padding=1),
        )

    def forward(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """RGB in [0, 1], not centred, from the visible pixels and the mask; planes are R, G, B, mask."""
        planes = torch.cat([self.pixels.seen(visible, mask, mean_pixel), mask], dim=1)
        return self.pixels.given(self.layers(planes))


class ContextDiscriminator(nn.Module):
    """The context discriminators: a global branch on the image, a local one on a window, joined to one logit.

    Each branch is a row of 5 x 5 convolutions with stride 2 and ends in 1024 features; the paper has 6 of them for
    256 pixels (5 for 160) and 5 for the window. The mask is not an input; it only says where the window lies.
    ``pixels``, ``norm_first`` and ``bias`` are those of C.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        global_convolutions: int,
        local_convolutions: int,
        width: float = 1.0,
        *,
        pixels: Pixels = PIXELS["centred"],
        norm_first: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.pixels = pixels
        features = channels(1024, width)

        def branch(size: int, convolutions: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            incoming = 3
            for index in range(convolutions):
                outgoing = channels(min(64 * 2**index, 512), width)
                layers.append(_normalised(nn.Conv2d(incoming, outgoing, 5, 2, 2, bias=bias), outgoing, norm_first))
                incoming = outgoing
                size = (size + 1) // 2
            return nn.Sequential(
                *layers, nn.Flatten(), nn.Linear(incoming * size * size, features), nn.ReLU(inplace=True)
            )

        self.whole = branch(image_size, global_convolutions)
        self.window = branch(patch_size, local_convolutions)
        self.joint = nn.Linear(2 * features, 1)

    def forward(
        self,
        image: Images,
        window: Float[Tensor, "batch 3 patch patch"],
    ) -> Float[Tensor, "batch 1"]:
        """The logit of the image being real, from the image and its window, in [0, 1]."""
        window, whole = self.window(self.pixels.judged(window)), self.whole(self.pixels.judged(image))
        return self.joint(torch.cat([window, whole], dim=1))


class GLCIC(Learner):
    """Completion network and context discriminators, trained in the paper's three phases.

    ``completion`` trains C on the reconstruction loss, ``discriminator`` trains D against the fixed C, ``joint``
    trains both: one step of D, then one of C through the updated D.

    Args:
        schedule: the phases completion, discriminator, joint (the paper's T_C, T_D and the rest).
        weights: the weights of the losses by phase: of C in ``completion`` and ``joint``, of D in ``discriminator``
            and ``joint_discriminator``.
        image_size, patch_size: training size and the side of D's local window, in pixels.
        global_convolutions, local_convolutions: depth of D's two branches.
        width: multiplier of all channel counts; 1 is the paper's.
        pixels: what the convolutions see and give: 'centred', 'filled' or 'signed', see these classes.
        norm_first, bias: of the networks, see ``CompletionNetwork``.
        learning_rate: of both networks.
        optimizer: makes an optimizer of torch from parameter groups and ``lr``.
        mean_pixel: the fill of the hole, RGB in [0, 1]; None measures it on the training set when training starts.
        reconstruction: 'mse' or 'l1', the error in the hole.
        reduction: of that error: 'all' averages over all elements, 'hole' over those of holes, 'sum' adds up an image.
        judged: what D sees of C: 'completed', with the known pixels put back, or the 'raw' output.
        real_patch: D's window on a real image: 'random', centred on an independent hole of the same distribution (the
            next sample's; a batch of one has only its own), or the 'same' as on the completed image.
        frozen_norm: what C's batch norm does while C is fixed: normalise by the 'batch', as in phase ``joint``, so that
            D meets the same completions, with running statistics that stay; the same with statistics that go on
            'moving'; or normalise by the 'running' statistics.
        steps: how batches become steps.

    Raises:
        ValueError: a setting that is none of its choices, or a window that does not fit into the image.
    """

    adversaries: Mapping[str, str] = {"discriminator": "completion"}
    RECONSTRUCTIONS = {"mse": hole_mse, "l1": hole_l1}  # noqa: RUF012
    FROZEN_NORMS: Mapping[str, Callable[..., Any]] = {
        "batch": frozen,
        "moving": nullcontext,
        "running": evaluating,
    }

    def __init__(
        self,
        *,
        schedule: Schedule,
        weights: Mapping[str, Mapping[str, float]],
        image_size: int,
        patch_size: int,
        global_convolutions: int,
        local_convolutions: int,
        width: float,
        pixels: str,
        norm_first: bool,
        bias: bool,
        learning_rate: float,
        optimizer: partial[Optimizer],
        mean_pixel: Sequence[float] | None,
        reconstruction: str,
        reduction: str,
        judged: str,
        real_patch: str,
        frozen_norm: str,
        steps: Steps = BATCH_BY_BATCH,
    ) -> None:
        super().__init__(schedule, learning_rate, steps, stride=4)
        if not 1 <= patch_size <= image_size:
            raise ValueError(
                f"model.patch_size is {patch_size} and model.image_size {image_size}; the local window must fit into "
                "the image (the paper: half the image's side)."
            )
        self.weights = weights
        self.image_size = image_size
        self.patch_size = patch_size
        self.optimizer = optimizer
        self.judged = require_one_of("model.judged", judged, ("completed", "raw"))
        self.real_patch = require_one_of("model.real_patch", real_patch, ("random", "same"))
        self.frozen_norm = self.FROZEN_NORMS[require_one_of("model.frozen_norm", frozen_norm, self.FROZEN_NORMS)]
        self.reconstruction: Callable[[Images, Images, Planes], Scalar] = partial(
            self.RECONSTRUCTIONS[require_one_of("model.reconstruction", reconstruction, self.RECONSTRUCTIONS)],
            reduction=REDUCTIONS[require_one_of("model.reduction", reduction, REDUCTIONS)],
        )
        network: dict[str, Any] = {
            "pixels": PIXELS[require_one_of("model.pixels", pixels, PIXELS)],
            "norm_first": require_flag("model.norm_first", norm_first),
            "bias": require_flag("model.bias", bias),
        }
        self.choices = {
            "pixels": pixels,
            "norm_first": norm_first,
            "bias": bias,
            "optimizer": optimizer.func.__name__,
            "reconstruction": f"{reconstruction}, {reduction}",
            "judged": judged,
            "real_patch": real_patch,
            "frozen_norm": frozen_norm,
        }
        self.completion = CompletionNetwork(width, **network)
        self.discriminator = ContextDiscriminator(
            image_size, patch_size, global_convolutions, local_convolutions, width, **network
        )
        self.measures_mean = mean_pixel is None
        self.mean_pixel: Tensor
        self.register_buffer("mean_pixel", torch.tensor(mean_pixel or [0.5, 0.5, 0.5], dtype=torch.float32))
        self.register_load_state_dict_post_hook(GLCIC._keep_mean)

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """C's raw output; this method draws no edges and ignores a user's."""
        return self.completion(visible, mask, self.mean_pixel)

    def learn_completion(self, batch: dict[str, Any]) -> Losses:
        """C alone, on the reconstruction loss."""
        image, mask = batch["image"], batch["mask"]
        optimizer_c, _ = self.optimizers()  # type: ignore[attr-defined]
        losses = {"reconstruction": self.reconstruction(self(hide(image, mask), mask), image, mask)}
        self.descend(weigh(losses, self.weights["completion"]), optimizer_c)
        return losses

    def learn_discriminator(self, batch: dict[str, Any]) -> Losses:
        """D alone, against the fixed C."""
        image, mask = batch["image"], batch["mask"]
        with torch.no_grad(), self.frozen_norm(self.completion):
            output = self(hide(image, mask), mask)
        return self.learn_to_judge(image, mask, output, self.weights["discriminator"])

    def learn_joint(self, batch: dict[str, Any]) -> Losses:
        """A step of D, then one of C through the updated D."""
        image, mask = batch["image"], batch["mask"]
        optimizer_c, _ = self.optimizers()  # type: ignore[attr-defined]
        output = self(hide(image, mask), mask)
        d_losses = self.learn_to_judge(image, mask, output, self.weights["joint_discriminator"])
        losses = {"reconstruction": self.reconstruction(output, image, mask)}
        judged = self.judged_of(image, mask, output)
        with frozen(self.discriminator):
            logits = self.discriminator(judged, self.window(judged, mask))
            losses["adversarial"] = F.softplus(-logits).mean()  # -log D: non-saturating
            self.descend(weigh(losses, self.weights["joint"]), optimizer_c)
        return d_losses | losses

    PHASES: Mapping[str, Callable[[Any, dict[str, Any]], Losses]] = {
        "completion": learn_completion,
        "discriminator": learn_discriminator,
        "joint": learn_joint,
    }

    def learn_to_judge(self, image: Images, mask: Planes, output: Images, weights: Mapping[str, float]) -> Losses:
        """One step of D on real images and C's output, which no gradient passes."""
        _, optimizer_d = self.optimizers()  # type: ignore[attr-defined]
        losses = self.discriminator_losses(image, self.judged_of(image, mask, output).detach(), mask)
        self.descend(weigh(losses, weights), optimizer_d)
        return {f"discriminator_{name}": loss for name, loss in losses.items()}

    def judged_of(self, image: Images, mask: Planes, output: Images) -> Images:
        """What D sees of C's output: pasted into the image, or as it is."""
        return self.paste(image, mask, output) if self.judged == "completed" else output

    def discriminator_losses(self, image: Images, judged: Images, mask: Planes) -> Losses:
        """Cross entropy of D on real and completed images, in a forward pass each.

        The completed image's window is centred on its own hole, the real image's where ``real_patch`` says (the
        paper's M_d).
        """
        elsewhere = mask.roll(1, dims=0) if self.real_patch == "random" else mask
        real = self.discriminator(image, self.window(image, elsewhere))
        fake = self.discriminator(judged, self.window(judged, mask))
        self.note_verdicts(self.discriminator, real, fake)
        return {"real": F.softplus(-real).mean(), "fake": F.softplus(fake).mean()}

    def window(self, image: Images, mask: Planes) -> Float[Tensor, "batch 3 patch patch"]:
        """The part of each image that D's local branch sees: centred on the hole of ``mask``."""
        return crop(image, hole_windows(mask, self.patch_size), self.patch_size)

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimizer for each network."""
        return [
            self.optimizer([{"params": network.parameters(), "lr_ratio": 1.0}], lr=self.learning_rate)
            for network in (self.completion, self.discriminator)
        ]

    def switches(self) -> dict[str, Any]:
        """What the public implementations do differently."""
        return {**self.choices, **super().switches()}

    def loss_weights(self) -> dict[str, Mapping[str, float]]:
        """The YAML's weights."""
        return dict(self.weights)

    def _keep_mean(self, _: object) -> None:
        """Loaded weights bring the mean pixel that they were trained with."""
        self.measures_mean = False

    def on_fit_start(self) -> None:
        """Check the training size, and measure the mean pixel where a fresh run asks for it."""
        super().on_fit_start()
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if data.size != self.image_size:
            raise ValueError(
                f"The discriminator is built for {self.image_size} pixels (model.image_size), the data come at "
                f"{data.size} (data.size); set both to the same number."
            )
        if self.measures_mean and self.schedule.iteration == 0:
            self.mean_pixel.copy_(data.mean_pixel())


def hole_windows(mask: Planes, patch: int) -> Int[Tensor, "batch 2"]:
    """Top and left of the ``patch`` x ``patch`` window centred on each sample's hole, kept inside the image."""
    corners = []
    for along, size in ((3, mask.shape[2]), (2, mask.shape[3])):
        profile = mask.amax(dim=(1, along))
        first = profile.argmax(dim=1)
        last = size - 1 - profile.flip(1).argmax(dim=1)
        corners.append(((first + last + 1 - patch) // 2).clamp(0, size - patch))
    return torch.stack(corners, dim=1)


def crop(image: Images, corners: Int[Tensor, "batch 2"], patch: int) -> Float[Tensor, "batch 3 {patch} {patch}"]:
    """Each sample's own window, cut without a loop and without asking the device for a number."""
    side = torch.arange(patch, device=image.device)
    rows = (corners[:, 0, None] + side)[:, None, :, None]
    columns = (corners[:, 1, None] + side)[:, None, None, :]
    sample = torch.arange(len(image), device=image.device)[:, None, None, None]
    colour = torch.arange(3, device=image.device)[None, :, None, None]
    return image[sample, colour, rows, columns]


def _normalised(convolution: nn.Module, width: int, norm_first: bool) -> nn.Sequential:
    norm, activation = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    return nn.Sequential(convolution, *((norm, activation) if norm_first else (activation, norm)))
