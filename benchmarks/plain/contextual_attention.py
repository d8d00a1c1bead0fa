"""The training steps of Contextual Attention (Yu et al. 2018) in plain torch, in the order of the authors' code.

It has the released networks, losses and cycle: five steps of the critics, each on a batch, then one of the generator.
Nothing is optimized: patches are compared one image after the other by convolutions with them, scores are fused by
convolutions of the whole matrix, windows are cut in a loop, and losses are read from the device in each step.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PHASES = ("train",)
CRITIC_STEPS = 5


def same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's padding of even sides at stride 2."""
    total = kernel - stride
    return F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))


class Convolution(nn.Module):
    """A convolution with an activation."""

    def __init__(
        self, cin: int, cout: int, kernel: int = 3, stride: int = 1, dilation: int = 1, act: str = "elu"
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.act = kernel, stride, act
        around = dilation * (kernel - 1) // 2 if stride == 1 else 0
        self.convolution = nn.Conv2d(cin, cout, kernel, stride, around, dilation)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convolution(same(x, self.kernel, self.stride) if self.stride > 1 else x)
        return {"elu": F.elu, "relu": F.relu, "leaky": lambda y: F.leaky_relu(y, 0.2), "none": lambda y: y}[self.act](x)


def encoder(counts: list[int], last: str = "elu") -> list[nn.Module]:
    """Six convolutions that quarter the sides."""
    cins, kernels, strides = [5, *counts[:-1]], [5, 3, 3, 3, 3, 3], [1, 2, 1, 2, 1, 1]
    acts = ["elu"] * 5 + [last]
    return [Convolution(*each[:4], act=each[4]) for each in zip(cins, counts, kernels, strides, acts, strict=True)]


def decoder(cin: int, c: list[int]) -> list[nn.Module]:
    """Seven convolutions, with upsampling before the third and the fifth."""
    c16, c32, c64, c128 = c
    up = nn.Upsample(scale_factor=2)
    return [
        *(Convolution(cin, c128), Convolution(c128, c128), up, Convolution(c128, c64), Convolution(c64, c64), up),
        *(Convolution(c64, c32), Convolution(c32, c16), Convolution(c16, 3, act="none")),
    ]


def halved(x: Tensor, by: int = 2) -> Tensor:
    """Nearest neighbours with corners that stay corners."""
    for dim in (2, 3):
        side = x.shape[dim] // by
        scale = (x.shape[dim] - 1) / max(side - 1, 1)
        x = x.index_select(dim, (torch.arange(side, device=x.device) * scale + 0.5).floor().long())
    return x


def attention(f: Tensor, mask: Tensor) -> Tensor:
    """The contextual attention of features to themselves."""
    height, width = f.shape[2] // 2, f.shape[3] // 2
    eye = torch.eye(3, device=f.device).to(f).view(1, 1, 3, 3)
    outputs = []
    for x, m in zip(f.split(1), halved(mask).split(1), strict=True):
        raw = F.unfold(x, 4, padding=1, stride=2)[0].t().reshape(height * width, -1, 4, 4)
        small = halved(x)
        patches = F.unfold(small, 3, padding=1)[0].t().reshape(height * width, -1, 3, 3)
        valid = (F.unfold(m, 3, padding=1).mean(dim=1) == 0).to(x).view(1, -1, 1, 1)
        norm = patches.square().sum(dim=(1, 2, 3), keepdim=True).clamp(min=1e-8).sqrt()
        scores = F.conv2d(small, patches / norm, padding=1)
        scores = scores.permute(0, 2, 3, 1).reshape(1, 1, height * width, height * width)
        scores = F.conv2d(scores, eye, padding=1).view(1, height, width, height, width)
        scores = scores.permute(0, 2, 1, 4, 3).reshape(1, 1, height * width, height * width)
        scores = F.conv2d(scores, eye, padding=1).view(1, width, height, width, height)
        scores = scores.permute(0, 2, 1, 4, 3).reshape(1, height, width, height * width).permute(0, 3, 1, 2)
        weights = F.softmax(10 * scores * valid, dim=1) * valid
        outputs.append(F.conv_transpose2d(weights, raw, stride=2, padding=1) / 4)
    return torch.cat(outputs)


class Generator(nn.Module):
    """Both stages."""

    def __init__(self, width: float) -> None:
        super().__init__()
        _, c32, c64, c128 = c = [max(1, round(count * width)) for count in (16, 32, 64, 128)]

        def atrous() -> list[nn.Module]:
            return [Convolution(c128, c128, dilation=dilation) for dilation in (2, 4, 8, 16)]

        self.coarse = nn.Sequential(*encoder([c32, c64, c64, c128, c128, c128]), *atrous(), *decoder(c128, c))
        self.hallucination = nn.Sequential(*encoder([c32, c32, c64, c64, c128, c128]), *atrous())
        self.matching = nn.Sequential(*encoder([c32, c32, c64, c128, c128, c128], "relu"))
        self.matched = nn.Sequential(Convolution(c128, c128), Convolution(c128, c128))
        self.joint = nn.Sequential(*decoder(2 * c128, c))

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        known, ones = image * (1 - mask), torch.ones_like(mask)
        coarse = self.coarse(torch.cat([known, ones, mask], dim=1)).clamp(-1, 1)
        planes = torch.cat([coarse * mask + known, ones, mask], dim=1)
        copied = self.matched(attention(self.matching(planes), halved(mask, 4)))
        return coarse, self.joint(torch.cat([self.hallucination(planes), copied], dim=1)).clamp(-1, 1)


class Critic(nn.Module):
    """One critic."""

    def __init__(self, side: int, widest: int, width: float) -> None:
        super().__init__()
        counts = [3, *(max(1, round(count * width)) for count in (64, 128, 256, widest))]
        self.convolutions = nn.Sequential(*(Convolution(counts[i], counts[i + 1], 5, 2, act="leaky") for i in range(4)))
        self.dense = nn.Linear(counts[-1] * (side // 16) ** 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.dense(self.convolutions(image).flatten(1))


class Critics(nn.Module):
    """Both critics."""

    def __init__(self, size: int, width: float) -> None:
        super().__init__()
        self.local_critic = Critic(size // 2, 512, width)
        self.global_critic = Critic(size, 256, width)


class ContextualAttention(nn.Module):
    """The networks and their Adams.

    Args:
        size: of the pictures, in pixels.
        width: multiplier of all channel counts.
    """

    def __init__(self, size: int, width: float = 1.0) -> None:
        super().__init__()
        self.generator = Generator(width)
        self.critics = Critics(size, width)
        self.done = 0
        self.window = size // 2
        self.optimizers: dict[str, torch.optim.Optimizer] = {}

    def prepare(self) -> None:
        """Make the optimizers, after the networks were moved to their device."""
        for name, network in self.networks():
            self.optimizers[name] = torch.optim.Adam(network.parameters(), lr=1e-4, betas=(0.5, 0.9))

    def cut(self, x: Tensor, mask: Tensor) -> Tensor:
        """The windows around the holes."""
        windows = []
        for sample, hole in zip(x, mask, strict=True):
            rows, columns = hole[0].amax(dim=1).nonzero(), hole[0].amax(dim=0).nonzero()
            corners = []
            for places, side in ((rows, x.shape[2]), (columns, x.shape[3])):
                middle = (int(places.min()) + int(places.max()) + 1 - self.window) // 2
                corners.append(min(max(middle, 0), side - self.window))
            top, left = corners
            windows.append(sample[:, top : top + self.window, left : left + self.window])
        return torch.stack(windows)

    def step(self, phase: str, batch: dict[str, Tensor]) -> dict[str, float]:
        """One training step: of the critics, or, each sixth, of the generator.

        Args:
            phase: of the training.
            batch: image and mask, 1 = hole.

        Returns:
            The losses by name.
        """
        image, mask = 2 * batch["image"].flip(1) - 1, batch["mask"]
        torch.manual_seed((1_000_003 + self.done) * 4099)  # as ours with seed 1, so that both draw the same
        generating = self.done % (CRITIC_STEPS + 1) == CRITIC_STEPS
        self.done += 1
        coarse, refined = self.generator(image, mask)
        completed = refined * mask + image * (1 - mask)
        real, fake = (image, self.cut(image, mask)), (completed, self.cut(completed, mask))
        critics = (self.critics.global_critic, self.critics.local_critic)
        if generating:
            losses = self.generator_losses(image, mask, coarse, refined)
            losses["adversarial"] = -torch.stack([c(x).mean() for c, x in zip(critics, fake, strict=True)]).sum()
            total = 1.2 * losses["l1"] + 1.2 * losses["ae"] + 0.001 * losses["adversarial"]
        else:
            masks, wgan, penalty = (mask, self.cut(mask, mask)), [], []
            shares = torch.rand(2, len(image), 1, 1, 1, dtype=image.dtype, device=image.device)
            for critic, one, other, region, share in zip(critics, real, fake, masks, shares, strict=True):
                other = other.detach()
                wgan.append((critic(other) - critic(one)).mean())
                mixed = one + share * (other - one)
                mixed.requires_grad_()
                (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
                penalty.append(((slope.square() * region).sum(dim=(1, 2, 3)).sqrt() - 1).square().mean())
            losses = {"critics_wgan": torch.stack(wgan).sum(), "critics_penalty": torch.stack(penalty).sum()}
            total = losses["critics_wgan"] + 10 * losses["critics_penalty"]
        optimizer = self.optimizers["generator" if generating else "critics"]
        optimizer.zero_grad()
        if generating:
            self.critics.requires_grad_(False)
        total.backward()
        self.critics.requires_grad_(True)
        optimizer.step()
        return {name: loss.item() for name, loss in losses.items()}

    def generator_losses(self, image: Tensor, mask: Tensor, coarse: Tensor, refined: Tensor) -> dict[str, Tensor]:
        """Errors of pixels of both stages."""
        steps = torch.arange(self.window, device=image.device)
        distance = torch.minimum(steps, self.window - steps).float()
        discount = 0.9 ** torch.minimum(distance[:, None], distance[None])
        l1 = [((self.cut(x, mask) - self.cut(image, mask)).abs() * discount).mean() for x in (coarse, refined)]
        ae = [((x - image).abs() * (1 - mask)).mean() / (1 - mask).mean() for x in (coarse, refined)]
        return {"l1": 1.2 * l1[0] + l1[1], "ae": 1.2 * ae[0] + ae[1]}

    def networks(self) -> Iterator[tuple[str, nn.Module]]:
        """The networks that learn, by name."""
        yield "generator", self.generator
        yield "critics", self.critics
