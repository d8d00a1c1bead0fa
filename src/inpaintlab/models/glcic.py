"""GLCIC: Iizuka, Simo-Serra, Ishikawa, "Globally and Locally Consistent Image Completion", SIGGRAPH 2017.

The defaults are the paper's; arguments choose what otenim/GLCIC-PyTorch and mmagic do differently.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from inpaintlab.inpainting import BATCH_BY_BATCH, Learner, Losses, Schedule, Steps, evaluating, frozen, hide, weigh
from inpaintlab.layers import Context, channels, context_of
from inpaintlab.losses import REDUCTIONS, NonSaturating, crop, hole_l1, hole_mse, hole_windows, require_window
from inpaintlab.recipes import require_flag, require_one_of
from inpaintlab.shapes import Images, Planes, Scalar, Size, height_width, plain_size

MeanPixel = Float[Tensor, "3"]


class Pixels(ABC):
    """The ranges of the networks: how images in [0, 1] enter C and D, and how C's output returns to [0, 1]."""

    @abstractmethod
    def network_input(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """The colour planes of C's first convolution, which also gets the mask."""

    @abstractmethod
    def network_output(self, output: Images) -> Images:
        """The image in [0, 1], from the output of C's last convolution."""

    def discriminator_input(self, image: Images) -> Images:
        """The colour planes of D's first convolutions; by default the image in [0, 1]."""
        return image


@final
class Centred(Pixels):
    """The authors' network: the mean pixel is subtracted."""

    def network_input(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """The image minus the mean pixel; 0 in the hole."""
        return (visible - mean_pixel.view(1, 3, 1, 1)) * (1 - mask)

    def network_output(self, output: Images) -> Images:
        """The sigmoid of the output."""
        return output.sigmoid()


@final
class Filled(Pixels):
    """otenim/GLCIC-PyTorch: the hole is filled with the mean pixel."""

    def network_input(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """The image; the mean pixel in the hole."""
        return visible * (1 - mask) + mean_pixel.view(1, 3, 1, 1) * mask

    def network_output(self, output: Images) -> Images:
        """The sigmoid of the output."""
        return output.sigmoid()


@final
class Signed(Pixels):
    """mmagic: images are in [-1, 1]."""

    def network_input(self, visible: Images, mask: Planes, mean_pixel: MeanPixel) -> Images:
        """The image in [-1, 1]; 0 in the hole."""
        return (2 * visible - 1) * (1 - mask)

    def network_output(self, output: Images) -> Images:
        """The output clamped to [-1, 1], and scaled to [0, 1]."""
        return (output.clamp(-1, 1) + 1) / 2

    def discriminator_input(self, image: Images) -> Images:
        """The image in [-1, 1]."""
        return 2 * image - 1


PIXELS: Mapping[str, Pixels] = {"centred": Centred(), "filled": Filled(), "signed": Signed()}


class CompletionNetwork(nn.Module):
    """The completion network C: 17 convolutions, four of them dilated.

    Height and width are multiples of 4. At width 1 it has 6,072,131 parameters. Its receptive field is 303 x 303 px.

    Args:
        width: multiplier of all channel counts.
        pixels: the ranges of input and output, one of ``PIXELS``.
        norm_first: whether batch norm comes before the ReLU (the authors' network, mmagic) or after it (otenim).
        bias: whether convolutions with batch norm have one.
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
        """The raw output, RGB in [0, 1].

        Args:
            visible: the image, 0 in the hole.
            mask: 1 = hole; the fourth input plane.
            mean_pixel: RGB in [0, 1].
        """
        planes = torch.cat([self.pixels.network_input(visible, mask, mean_pixel), mask], dim=1)
        return self.pixels.network_output(self.layers(planes))


class ContextDiscriminator(nn.Module):
    """The context discriminator D: a global branch on the image, a local one on a window, joined to one logit.

    Each branch consists of 5 x 5 convolutions with stride 2 and ends in 1024 features. The mask is not an input; it
    only says where the window lies.

    Args:
        image_size: side of the image in pixels, or height and width.
        patch_size: side of the window, in pixels.
        global_convolutions: of the global branch; the paper has 6 for 256 pixels, 5 for 160.
        local_convolutions: of the local branch; the paper has 5.
        width: multiplier of all channel counts.
        pixels: as in C.
        norm_first: as in C.
        bias: as in C.
    """

    def __init__(
        self,
        image_size: Size,
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
        self.smallest_batch = 1
        """Two where a branch ends in one pixel: batch norm of one picture would have a single value there."""
        features = channels(1024, width)

        def branch(size: Size, convolutions: int) -> nn.Sequential:
            rows, columns = height_width(size)
            layers: list[nn.Module] = []
            incoming = 3
            for index in range(convolutions):
                outgoing = channels(min(64 * 2**index, 512), width)
                layers.append(_normalised(nn.Conv2d(incoming, outgoing, 5, 2, 2, bias=bias), outgoing, norm_first))
                incoming = outgoing
                rows, columns = (rows + 1) // 2, (columns + 1) // 2
            if rows == columns == 1:
                self.smallest_batch = 2
            return nn.Sequential(
                *layers, nn.Flatten(), nn.Linear(incoming * rows * columns, features), nn.ReLU(inplace=True)
            )

        self.whole = branch(image_size, global_convolutions)
        self.window = branch(patch_size, local_convolutions)
        self.joint = nn.Linear(2 * features, 1)

    def forward(
        self,
        image: Images,
        window: Float[Tensor, "batch 3 patch patch"],
    ) -> Float[Tensor, "batch 1"]:
        """The logit that an image is real, from the image and its window, both in [0, 1]."""
        window, whole = (
            self.window(self.pixels.discriminator_input(window)),
            self.whole(self.pixels.discriminator_input(image)),
        )
        return self.joint(torch.cat([window, whole], dim=1))


class GLCIC(Learner):
    """Completion network C and context discriminator D, trained in the paper's three phases.

    ``completion`` trains C on the reconstruction loss, ``discriminator`` trains D against the fixed C, ``joint``
    trains both: one step of D, then one of C through the updated D.

    Args:
        schedule: of the phases completion (the paper's T_C), discriminator (T_D) and joint (the rest of T_train).
        weights: the weights of the losses by phase: of C in ``completion`` and ``joint``, of D in ``discriminator``
            and ``joint_discriminator``.
        image_size: side of the training images in pixels, or height and width.
        patch_size: side of D's local window, in pixels.
        global_convolutions: convolutions of D's global branch.
        local_convolutions: convolutions of D's local branch.
        width: multiplier of all channel counts; 1 is the paper's.
        pixels: the ranges of input and output: 'centred', 'filled' or 'signed', see these classes.
        norm_first: of both networks, see ``CompletionNetwork``.
        bias: of both networks, see ``CompletionNetwork``.
        learning_rate: of both networks.
        optimizer: makes one of torch's optimizers from parameter groups and ``lr``.
        mean_pixel: fills the hole, RGB in [0, 1]; None measures it on the training set when training starts.
        reconstruction: 'mse' or 'l1', the error in the hole.
        reduction: of that error: 'all' averages over all elements, 'hole' over those of holes, 'sum' sums up an image.
        judged: D's input from C: the 'completed' image, with the known pixels put back, or the 'raw' output.
        real_patch: D's window on a real image: 'random', centred on an independent hole of the same distribution (the
            next sample's; a batch of one has only its own), or the 'same' as on the completed image.
        frozen_norm: C's batch norm while C is fixed. 'batch' normalises by the batch, as in phase ``joint``, so that D
            gets the same completions, and keeps the running statistics; 'moving' does the same but updates them;
            'running' normalises by the running statistics.
        steps: how batches become steps.

    Raises:
        ValueError: a setting that is none of its choices, or a window that does not fit into the image.
    """

    stride = 4
    adversaries: Mapping[str, str] = {"discriminator": "completion"}

    gan = NonSaturating()
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
        image_size: Size,
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
        super().__init__(schedule, learning_rate, steps)
        self.image_size = plain_size(image_size)
        self.weights = weights
        self.patch_size = require_window(patch_size, image_size)
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
        if any(phase.batches for phase in schedule.phases if phase.name != "completion"):
            self.smallest_batch = self.discriminator.smallest_batch
        self.measures_mean = mean_pixel is None
        self.mean_pixel: Tensor
        self.register_buffer("mean_pixel", torch.tensor(mean_pixel or [0.5, 0.5, 0.5], dtype=torch.float32))
        self.register_load_state_dict_post_hook(GLCIC._keep_mean)

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """C's raw output; edges are not used."""
        return self.completion(visible, mask, self.mean_pixel)

    @property
    def context(self) -> Context:
        """What C sees."""
        return context_of([self.completion.layers], self.stride)

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
            losses["adversarial"] = self.gan.generator(logits)
            self.descend(weigh(losses, self.weights["joint"]), optimizer_c)
        return d_losses | losses

    PHASES: Mapping[str, Callable[[Any, dict[str, Any]], Losses]] = {
        "completion": learn_completion,
        "discriminator": learn_discriminator,
        "joint": learn_joint,
    }

    def learn_to_judge(self, image: Images, mask: Planes, output: Images, weights: Mapping[str, float]) -> Losses:
        """One step of D on real images and on C's output, which gets no gradient."""
        _, optimizer_d = self.optimizers()  # type: ignore[attr-defined]
        losses = self.discriminator_losses(image, self.judged_of(image, mask, output).detach(), mask)
        self.descend(weigh(losses, weights), optimizer_d)
        return {f"discriminator_{name}": loss for name, loss in losses.items()}

    def judged_of(self, image: Images, mask: Planes, output: Images) -> Images:
        """D's input from C's output: pasted into the image, or as it is."""
        return self.paste(image, mask, output) if self.judged == "completed" else output

    def discriminator_losses(self, image: Images, judged: Images, mask: Planes) -> Losses:
        """Cross entropy of D on real and completed images, with one forward pass for each.

        The window of a completed image is centred on its own hole, that of a real image as ``real_patch`` says (the
        paper's M_d).
        """
        elsewhere = mask.roll(1, dims=0) if self.real_patch == "random" else mask
        real = self.discriminator(image, self.window(image, elsewhere))
        fake = self.discriminator(judged, self.window(judged, mask))
        self.note_verdicts(self.discriminator, real, fake)
        return {"real": self.gan.real(real), "fake": self.gan.fake(fake)}

    def window(self, image: Images, mask: Planes) -> Float[Tensor, "batch 3 patch patch"]:
        """The input of D's local branch: the window of each image that is centred on the hole of ``mask``."""
        return crop(image, hole_windows(mask, self.patch_size), self.patch_size)

    def configure_optimizers(self) -> list[Optimizer]:
        """One optimizer for each network."""
        return [
            self.optimizer([{"params": network.parameters(), "lr_ratio": 1.0}], lr=self.learning_rate)
            for network in (self.completion, self.discriminator)
        ]

    def _keep_mean(self, _: object) -> None:
        """Do not measure the mean pixel: the loaded weights were trained with their own."""
        self.measures_mean = False

    def on_fit_start(self) -> None:
        """Measure the mean pixel if a new run needs it, after the training size is checked."""
        super().on_fit_start()
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if self.measures_mean and self.schedule.iteration == 0:
            self.mean_pixel.copy_(data.mean_pixel())


def _normalised(convolution: nn.Module, width: int, norm_first: bool) -> nn.Sequential:
    norm, activation = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    return nn.Sequential(convolution, *((norm, activation) if norm_first else (activation, norm)))
