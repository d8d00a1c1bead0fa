"""Context Encoder: Pathak, Krähenbühl, Donahue, Darrell, Efros, "Context Encoders: Feature Learning by Inpainting",
CVPR 2016, as its authors' code inpaints (pathak22/context-encoder, 68abd11): train.lua for the hole in the centre,
train_random.lua for random regions. Arguments choose what BoyuanJiang/context_encoder_pytorch (01cbf96) does otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from inpaintlab.inpainting import BATCH_BY_BATCH, Learner, Losses, MadeFor, Schedule, Steps, frozen, hide, weigh
from inpaintlab.layers import channels
from inpaintlab.losses import NonSaturating
from inpaintlab.recipes import require_flag, require_one_of
from inpaintlab.shapes import Images, Planes, Scalar, Size, height_width, in_pixels

Patches = Float[Tensor, "batch 3 side side"]
"""What is predicted, RGB in [0, 1]: the centre half of an image, or all of it."""

FILL = tuple(2 * value / 255 - 1 for value in (117, 104, 123))
"""What erased pixels hold, in [-1, 1]: Caffe's mean of BGR (104, 117, 123) with two values swapped, in planes R, G, B
(train.lua 281-283)."""

SIDES = (16, 32, 64, 128)
"""Sides of the images: 128 in the paper, 64 for random regions too; the smaller ones are for trials."""

SMALLEST = 4
"""Side of the encoder's last feature map, which the bottleneck covers."""


def stages(side: int) -> list[int]:
    """The channels of the layers with stride 2 that lead from a side to ``SMALLEST`` pixels; the last has 512."""
    count = (side // SMALLEST).bit_length() - 1
    return [max(64, 512 >> left) for left in reversed(range(count))]


class Generator(nn.Module):
    """The encoder, the bottleneck, a plain fully connected layer as a convolution, and the decoder.

    With 4000 features in the bottleneck it has 71,124,544 parameters, 65 million of them there.

    Args:
        image_size: side of the image it sees, in pixels.
        output_size: side of the image it predicts.
        erased: side of the centre that it never sees; 0 for random regions.
        bottleneck: number of features.
        width: multiplier of all other channel counts.
        bias: whether convolutions have one.
    """

    def __init__(
        self, image_size: int, output_size: int, erased: int, bottleneck: int, width: float = 1.0, *, bias: bool = False
    ) -> None:
        super().__init__()
        down = [channels(count, width) for count in stages(image_size)]
        up = [channels(count, width) for count in reversed(stages(output_size))]

        def encoding(incoming: int, outgoing: int, stride: int = 2) -> nn.Sequential:
            convolution = nn.Conv2d(incoming, outgoing, 4, stride, stride // 2, bias=bias)
            return nn.Sequential(convolution, nn.BatchNorm2d(outgoing), nn.LeakyReLU(0.2, inplace=True))

        def decoding(incoming: int, outgoing: int, stride: int = 2) -> nn.Sequential:
            convolution = nn.ConvTranspose2d(incoming, outgoing, 4, stride, stride // 2, bias=bias)
            return nn.Sequential(convolution, nn.BatchNorm2d(outgoing), nn.ReLU(inplace=True))

        self.encoder = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, down[0], 4, 2, 1, bias=bias), nn.LeakyReLU(0.2, inplace=True)),
            *(encoding(*pair) for pair in pairwise(down)),
            encoding(down[-1], bottleneck, stride=1),
        )
        self.decoder = nn.Sequential(
            decoding(bottleneck, up[0], stride=1),
            *(decoding(*pair) for pair in pairwise(up)),
            nn.Sequential(nn.ConvTranspose2d(up[-1], 3, 4, 2, 1, bias=bias), nn.Tanh()),
        )
        centre = torch.zeros(1, 1, image_size, image_size)
        inside = slice((image_size - erased) // 2, (image_size + erased) // 2)
        centre[..., inside, inside] = 1
        self.centre: Tensor
        self.register_buffer("centre", centre, persistent=False)
        self.fill: Tensor
        self.register_buffer("fill", torch.tensor(FILL).view(3, 1, 1), persistent=False)
        initialise(self)

    def forward(self, visible: Images, mask: Planes) -> Patches:
        """The prediction, RGB in [0, 1]: of the centre half, or of the whole image.

        Args:
            visible: the image; its pixels in the hole do not matter.
            mask: 1 = hole; erased before the encoder sees the image, as the centre is.
        """
        filled = torch.where(torch.maximum(mask, self.centre) > 0.5, self.fill, 2 * visible - 1)
        return (self.decoder(self.encoder(filled)) + 1) / 2


class Discriminator(nn.Module):
    """The discriminator of predictions, which sees nothing of their context; for 64 pixels 2,765,568 parameters.

    Args:
        side: of the predictions, in pixels.
        width: multiplier of all channel counts.
        bias: whether convolutions have one.
    """

    def __init__(self, side: int, width: float = 1.0, *, bias: bool = False) -> None:
        super().__init__()
        counts = [channels(count, width) for count in stages(side)]

        def layer(incoming: int, outgoing: int) -> nn.Sequential:
            convolution = nn.Conv2d(incoming, outgoing, 4, 2, 1, bias=bias)
            return nn.Sequential(convolution, nn.BatchNorm2d(outgoing), nn.LeakyReLU(0.2, inplace=True))

        self.layers = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, counts[0], 4, 2, 1, bias=bias), nn.LeakyReLU(0.2, inplace=True)),
            *(layer(*pair) for pair in pairwise(counts)),
            nn.Conv2d(counts[-1], 1, SMALLEST, bias=bias),
        )
        initialise(self)

    def forward(self, image: Patches) -> Float[Tensor, "batch 1"]:
        """The logits that predictions in [0, 1] are real."""
        return self.layers(2 * image - 1).flatten(1)


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Draw the weights of convolutions from N(0, 0.02), those of batch norm from N(1, 0.02) (train.lua 57-67)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.normal_(0, 0.02)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.normal_(1, 0.02)


