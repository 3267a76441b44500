import numpy as np
from PIL import Image

from genreclf.evaluation.pictures import draw_confusion, draw_curves, draw_per_class
from genreclf.evaluation.scores import per_class


def test_curves_are_drawn_from_the_table(tmp_path):
    rows = [
        "epoch,train/loss,train/accuracy,val/loss,val/accuracy",
        "1,2,0.1,2.1,0.2",
        "2,1,0.5,1.5,0.6",
        "3,1,0.6,2,0.4",
    ]
    (tmp_path / "metrics.csv").write_text("\n".join(rows) + "\n")
    assert draw_curves(tmp_path / "metrics.csv", tmp_path / "curves.png") == {"highest": 0.6, "last": 0.4}
    assert np.asarray(Image.open(tmp_path / "curves.png")).std() > 5


def test_confusion_shows_the_counts_where_they_are(tmp_path):
    for place, name in (((0, 1), "a"), ((1, 0), "b")):
        matrix = np.zeros((2, 2), int)
        matrix[place] = 9
        draw_confusion(matrix, ("x", "y"), "t", tmp_path / f"{name}.png")
    a, b = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).astype(int) for name in "ab")
    assert a.shape == b.shape and (abs(a - b) > 60).mean() > 0.05


def test_per_class_draws_a_bar_for_each_class(tmp_path):
    names = ("blues", "jazz", "pop")
    draw_per_class(per_class(np.diag([3, 2, 0]), names), "t", tmp_path / "bars.png")
    assert Image.open(tmp_path / "bars.png").size[0] > 500
