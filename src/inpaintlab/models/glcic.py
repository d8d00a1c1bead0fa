"""GLCIC: Iizuka, Simo-Serra, Ishikawa, "Globally and Locally Consistent Image Completion", SIGGRAPH 2017.

The paper is the default; what otenim/GLCIC-PyTorch and mmagic do differently is chosen by arguments.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from inpaintlab.inpainting import Inpainter, Losses, Phase, Schedule, evaluating, frozen, hide
from inpaintlab.layers import SteadyConv2d, SteadyConvTranspose2d, SteadyLinear, at_least_float32, channels
from inpaintlab.losses import REDUCTIONS, hole_l1, hole_mse, weigh
from inpaintlab.recipes import require_flag, require_one_of
from inpaintlab.shapes import Images, Planes


class CompletionNetwork(nn.Module):
    """The completion network C: 17 convolutions, four of them dilated.

    Height and width are multiples of 4. At width 1 it has 6,072,131 parameters and sees 303 x 303 pixels.

    Args:
        width: multiplier of all channel counts.
        pixels: what the convolutions see and give. 'centred': the mean pixel is subtracted, the hole is 0, a sigmoid
            ends in [0, 1] (the authors' network); 'filled': the hole shows the mean pixel, a sigmoid likewise
            (otenim); 'signed': pixels in [-1, 1], the hole is 0, the output is clamped to [-1, 1] (mmagic).
        norm_first: whether batch norm stands before the ReLU (the authors' network, mmagic) or behind it (otenim).
        bias: whether convolutions in front of batch norm have one.
    """

    def __init__(
        self, width: float = 1.0, *, pixels: str = "centred", norm_first: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        self.pixels = require_one_of("model.pixels", pixels, ("centred", "filled", "signed"))
        c32, c64, c128, c256 = (channels(base, width) for base in (32, 64, 128, 256))

        def layer(incoming: int, outgoing: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
            padding = dilation * (kernel - 1) // 2
            convolution = SteadyConv2d(incoming, outgoing, kernel, stride, padding, dilation, bias=bias)
            return _normalised(convolution, outgoing, norm_first)

        def upsampling(incoming: int, outgoing: int) -> nn.Sequential:
            return _normalised(SteadyConvTranspose2d(incoming, outgoing, 4, 2, 1, bias=bias), outgoing, norm_first)

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
            SteadyConv2d(c32, 3, 3, padding=1),
        )

    def forward(
        self,
        visible: Images,
        mask: Planes,
        mean_pixel: Float[Tensor, "3"],
    ) -> Images:
        """RGB in [0, 1], not centred, from the visible pixels and the mask; planes are R, G, B, mask."""
        known, mean = 1 - mask, mean_pixel.view(1, 3, 1, 1)
        if self.pixels == "signed":
            output = at_least_float32(self.layers(torch.cat([(2 * visible - 1) * known, mask], dim=1)))
            return (output.clamp(-1, 1) + 1) / 2
        rgb = (visible - mean) * known if self.pixels == "centred" else visible * known + mean * mask
        return at_least_float32(self.layers(torch.cat([rgb, mask], dim=1))).sigmoid()


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
        pixels: str = "centred",
        norm_first: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.signed = pixels == "signed"
        features = channels(1024, width)

        def branch(size: int, convolutions: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            incoming = 3
            for index in range(convolutions):
                outgoing = channels(min(64 * 2**index, 512), width)
                layers.append(_normalised(SteadyConv2d(incoming, outgoing, 5, 2, 2, bias=bias), outgoing, norm_first))
                incoming = outgoing
                size = (size + 1) // 2
            return nn.Sequential(
                *layers, nn.Flatten(), SteadyLinear(incoming * size * size, features), nn.ReLU(inplace=True)
            )

        self.whole = branch(image_size, global_convolutions)
        self.window = branch(patch_size, local_convolutions)
        self.joint = SteadyLinear(2 * features, 1)

    def forward(
        self,
        image: Images,
        window: Float[Tensor, "batch 3 patch patch"],
    ) -> Float[Tensor, "batch 1"]:
        """The logit of the image being real, from the image and its window, in [0, 1]."""
        if self.signed:
            image, window = 2 * image - 1, 2 * window - 1
        return self.joint(torch.cat([self.window(window), self.whole(image)], dim=1))


class GLCIC(Inpainter):
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
        pixels, norm_first, bias: of the networks, see ``CompletionNetwork``.
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
    """

    PHASES = ("completion", "discriminator", "joint")
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
    ) -> None:
        super().__init__(schedule, learning_rate, stride=4)
        schedule.require(self.PHASES)
        if not 1 <= patch_size <= image_size:
            raise ValueError(
                f"model.patch_size is {patch_size} and model.image_size {image_size}; the local window must fit into "
                "the image (the paper: half the image's side)."
            )
        self.weights = weights
        self.image_size = image_size
        self.patch_size = patch_size
        self.optimizer = optimizer
        self.reconstruction = require_one_of("model.reconstruction", reconstruction, self.RECONSTRUCTIONS)
        self.reduction = require_one_of("model.reduction", reduction, REDUCTIONS)
        self.judged = require_one_of("model.judged", judged, ("completed", "raw"))
        self.real_patch = require_one_of("model.real_patch", real_patch, ("random", "same"))
        self.frozen_norm = require_one_of("model.frozen_norm", frozen_norm, self.FROZEN_NORMS)
        self.norm_first = require_flag("model.norm_first", norm_first)
        self.bias = require_flag("model.bias", bias)
        network: dict[str, Any] = {"pixels": pixels, "norm_first": norm_first, "bias": bias}
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

    def learn(self, batch: dict[str, Any], phase: Phase) -> Losses:
        """One batch of the paper's training algorithm."""
        image, mask = batch["image"], batch["mask"]
        optimizer_c, optimizer_d = self.optimizers()  # type: ignore[attr-defined]
        losses: Losses = {}

        if phase.name == "discriminator":
            with torch.no_grad(), self.FROZEN_NORMS[self.frozen_norm](self.completion):
                output = self(hide(image, mask), mask)
        else:
            output = self(hide(image, mask), mask)
        judged = self.paste(image, mask, output) if self.judged == "completed" else output

        if phase.name != "completion":
            d_losses = self.discriminator_losses(image, judged.detach(), mask)
            d_weights = self.weights["discriminator" if phase.name == "discriminator" else "joint_discriminator"]
            self.descend(weigh(d_losses, d_weights), optimizer_d)
            losses |= {f"discriminator_{name}": loss for name, loss in d_losses.items()}

        if phase.name != "discriminator":
            error = self.RECONSTRUCTIONS[self.reconstruction]
            c_losses = {"reconstruction": error(output, image, mask, self.reduction)}
            with frozen(self.discriminator):
                if phase.name == "joint":
                    logits = self.discriminator(judged, self.window(judged, mask))
                    c_losses["adversarial"] = F.softplus(-logits).mean()  # -log D: non-saturating
                self.descend(weigh(c_losses, self.weights[phase.name]), optimizer_c)
            losses |= c_losses
        return losses

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
        return {
            "pixels": self.completion.pixels,
            "norm_first": self.norm_first,
            "bias": self.bias,
            "optimizer": self.optimizer.func.__name__,
            "reconstruction": f"{self.reconstruction}, {self.reduction}",
            "judged": self.judged,
            "real_patch": self.real_patch,
            "frozen_norm": self.frozen_norm,
            **super().switches(),
        }

    def loss_weights(self) -> dict[str, Mapping[str, float]]:
        """The YAML's weights."""
        return dict(self.weights)

    def _keep_mean(self, _: object) -> None:
        """Loaded weights bring the mean pixel that they were trained with."""
        self.measures_mean = False

    def on_fit_start(self) -> None:
        """Check the training size, and measure the mean pixel where a fresh run asks for it."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if data.size != self.image_size:
            raise ValueError(
                f"The discriminator is built for {self.image_size} pixels (model.image_size), the data come at "
                f"{data.size} (data.size); set both to the same number."
            )
        assert self.schedule is not None
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
