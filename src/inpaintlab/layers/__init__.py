"""Layers that compute what torch's do, faster or more exactly on a device."""

from inpaintlab.layers.convolutions import SteadyConv2d, SteadyConvTranspose2d, SteadyLinear, ThinConv2d, channels
from inpaintlab.layers.instance_norm import InstanceNorm
from inpaintlab.layers.padding import ReflectionPad2d
from inpaintlab.layers.rounding import ROUNDED, at_least_float32, laid_out
from inpaintlab.layers.spectral_norm import fuse_spectral_norm, spectrally_normalised

__all__ = [
    "ROUNDED",
    "InstanceNorm",
    "ReflectionPad2d",
    "SteadyConv2d",
    "SteadyConvTranspose2d",
    "SteadyLinear",
    "ThinConv2d",
    "at_least_float32",
    "channels",
    "fuse_spectral_norm",
    "laid_out",
    "spectrally_normalised",
]
