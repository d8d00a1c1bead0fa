"""inpaintlab: train, sweep and compare image-inpainting models."""

__version__ = "0.6.0"
