import io

import numpy as np
import pytest
from PIL import Image
from plain_librosa import load_librosa

from genreclf.evaluation.calibration import calibration
from genreclf.evaluation.plots import (
    ClipView,
    band_of,
    draw_clip,
    draw_confusion,
    draw_curves,
    draw_per_class,
    draw_reliability,
)
from genreclf.evaluation.scores import scores
from genreclf.plot_text import drawable


def per_class(correct: list[int], names: tuple[str, ...]) -> list[dict]:
    """Returns the table for these numbers of correct predictions per class."""
    target = np.repeat(np.arange(len(names)), correct)
    return scores(np.eye(len(names))[target], target, names)["per_class"]


def test_curves_are_drawn_from_the_rows(tmp_path):
    columns = ("epoch", "train/loss", "train/accuracy", "val/loss", "val/accuracy")
    table = ("1", "2", "0.1", "2.1", "0.2"), ("2", "1", "0.5", "1.5", "0.6"), ("3", "1", "0.6", "2", "0.4")
    rows = [dict(zip(columns, row, strict=True)) for row in table]
    assert draw_curves(rows, tmp_path / "curves.png") == {"highest": 0.6, "last": 0.4}
    assert np.asarray(Image.open(tmp_path / "curves.png")).std() > 5
    assert np.isnan(draw_curves([], tmp_path / "empty.png")["last"])


def test_confusion_shows_each_count_in_its_cell(tmp_path):
    for cell, name in (((0, 1), "a"), ((1, 0), "b")):
        matrix = np.zeros((2, 2), int)
        matrix[cell] = 9
        draw_confusion(matrix, ("x", "y"), "t", tmp_path / f"{name}.png")
    a, b = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).astype(int) for name in "ab")
    assert a.shape == b.shape and (abs(a - b) > 60).mean() > 0.05


def test_per_class_draws_a_bar_for_each_class(tmp_path):
    names = ("blues", "jazz", "pop")
    draw_per_class(per_class([3, 2, 0], names), "t", tmp_path / "bars.png")
    assert Image.open(tmp_path / "bars.png").size[0] > 500


def test_what_no_font_can_draw_is_an_escape_and_nothing_is_cut():
    assert drawable("Música \U0010fffd\n$x$") == r"Música \U0010fffd\n$x$"
    long = "many words " * 20 + "x" * 255
    lines = drawable(long, 40).split("\n")
    assert max(map(len, lines)) <= 40 and "".join(lines).replace(" ", "") == long.replace(" ", "")


@pytest.mark.filterwarnings("error")  # warnings about missing glyphs
@pytest.mark.parametrize("name", ["a$\\bad$b", "$x", "caf\udce9 歌\U0010fffd", "two\nlines", "x" * 255])
def test_a_class_may_have_any_name(tmp_path, name):
    names = (name, "rock")
    draw_confusion(np.eye(2, dtype=int), names, "t", tmp_path / "matrix.png")
    draw_per_class(per_class([1, 1], names), "t", tmp_path / "bars.png")
    for picture in ("matrix.png", "bars.png"):
        pixels = np.asarray(Image.open(tmp_path / picture).convert("L")).astype(int)
        assert (pixels < 250).mean() > 0.1  # the name has not displaced the axes


def test_frequencies_are_labelled_at_their_bands():
    centres = load_librosa().mel_frequencies(n_mels=130, fmin=0, fmax=11_025)[1:-1]
    assert [band_of(hertz) for hertz in centres] == pytest.approx(list(range(128)), abs=1e-9)


def test_reliability_shows_confidence_and_accuracy(tmp_path):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.3] * 3, 200)
    for name, target in (("correct", probabilities.argmax(1)), ("wrong", probabilities.argmin(1))):
        draw_reliability(calibration(probabilities, target), "t", tmp_path / f"{name}.png")
    correct, wrong = (
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).astype(int) for name in ("correct", "wrong")
    )
    assert correct.shape == wrong.shape and (abs(correct - wrong) > 30).mean() > 0.1


def test_a_clip_is_drawn_with_the_low_bands_below_and_attention_above():
    levels = np.zeros((128, 60), np.uint8)
    levels[:30] = 255
    plain = ClipView("x", "a", "b", (0.4, 0.6), levels, 30.0, None)
    drawn = np.asarray(Image.open(io.BytesIO(draw_clip(plain))).convert("L")).astype(int)
    middle = drawn[:, drawn.shape[1] // 2]
    bright, dark = np.flatnonzero((middle > 180) & (middle < 250)), np.flatnonzero(middle < 20)
    assert np.median(bright) > np.median(dark)  # magma's brightest colour is below its darkest
    with_attention = ClipView("x", "a", "b", (0.4, 0.6), levels, 30.0, np.linspace(0, 2, 60))
    assert Image.open(io.BytesIO(draw_clip(with_attention))).size[1] > drawn.shape[0]
