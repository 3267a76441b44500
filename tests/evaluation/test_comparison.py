"""Paired comparisons, checked against scipy, by simulation, and by properties that hold for all predictions."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genreclf.evaluation.comparison import System, compare, compare_pair, count, holm, mcnemar, verdict
from genreclf.evaluation.comparison_plot import draw_comparison, pairs_to_draw
from genreclf.evaluation.predictions import Predictions

CLASSES = ("a", "b", "c")


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr("genreclf.evaluation.intervals.DRAWS", 1_000)


def predictions(correct: np.ndarray, groups: list[str] | None = None) -> Predictions:
    """Returns predictions for clips of class a; wrong predictions are class b."""
    n = len(correct)
    probabilities = np.where(np.asarray(correct)[:, None], [[0.8, 0.1, 0.1]], [[0.1, 0.8, 0.1]])
    names = tuple(f"{i:04d}.wav" for i in range(n))
    return Predictions(CLASSES, names, names, tuple(groups or names), np.zeros(n, int), probabilities)


def system(label: str, *seeds: np.ndarray, groups: list[str] | None = None) -> System:
    fold = np.arange(len(seeds[0])) % 3
    return System(label, ("run",), {s: predictions(correct, groups) for s, correct in enumerate(seeds)}, fold)


def drawn(seed: int, n: int, share: float) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < share


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_sign_test_on_the_discordant_clips(both):
    first, second = (np.array(column) for column in zip(*both, strict=True))
    differences = first.astype(int) - second
    gains, losses = (differences > 0).sum(), (differences < 0).sum()
    tails = scipy.stats.binom.cdf(min(gains, losses), gains + losses, 0.5)
    assert mcnemar(first, second) == pytest.approx(min(1.0, 2 * tails))
    assert mcnemar(second, first) == mcnemar(first, second)
    assert mcnemar(first, first) == 1.0


def test_holm_of_worked_examples():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.2, 0.8]) == pytest.approx([1, 0.6, 1]) and holm([0.3]) == [0.3]


@settings(max_examples=20)
@given(st.integers(0, 1_000), st.integers(2, 40))
def test_swapped_systems_swap_the_result(seed, n):
    one, other = system("x", drawn(seed, n, 0.7)), system("y", drawn(seed + 1, n, 0.5))
    there, back = compare_pair(one, other), compare_pair(other, one)
    assert there["difference"] == pytest.approx(-back["difference"]) and there["p"] == back["p"]
    assert there["clustered"] == pytest.approx([-end for end in reversed(back["clustered"])])
    assert there["only_better_correct"] == back["only_other_correct"]


def test_a_system_is_not_better_than_itself():
    (found,) = compare([system("x", drawn(0, 30, 0.6)), system("y", drawn(0, 30, 0.6))])["pairs"]
    assert found["difference"] == 0 and found["p"] == 1 and found["clustered"] == (0, 0)
    assert found["detectable"] is None
    assert all(part in found["verdict"] for part in ("No significant difference", "30 clips in 30 groups", "p = 1"))


def test_thirds_that_cancel_sum_to_zero():
    """In each group of two clips, three seeds gain and lose a third; 1 - 2/3 and 0 - 1/3 do not sum to 0 as floats."""
    first, none, both = np.array([True, False] * 6), np.zeros(12, bool), np.ones(12, bool)
    groups, two = [str(i // 2) for i in range(12)], {"x": (first, first, first), "y": (first, none, both)}
    found = compare_pair(*(system(label, *seeds, groups=groups) for label, seeds in two.items()))
    assert found["difference"] == 0 and found["clustered"] == (0, 0) and found["detectable"] is None


def test_the_paired_interval_is_the_interval_of_the_differences():
    first, second = drawn(1, 150, 0.75), drawn(2, 150, 0.6)
    found = compare_pair(system("x", first), system("y", second))
    reference = scipy.stats.bootstrap(
        (first.astype(float) - second,), np.mean, n_resamples=5_000, method="percentile", rng=0
    )
    assert found["clustered"] == pytest.approx(tuple(reference.confidence_interval), abs=0.025)
    assert found["detectable"] == pytest.approx(2.8 * reference.standard_error, rel=0.1)


def test_seeds_are_averaged_and_their_p_is_twice_the_median():
    correct_x, correct_y = [drawn(s, 80, 0.8) for s in range(3)], [drawn(s + 9, 80, 0.5) for s in range(3)]
    better, other = system("x", *correct_x), system("y", *correct_y)
    found = compare([other, better])
    (pair,) = found["pairs"]
    assert (pair["better"], pair["other"]) == ("x", "y")
    assert pair["difference"] == pytest.approx(np.mean(correct_x) - np.mean(correct_y))
    single = sorted(mcnemar(a, b) for a, b in itertools.product(correct_x, correct_y))
    assert pair["p"] == pytest.approx(min(1.0, 2 * single[4]))
    assert pair["only_better_correct"] == pytest.approx(np.mean([(a & ~b).sum() for a in correct_x for b in correct_y]))
    first = found["systems"][0]
    losses = [-np.mean(np.log(np.where(correct, 0.8, 0.1))) for correct in correct_x]
    assert first["log_loss_by_seed"] == pytest.approx(losses) and first["log_loss"] == pytest.approx(np.mean(losses))
    assert first["log_loss_deviation_over_seeds"] == pytest.approx(np.std(losses, ddof=1))
    assert first["macro_f1"] == pytest.approx(np.mean(first["macro_f1_by_seed"]))
    assert first["accuracy_by_seed"] == pytest.approx([correct.mean() for correct in correct_x])
    assert first["deviation_over_seeds"] == pytest.approx(np.std([correct.mean() for correct in correct_x], ddof=1))
    by_fold = [np.mean([correct[fold::3].mean() for correct in correct_x]) for fold in range(3)]
    assert first["accuracy_by_fold"] == pytest.approx(by_fold) and first["wilson"] is None
    assert found["systems"][1]["label"] == "y"


def test_groups_make_a_difference_less_certain():
    first, second = np.repeat(drawn(3, 25, 0.8), 8), np.repeat(drawn(4, 25, 0.55), 8)
    alone = compare([system("x", first), system("y", second)])["pairs"][0]
    groups = [str(i // 8) for i in range(200)]
    together = compare([system("x", first, groups=groups), system("y", second, groups=groups)])["pairs"][0]
    assert np.ptp(together["clustered"]) > 2 * np.ptp(alone["clustered"])
    assert together["detectable"] > 2 * alone["detectable"]


def test_the_detectable_difference_is_significant_in_80_percent_of_test_sets(monkeypatch):
    """Compares two models, whose true difference is the detectable one, on many test sets."""
    monkeypatch.setattr("genreclf.evaluation.intervals.DRAWS", 500)
    rng = np.random.default_rng(5)

    def compared(gain: float) -> dict:
        luck = rng.random(300)
        first, second = luck < 0.6 + gain, (luck < 0.5) | (luck > 0.9)  # 60 % + gain, and 60 %
        return compare_pair(system("x", first), system("y", second))

    detectable = np.mean([compared(0.08)["detectable"] for _ in range(10)])
    found = sum(compared(detectable)["clustered"][0] > 0 for _ in range(120))
    assert 0.68 <= found / 120 <= 0.92


PAIR = {"better": "x", "other": "y", "difference": 0.05, "clustered": (0.01, 0.09), "detectable": 0.06}


def test_the_verdict_of_a_significant_difference_has_its_numbers():
    sentence = verdict({**PAIR, "p_holm": 0.01}, 9, 9)
    assert sentence.startswith("x is better than y")
    assert all(number in sentence for number in ("5.0 points", "1.0 to 9.0", "p = 0.01"))
    assert "p < 0.0001" in verdict({**PAIR, "p_holm": 1e-9}, 9, 9)


def test_the_verdict_names_the_method_that_disagrees():
    by_test = verdict({**PAIR, "p_holm": 0.01, "clustered": (-0.01, 0.09)}, 9, 9)
    by_interval = verdict({**PAIR, "p_holm": 0.2}, 9, 9)
    assert by_test.startswith("x may be better than y") and by_interval.startswith("x may be better than y")
    assert by_test.index("by the McNemar") < by_test.index("not by the clustered")
    assert by_interval.index("by the clustered") < by_interval.index("not by the McNemar")


def test_the_verdict_without_a_significant_difference_says_what_is_detectable():
    sentence = verdict({**PAIR, "p_holm": 1, "clustered": (-0.01, 0.09), "detectable": 0.004}, 9, 8)
    assert "better" not in sentence and "9 clips in 8 groups" in sentence and "0.4 points" in sentence
    assert "one group" in verdict({**PAIR, "p_holm": 1, "clustered": None}, 9, 1)
    assert (count(1, "clip"), count(2, "clip")) == ("1 clip", "2 clips")


@pytest.mark.parametrize("size", [1, 2, 6])
def test_the_picture_has_a_row_for_each_system_and_pair(tmp_path, size):
    found = compare([system(f"model {i} " + "long " * 12, drawn(i, 60, 0.5 + i / 20)) for i in range(size)])
    draw_comparison(found, tmp_path / "c.png")
    assert Image.open(tmp_path / "c.png").size[1] > 80 * size
    assert len(pairs_to_draw(found)) == {1: 0, 2: 1, 6: 5}[size]


@pytest.mark.parametrize("size", [2, 5, 10])
def test_labels_of_the_picture_do_not_overlap(size, monkeypatch):
    figures = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: figures.append(figure))
    found = compare([system(f"model {i} " + "long=label " * (2 * i), drawn(i, 60, 0.5 + i / 30)) for i in range(size)])
    draw_comparison(found, Path())
    (figure,) = figures
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = sorted((label.get_window_extent() for label in axes.get_yticklabels()), key=lambda box: box.y0)
        assert all(lower.y1 < upper.y0 for lower, upper in itertools.pairwise(boxes))
        for text in (*axes.get_yticklabels(), axes.xaxis.label, axes.title):
            extent = text.get_window_extent()
            assert extent.x0 >= 0 and extent.x1 <= figure.bbox.x1


def test_any_label_can_be_drawn(tmp_path):
    labels = ["a x=$\\foo$", "b y=$1$\n", "c \udc80"]
    draw_comparison(compare([system(label, drawn(i, 20, 0.6)) for i, label in enumerate(labels)]), tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 5_000