@final
class ContextEncoder(Learner):
    """Generator and discriminator, trained together: a step of D, then one of G through the updated D.

    For the hole in the centre, G predicts the centre half of the image. It sees all but ``overlap`` pixels of the
    border of that half, so there the prediction has to continue what is known. Holes may reach over that border; they
    are erased as well.

    Args:
        schedule: of the only phase, train.
        weights: of the losses, for the ``generator`` and the ``discriminator``.
        image_size: side of the images in pixels, one of ``SIDES``.
        region: where holes lie: in the 'centre', or at 'random' places.
        overlap: pixels of the centre half's border that G sees and predicts; 0 for random regions, where it sees
            whatever is known.
        seen_weight: the factor of squared errors where G sees the truth: in the ``overlap``, or outside random holes.
        bottleneck: features between encoder and decoder.
        width: multiplier of all other channel counts; 1 is the authors'.
        bias: whether convolutions have one. The authors' have, but set them to 0 before each step.
        learning_rate: D's.
        generator_ratio: G's learning rate over D's.
        betas: Adam's.
        steps: how batches become steps.

    Raises:
        ValueError: a setting that is none of its choices, another size, or an overlap that leaves nothing to erase.
    """

    adversaries: Mapping[str, str] = {"discriminator": "generator"}

    gan = NonSaturating()

    def __init__(
        self,
        *,
        schedule: Schedule,
        weights: Mapping[str, Mapping[str, float]],
        image_size: Size,
        region: str,
        overlap: int,
        seen_weight: float,
        bottleneck: int,
        width: float,
        bias: bool,
        learning_rate: float,
        generator_ratio: float,
        betas: Sequence[float],
        steps: Steps = BATCH_BY_BATCH,
    ) -> None:
        super().__init__(schedule, learning_rate, steps)
        self.made_for = self.takes({"image_size": image_size, "region": region})
        side, centre = self.made_for.side, self.made_for.centre
        predicted = side // 2 if centre else side
        if not 0 <= 2 * overlap < predicted or (overlap and not centre):
            raise ValueError(
                f"model.overlap is {overlap}; give 0 to {side // 4 - 1} pixels of the {predicted} that are predicted, "
                "and 0 for random regions."
            )
        if bottleneck < 1:
            raise ValueError(f"model.bottleneck is {bottleneck}; give the number of its features, at least 1.")
        self.weights = weights
        self.seen_weight = seen_weight
        self.generator_ratio = generator_ratio
        self.betas = (float(betas[0]), float(betas[1]))
        self.window = slice(side // 4, 3 * side // 4) if centre else slice(None)
        """Rows and columns that are predicted."""
        bias = require_flag("model.bias", bias)
        self.choices = {
            "region": region,
            "overlap": overlap,
            "seen_weight": seen_weight,
            "bias": bias,
            "generator_ratio": generator_ratio,
        }
        erased = predicted - 2 * overlap if centre else 0
        self.generator = Generator(side, predicted, erased, bottleneck, width, bias=bias)
        self.discriminator = Discriminator(predicted, width, bias=bias)
        self.smallest_batch = 2  # the bottleneck is one pixel, and batch norm of one value is 0

    @classmethod
    def takes(cls, settings: Mapping[str, Any]) -> MadeFor:
        """The images that the network of these settings takes.

        Raises:
            ValueError: there is no such network.
        """
        region = require_one_of("model.region", settings["region"], ("centre", "random"))
        height, width = height_width(settings["image_size"])
        if height != width or height not in SIDES:
            raise ValueError(
                f"model.image_size is {in_pixels(settings['image_size'])}; this network is for 128 x 128 pixels, or "
                "for trials with 64, 32 or 16: give data.size=128."
            )
        return MadeFor(height, centre=region == "centre")

    def forward(self, visible: Images, mask: Planes, edges: Planes | None = None) -> Images:
        """The prediction where G saw nothing, the visible image elsewhere; edges are not used.

        For random regions, the prediction everywhere.
        """
        predicted = self.generator(visible, mask)
        if self.window == slice(None):
            return predicted
        window, erased = (..., self.window, self.window), torch.maximum(mask, self.generator.centre)
        whole = visible.clone()
        whole[window] = torch.where(erased[window] > 0.5, predicted, visible[window])
        return whole

    # --- training --------------------------------------------------------------------------------------------------

    def learn_train(self, batch: dict[str, Any]) -> Losses:
        """A step of D on real and predicted images, then one of G on the same prediction."""
        image, mask = batch["image"], batch["mask"]
        optimizer_g, optimizer_d = self.optimizers()  # type: ignore[attr-defined]
        predicted, target = self.generator(hide(image, mask), mask), image[..., self.window, self.window]
        d_losses = self.discriminator_losses(target, predicted.detach())
        self.descend(weigh(d_losses, self.weights["discriminator"]), optimizer_d)
        with frozen(self.discriminator):
            losses = self.generator_losses(predicted, target, mask)
            self.descend(weigh(losses, self.weights["generator"]), optimizer_g)
        told = {"squared_error": (2 * (predicted - target).detach()).square().mean()}  # what the authors' code prints
        return {f"discriminator_{name}": loss for name, loss in d_losses.items()} | losses | told

    PHASES: Mapping[str, Callable[[Any, dict[str, Any]], Losses]] = {"train": learn_train}

    def discriminator_losses(self, target: Patches, predicted: Patches) -> Losses:
        """Cross entropy of D, with a forward pass for the truth and one for predictions (train.lua 291-335)."""
        real, fake = self.discriminator(target), self.discriminator(predicted)
        self.note_verdicts(self.discriminator, real, fake)
        return {"real": self.gan.real(real), "fake": self.gan.fake(fake)}

    def generator_losses(self, predicted: Patches, target: Patches, mask: Planes) -> Losses:
        """The joint loss: the weighted squared error, and that D takes the prediction for real."""
        return {
            "reconstruction": self.reconstruction(predicted, target, mask),
            "adversarial": self.gan.generator(self.discriminator(predicted)),
        }

    def reconstruction(self, predicted: Patches, target: Patches, mask: Planes) -> Scalar:
        """The mean squared error in [-1, 1], times ``seen_weight`` where G sees the truth (train.lua 378-386)."""
        hidden = mask if self.window == slice(None) else self.generator.centre[..., self.window, self.window]
        weight = torch.where(hidden > 0.5, 1.0, self.seen_weight)
        return (weight * (2 * (predicted - target)).square()).mean()

    def configure_optimizers(self) -> list[Optimizer]:
        """One Adam for each network."""
        return [
            Adam(
                [{"params": network.parameters(), "lr_ratio": ratio}],
                self.learning_rate * ratio,
                self.betas,
                fused=True,
            )
            for network, ratio in ((self.generator, self.generator_ratio), (self.discriminator, 1.0))
        ]
