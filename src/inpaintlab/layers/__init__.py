"""Layers that compute the same as torch's, faster or more exactly on a device."""

from inpaintlab.layers.convolutions import (
    FewOutputsConv2d,
    Float32Linear,
    RoundedGradientConv2d,
    RoundedGradientConvTranspose2d,
    channels,
)
from inpaintlab.layers.instance_norm import InstanceNorm
from inpaintlab.layers.padding import ReflectionPad2d
from inpaintlab.layers.rounding import at_least_float32
from inpaintlab.layers.spectral_norm import SpectralNorm, fuse_spectral_norm

__all__ = [
    "FewOutputsConv2d",
    "Float32Linear",
    "InstanceNorm",
    "ReflectionPad2d",
    "RoundedGradientConv2d",
    "RoundedGradientConvTranspose2d",
    "SpectralNorm",
    "at_least_float32",
    "channels",
    "fuse_spectral_norm",
]
