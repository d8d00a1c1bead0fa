"""Grey images."""

from kornia.color import rgb_to_grayscale

from inpaintlab.shapes import Images, Planes


def rgb_to_gray(image: Images) -> Planes:
    """Luminance 0.2125 R + 0.7154 G + 0.0721 B, in the range and the dtype of the image.

    These are the weights of `skimage.color.rgb2gray`, not Pillow's and OpenCV's 0.299, 0.587, 0.114, which give
    visibly other edge maps.
    """
    return rgb_to_grayscale(image, rgb_weights=image.new_tensor([0.2125, 0.7154, 0.0721]))
