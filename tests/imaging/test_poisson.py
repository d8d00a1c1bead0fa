"""Laws of the screened Poisson equation."""

import numpy as np
import pytest
from jaxtyping import Bool, Float

from inpaintlab.imaging import ScreenedPoisson, poisson

Picture = Float[np.ndarray, "height width channels"]


def ramp(height: int, width: int) -> Picture:
    """Three planes, each with a slope of its own."""
    y, x = np.mgrid[:height, :width]
    return np.stack([0.01 * x + 0.02 * y, 0.5 - 0.02 * x, 0.1 + 0.015 * y], axis=-1)


def differences(image: Picture) -> tuple[Picture, Picture]:
    right, down = np.zeros_like(image), np.zeros_like(image)
    right[:, :-1], down[:-1] = np.diff(image, axis=1), np.diff(image, axis=0)
    return right, down


def hole(height: int, width: int, name: str) -> Bool[np.ndarray, "height width"]:
    unknown = np.zeros((height, width), bool)
    if name == "middle":
        unknown[4:-5, 3:-4] = True
    elif name == "border":
        unknown[:7, 5:] = True
    elif name == "several":
        unknown[2:5, 2:9], unknown[8:, :4] = True, True
    else:
        unknown[:], unknown[5, 6] = True, False
    return unknown


@pytest.mark.parametrize("name", ["middle", "border", "several", "all but one"])
@pytest.mark.parametrize("most_factored", [1 << 14, 8])
def test_constant_gradients_give_back_a_ramp(name: str, most_factored: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poisson, "MOST_FACTORED", most_factored)
    image, unknown = ramp(21, 17), hole(21, 17, name)
    hidden = np.where(unknown[..., None], 7.0, image)
    for weight in (0.0, 1e-3):
        colours = hidden if not weight else image
        solved = ScreenedPoisson(unknown, weight).solve(colours, *differences(image), start=hidden)
        np.testing.assert_allclose(solved, image, atol=1e-6)
        np.testing.assert_array_equal(solved[~unknown], image[~unknown])


@pytest.mark.parametrize(("colour", "gradient"), [(1.0, 0.1), (0.3, 2.0), (0.0, 1.0)])
@pytest.mark.parametrize("most_factored", [1 << 14, 8])
def test_the_solution_is_that_of_dense_least_squares(
    colour: float, gradient: float, most_factored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum of squares, written row by row as the docstring has it, and solved by LAPACK."""
    monkeypatch.setattr(poisson, "MOST_FACTORED", most_factored)
    height, width = 9, 12
    random = np.random.default_rng(0)
    colours, right, down = (random.normal(size=(height, width, 1)) for _ in range(3))
    unknown = hole(height, width, "several")
    rows, values = [], []

    def row(value: float, **pixels: float) -> None:
        line = np.zeros((height, width))
        for place, factor in pixels.items():
            y, x = map(int, place[1:].split("_"))
            if unknown[y, x]:
                line[y, x] = factor
            else:
                value -= factor * colours[y, x, 0]
        rows.append(line[unknown])
        values.append(value)

    for y in range(height):
        for x in range(width):
            if unknown[y, x]:
                row(colour * colours[y, x, 0], **{f"p{y}_{x}": colour})
            for slope, (b, a) in ((right, (y, x + 1)), (down, (y + 1, x))):
                if b < height and a < width and (unknown[y, x] or unknown[b, a]):
                    row(gradient * slope[y, x, 0], **{f"p{y}_{x}": -gradient, f"p{b}_{a}": gradient})
    expected = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    solved = ScreenedPoisson(unknown, colour, gradient).solve(colours, right, down)
    np.testing.assert_allclose(solved[unknown, 0], expected, atol=1e-5)


def test_a_large_hole_needs_few_steps_and_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    image, unknown = ramp(300, 280) / 10, np.zeros((300, 280), bool)
    unknown[20:-20, 30:-30] = True
    equation = ScreenedPoisson(unknown, 0.0)
    corrections = []
    correct = equation.correct
    monkeypatch.setattr(equation, "correct", lambda residual: corrections.append(1) or correct(residual))
    solved = equation.solve(np.where(unknown[..., None], 0, image), *differences(image))
    np.testing.assert_allclose(solved, image, atol=1e-6)
    assert len(corrections) < 3 * 40


def test_several_images_are_solved_with_the_same_equation_and_none_is_changed() -> None:
    image, unknown = ramp(21, 17).astype(np.float32), hole(21, 17, "middle")
    kept = image.copy()
    equation = ScreenedPoisson(unknown, 1.0, 0.1)
    solved = [equation.solve(factor * image, *differences(factor * image)) for factor in (1, 2)]
    assert solved[0].dtype == np.float32
    np.testing.assert_allclose(solved[1], 2 * solved[0], atol=1e-5)
    np.testing.assert_array_equal(image, kept)


def test_an_image_without_unknown_pixels_comes_back() -> None:
    image = ramp(5, 6)
    np.testing.assert_array_equal(ScreenedPoisson(np.zeros((5, 6), bool), 0.0).solve(image, *differences(image)), image)


def test_nothing_known_and_no_weight_of_colours_is_refused() -> None:
    with pytest.raises(ValueError, match="no solution"):
        ScreenedPoisson(np.ones((4, 5), bool), 0.0)
