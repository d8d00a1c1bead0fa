"""inpaintlab: train, sweep and compare image-inpainting models."""

__version__ = "0.7.0"
