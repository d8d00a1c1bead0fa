"""Edges of photographs: Canny's detector, and the sources that a network learns from."""

from inpaintlab.edges.canny_detector import canny
from inpaintlab.edges.canny_source import Canny
from inpaintlab.edges.source import EdgeSource, NoEdges

__all__ = ["Canny", "EdgeSource", "NoEdges", "canny"]
