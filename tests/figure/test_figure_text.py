"""Laws of text and pictures on a page: nothing is left out, nothing meets anything else, every script is drawn."""

import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from inpaintlab.figure.page import WIDTH, Drawn, write
from inpaintlab.figure.sheet import MOST_COLUMNS, Cell, Row, sheet
from inpaintlab.figure.text import BASE, SMALL, families, lines, measured, without_font

import polars as pl  # isort: skip

LONG = "edgeconnect_canny_sigma_2_trained_on_strokes_and_blocks_for_two_million_batches"
NAMES = [LONG, "x" * 90, "الحواف المتوقعة في الصورة " * 3, "$a_b$ \\frac{x}", "ascii", "σ=1"]  # noqa: RUF001
GRAY = np.full((20, 30), 120, np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_a_label_is_broken_into_lines_that_fit_and_nothing_of_it_is_lost(name):
    family = families([name])
    broken = lines(name, 0.9, SMALL, family)
    assert "".join("".join(broken).split()) == "".join(name.split())
    assert all(measured(line, SMALL, family) <= 0.9 for line in broken)


def test_a_label_is_broken_between_its_words_where_they_are():
    assert lines("partial_convolution of_strokes", 0.8, SMALL, [BASE]) == ["partial_", "convolution", "of_strokes"]


def boxes(figure):
    """The place of each text of a figure in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    return [text.get_window_extent(renderer) for text in figure.findobj(Text) if text.get_text()]


@pytest.mark.parametrize("methods", [1, 7, 20])
def test_no_two_texts_of_a_sheet_meet_and_none_leaves_the_page(methods):
    rows = [
        Row(
            [Cell(GRAY, f"{LONG} {number} {NAMES[number % len(NAMES)]}", "20.31 dB") for number in range(methods)],
            title,
        )
        for title in ("10-20/a photograph, 15 % hole", LONG * 3)
    ]
    with matplotlib.rc_context({"font.family": [BASE], "text.parse_math": False}):
        figure = sheet(rows)
        found = boxes(figure)
    assert len(found) > 2 * methods
    width, height = figure.bbox.width, figure.bbox.height
    assert figure.get_figwidth() <= WIDTH + 1e-9
    for number, box in enumerate(found):
        assert box.x0 > -2
        assert box.x1 < width + 2
        assert box.y0 > -1
        assert box.y1 < height + 1
        for other in found[number + 1 :]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            along = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert across < 1 or along < 0.35 * min(
                box.height, other.height
            )  # the boxes of lines touch, letters do not


def test_more_pictures_than_a_page_is_wide_are_continued_and_none_is_left_out():
    figure = sheet([Row([Cell(GRAY, str(number)) for number in range(20)])])
    assert len(figure.axes) == 20
    assert len({round(axes.get_position().x0, 4) for axes in figure.axes}) <= MOST_COLUMNS


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (2, 3, 3)])
def test_pictures_of_every_shape_are_drawn(shape):
    figure = sheet([Row([Cell(np.zeros(shape, np.uint8), "one")])])
    assert figure.get_figheight() < 6
    FigureCanvasAgg(figure).draw()


def test_characters_that_no_font_has_are_drawn_without_a_warning_and_named(tmp_path):
    text = "边缘 العربية $x_1$"
    assert without_font(["plain", "العربية"]) == ""
    assert set(without_font([text])) <= set("边缘")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write("one", tmp_path, lambda: Drawn(sheet([Row([Cell(GRAY, text)])]), pl.DataFrame({"a": [1]}), "c\n"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.csv", "one.md", "one.pdf", "one.png"]


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write("one", tmp_path / "new", fails)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file"):
        write("one", tmp_path / "file", fails)
