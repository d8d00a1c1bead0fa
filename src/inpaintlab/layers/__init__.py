"""Layers that compute the same as torch's, faster or more exactly on a device."""

from inpaintlab.layers.attention import ContextualAttention, at_corners
from inpaintlab.layers.context import Context, context_of
from inpaintlab.layers.convolutions import (
    FewOutputsConv2d,
    Float32Conv2d,
    Float32ConvTranspose2d,
    Float32Linear,
    RoundedGradientConv2d,
    RoundedGradientConvTranspose2d,
    UnbiasedConv2d,
    UnbiasedConvTranspose2d,
    channels,
)
from inpaintlab.layers.instance_norm import ChannelsLastInstanceNorm, InstanceNorm
from inpaintlab.layers.padding import ChannelsLastReflectionPad2d, ReflectionPad2d, SamePad2d
from inpaintlab.layers.rounding import at_least_float32
from inpaintlab.layers.spectral_norm import SpectralNorm, fuse_spectral_norm, iterate_together
from inpaintlab.layers.vgg import VGGLayers

__all__ = [
    "ChannelsLastInstanceNorm",
    "ChannelsLastReflectionPad2d",
    "Context",
    "ContextualAttention",
    "FewOutputsConv2d",
    "Float32Conv2d",
    "Float32ConvTranspose2d",
    "Float32Linear",
    "InstanceNorm",
    "ReflectionPad2d",
    "RoundedGradientConv2d",
    "RoundedGradientConvTranspose2d",
    "SamePad2d",
    "SpectralNorm",
    "UnbiasedConv2d",
    "UnbiasedConvTranspose2d",
    "VGGLayers",
    "at_corners",
    "at_least_float32",
    "channels",
    "context_of",
    "fuse_spectral_norm",
    "iterate_together",
]
