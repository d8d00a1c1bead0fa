"""GLCIC's post-processing: fill the hole by fast marching, then clone the completion into it by Poisson blending."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8

from inpaintlab.shapes import Images, Planes

NAME = "fast marching + Poisson blending"
RADIUS = 1  # of fast marching, in pixels, as in the authors' inference script
SMALLEST = 3  # a box with a shorter side has no inside for OpenCV's solver
RIM = 8  # pixels around a hole that take part; OpenCV erodes the mask by three
Picture = UInt8[np.ndarray, "height width 3"]
Hole = Bool[np.ndarray, "height width"]


def blend(completed: Images, mask: Planes) -> Images:
    """Take the seam out of completed images: the hole keeps its gradients and takes its colours from around it.

    This follows the authors' inference script (satoshiiizuka 15c5519). Fast marching (Telea 2004) of the completed
    image gives the destination of a normal seamless clone (Perez et al. 2003); the completed image is its source. Four
    faults of the script are mended: the clone is centred, so that nothing shifts; each hole is cloned alone; a hole at
    the border is continued by its mirror image instead of being tied to what fast marching guesses there; and known
    pixels come back bit for bit.

    OpenCV takes the gradients of a hole's outer three pixels from fast marching, so a hole up to 6 pixels wide is
    filled by fast marching alone. A hole that touches opposite borders is solved on three times its height or width,
    one that touches all four on nine times its area.

    Args:
        completed: the completed images, known pixels in place. Ground truth cannot leak, because it is not passed.
        mask: 1 = hole. An image that has no hole, or is all hole, comes back as it is.

    Returns:
        The images, float32 in [0, 1]; the pixels of holes are rounded to 8 bits.
    """
    blended = completed.clone()
    for image, hole, out in zip(completed, mask[:, 0] > 0.5, blended, strict=True):
        if not bool(hole.any()) or bool(hole.all()):
            continue
        pixels = (image * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        result = torch.from_numpy(_blend(np.ascontiguousarray(pixels), hole.cpu().numpy()))
        out.copy_(torch.where(hole, result.permute(2, 0, 1).to(image) / 255, image))
    return blended


def _blend(completed: Picture, hole: Hole) -> Picture:
    """Every hole of one image, each on its own: OpenCV solves on a bounding box, which two holes should not share."""
    destination = cv2.inpaint(completed, hole.astype(np.uint8), RADIUS, cv2.INPAINT_TELEA)
    blended = destination.copy()
    _, parts, boxes, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8), connectivity=8)
    for number, (left, top, width, height, _) in enumerate(boxes[1:], start=1):
        # Pixels farther off have no influence, and a scratched photograph of many megapixels has hundreds of holes.
        window = (slice(max(0, top - RIM), top + height + RIM), slice(max(0, left - RIM), left + width + RIM))
        part = parts[window] == number
        blended[window][part] = clone(completed[window], destination[window], part)[part]
    return blended


def clone(source: Picture, destination: Picture, hole: Hole) -> Picture:
    """The destination with the source's gradients in the hole.

    Pixels around the hole change a little as well: the solution covers the hole's bounding box.

    Args:
        source: gives the gradients.
        destination: gives the colours around the hole.
        hole: True in the hole, which is one connected part.
    """
    left, top, width, height = cv2.boundingRect(hole.astype(np.uint8))
    if min(width, height) < SMALLEST:
        return destination
    rows, columns = hole.shape
    # Where the hole touches the border, the mirror image puts known pixels on its other side, and no slope between.
    above, before = (height + RIM) * (top == 0), (width + RIM) * (left == 0)
    below, behind = (height + RIM) * (top + height == rows), (width + RIM) * (left + width == columns)

    def mirrored(picture: np.ndarray) -> np.ndarray:
        return cv2.copyMakeBorder(picture, above, below, before, behind, cv2.BORDER_REFLECT)

    inside = mirrored(hole.astype(np.uint8) * 255)
    left, top, width, height = cv2.boundingRect(inside)
    centre = (left + width // 2, top + height // 2)  # the middle that OpenCV puts its box around
    cloned = cv2.seamlessClone(mirrored(source), mirrored(destination), inside, centre, cv2.NORMAL_CLONE)
    return cloned[above : above + rows, before : before + columns]
