"""GLCIC: Iizuka, Simo-Serra, Ishikawa, "Globally and Locally Consistent Image Completion", SIGGRAPH 2017."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Adadelta, Optimizer

from inpaintlab.inpainter import Inpainter, Losses, frozen, hide
from inpaintlab.layers import channels
from inpaintlab.losses import hole_mse, weigh
from inpaintlab.schedule import Phase, Schedule
from inpaintlab.shapes import Images, Planes


class CompletionNetwork(nn.Module):
    """The completion network C: 17 convolutions, four of them dilated.

    Height and width are multiples of 4. At width 1 it has 6,072,131 parameters and sees 303 x 303 pixels.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c32, c64, c128, c256 = (channels(base, width) for base in (32, 64, 128, 256))
        self.layers = nn.Sequential(
            _convolution(4, c64, 5),
            _convolution(c64, c128, 3, stride=2),
            _convolution(c128, c128, 3),
            _convolution(c128, c256, 3, stride=2),
            _convolution(c256, c256, 3),
            _convolution(c256, c256, 3),
            _convolution(c256, c256, 3, dilation=2),
            _convolution(c256, c256, 3, dilation=4),
            _convolution(c256, c256, 3, dilation=8),
            _convolution(c256, c256, 3, dilation=16),
            _convolution(c256, c256, 3),
            _convolution(c256, c256, 3),
            _upsampling(c256, c128),
            _convolution(c128, c128, 3),
            _upsampling(c128, c64),
            _convolution(c64, c32, 3),
            nn.Conv2d(c32, 3, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(
        self,
        visible: Images,
        mask: Planes,
        mean_pixel: Float[Tensor, "3"],
    ) -> Images:
        """RGB in [0, 1], not centred, from the visible pixels centred by the mean pixel, whose hole is then 0."""
        centred = (visible - mean_pixel.view(1, 3, 1, 1)) * (1 - mask)
        return self.layers(torch.cat([centred, mask], dim=1))


class ContextDiscriminator(nn.Module):
    """The context discriminators: a global branch on the image, a local one on a window, joined to one logit.

    Each branch is a row of 5 x 5 convolutions with stride 2 and ends in 1024 features; the paper has 6 of them for
    256 pixels (5 for 160) and 5 for the window. The mask is not an input; it only says where the window lies.
    """

    def __init__(
        self, image_size: int, patch_size: int, global_convolutions: int, local_convolutions: int, width: float = 1.0
    ) -> None:
        super().__init__()
        features = channels(1024, width)
        self.whole = _branch(image_size, global_convolutions, features, width)
        self.window = _branch(patch_size, local_convolutions, features, width)
        self.joint = nn.Linear(2 * features, 1)

    def forward(
        self,
        image: Images,
        window: Float[Tensor, "batch 3 patch patch"],
    ) -> Float[Tensor, "batch 1"]:
        """The logit of the image being real."""
        return self.joint(torch.cat([self.window(window), self.whole(image)], dim=1))


class GLCIC(Inpainter):
    """Completion network and context discriminators, trained in the paper's three phases.

    ``completion`` trains C on the reconstruction loss, ``discriminator`` trains D against the fixed C, ``joint``
    trains both: one step of D, then one of C through the updated D. In phase ``discriminator`` C normalises by the
    batch, as in phase ``joint``, so that D meets the same completions, but its running statistics stay.

    Args:
        schedule: the phases completion, discriminator, joint (the paper's T_C, T_D and the rest).
        weights: the weights of the losses by phase and for the discriminator.
        image_size, patch_size: training size and the side of D's local window, in pixels.
        global_convolutions, local_convolutions: depth of D's two branches.
        width: multiplier of all channel counts; 1 is the paper's.
        learning_rate, rho, eps: of ADADELTA.
        mean_pixel: the fill of the hole, RGB in [0, 1]; None measures it on the training set when training starts.
    """

    PHASES = ("completion", "discriminator", "joint")

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
        learning_rate: float,
        rho: float,
        eps: float,
        mean_pixel: Sequence[float] | None,
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
        self.rho = rho
        self.eps = eps
        self.completion = CompletionNetwork(width)
        self.discriminator = ContextDiscriminator(
            image_size, patch_size, global_convolutions, local_convolutions, width
        )
        self.measures_mean = mean_pixel is None
        self.mean_pixel: Tensor
        self.register_buffer("mean_pixel", torch.tensor(mean_pixel or [0.5, 0.5, 0.5], dtype=torch.float32))

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """C's raw output; this method draws no edges and ignores a user's."""
        return self.completion(visible, mask, self.mean_pixel)

    def learn(self, batch: dict[str, Any], phase: Phase) -> Losses:
        """One batch of the paper's training algorithm."""
        image, mask = batch["image"], batch["mask"]
        optimizer_c, optimizer_d = self.optimizers()  # type: ignore[attr-defined]
        losses: Losses = {}

        if phase.name == "discriminator":
            with torch.no_grad(), frozen(self.completion):
                output = self(hide(image, mask), mask)
        else:
            output = self(hide(image, mask), mask)
        completed = self.paste(image, mask, output)

        if phase.name != "completion":
            d_losses = self.discriminator_losses(image, completed.detach(), mask)
            self.descend(weigh(d_losses, self.weights["discriminator"]), optimizer_d)
            losses |= {f"discriminator_{name}": loss for name, loss in d_losses.items()}

        if phase.name != "discriminator":
            c_losses = {"reconstruction": hole_mse(output, image, mask)}
            with frozen(self.discriminator):
                if phase.name == "joint":
                    logits = self.discriminator(completed, self.window(completed, mask))
                    c_losses["adversarial"] = F.softplus(-logits).mean()  # -log D: non-saturating
                self.descend(weigh(c_losses, self.weights[phase.name]), optimizer_c)
            losses |= c_losses
        return losses

    def discriminator_losses(self, image: Images, completed: Images, mask: Planes) -> Losses:
        """Cross entropy of D on real and completed images, in a forward pass each.

        The completed image's window is centred on its own hole. The real image's is centred on an independent hole of
        the same distribution, the next sample's (the paper's M_d); a batch of one has only its own.
        """
        real = self.discriminator(image, self.window(image, mask.roll(1, dims=0)))
        fake = self.discriminator(completed, self.window(completed, mask))
        return {"real": F.softplus(-real).mean(), "fake": F.softplus(fake).mean()}

    def window(self, image: Images, mask: Planes) -> Float[Tensor, "batch 3 patch patch"]:
        """The part of each image that D's local branch sees: centred on the hole of ``mask``."""
        return crop(image, hole_windows(mask, self.patch_size), self.patch_size)

    def configure_optimizers(self) -> list[Optimizer]:
        """ADADELTA for each network."""
        return [
            Adadelta([{"params": network.parameters(), "lr_ratio": 1.0}], self.learning_rate, self.rho, self.eps)
            for network in (self.completion, self.discriminator)
        ]

    def loss_weights(self) -> dict[str, Mapping[str, float]]:
        """The YAML's weights."""
        return dict(self.weights)

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


def _convolution(incoming: int, outgoing: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(incoming, outgoing, kernel, stride, padding, dilation), nn.BatchNorm2d(outgoing), nn.ReLU()
    )


def _upsampling(incoming: int, outgoing: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(incoming, outgoing, 4, 2, 1), nn.BatchNorm2d(outgoing), nn.ReLU())


def _branch(size: int, convolutions: int, features: int, width: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    incoming = 3
    for index in range(convolutions):
        outgoing = channels(min(64 * 2**index, 512), width)
        layers.append(_convolution(incoming, outgoing, 5, stride=2))
        incoming = outgoing
        size = (size + 1) // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(incoming * size * size, features), nn.ReLU())
