import math

import pytest
import torch

from genreclf.training.clip_metrics import ClipScores


def test_the_metric_scores_clips_over_batches_and_can_be_reset():
    metric = ClipScores()
    metric.update(torch.tensor([[0.2, 0.8]]), torch.tensor([1]), torch.tensor([7]))
    metric.update(torch.tensor([[0.6, 0.4], [0.1, 0.9]]), torch.tensor([1, 0]), torch.tensor([7, 3]))
    # Clip 7: (0.4, 0.6), correct. Clip 3: (0.1, 0.9), wrong. Two of the three segments are wrong.
    scores = metric.compute()
    assert scores["accuracy"] == 0.5
    assert scores["loss"] == pytest.approx(-(math.log(0.6) + math.log(0.1)) / 2, rel=1e-5)
    metric.reset()
    metric.update(torch.tensor([[0.5, 0.5]]), torch.tensor([0]), torch.tensor([1]))
    assert metric.compute()["accuracy"] == 1


def test_a_probability_of_zero_has_a_finite_loss():
    metric = ClipScores()
    metric.update(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), torch.tensor([0]))
    assert metric.compute()["loss"] == pytest.approx(-math.log(1e-12))
