"""Nearest-neighbour fields: patches of the known region that resemble those around and in a hole."""

__all__ = []
