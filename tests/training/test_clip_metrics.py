import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score
from torchmetrics.functional.classification import multiclass_accuracy

from genreclf.data.datamodule import NONE
from genreclf.training.clip_metrics import ClipScores, MultilabelClipScores, SegmentAccuracy


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


def test_clips_of_several_genres_are_scored_as_by_scikit_learn():
    rng = np.random.default_rng(0)
    target = rng.random((20, 4)) < [0.3, 0.5, 0.1, 0]  # no clip has the last genre
    predicted = rng.random((20, 2, 4)).astype(np.float32)  # two segments each
    metric = MultilabelClipScores()
    for segment in (0, 1):
        clips = torch.arange(20).flip(0) if segment else torch.arange(20)
        metric.update(torch.from_numpy(predicted[clips, segment]), torch.from_numpy(target[clips]).float(), clips)
    means, found = predicted.mean(1), metric.compute()
    scored = [(target[:, genre], means[:, genre]) for genre in range(3)]
    assert found["mean_average_precision"] == pytest.approx(np.mean([average_precision_score(*one) for one in scored]))
    assert found["roc_auc"] == pytest.approx(np.mean([roc_auc_score(*one) for one in scored]))
    expected = np.mean([log_loss(target[:, genre], means[:, genre], labels=[0, 1]) for genre in range(4)])
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_multilabel_scores_are_0_if_no_genre_can_be_scored():
    metric = MultilabelClipScores()
    metric.update(torch.tensor([[0.2, 0.8]]), torch.tensor([[0.0, 1]]), torch.tensor([7]))
    assert metric.compute() == {"mean_average_precision": 0, "roc_auc": 0, "loss": pytest.approx(-math.log(0.8))}


def test_the_training_accuracy_is_torchmetrics_of_segments_with_a_class():
    torch.manual_seed(0)
    ours, logits, target = SegmentAccuracy(), torch.randn(3, 40, 5), torch.randint(NONE, 5, (3, 40))
    for part in range(3):
        ours.update(logits[part], target[part])
    theirs = multiclass_accuracy(logits.flatten(0, 1), target.flatten(), 5, average="micro", ignore_index=NONE)
    assert (target == NONE).any() and ours.compute().item() == pytest.approx(theirs.item())
    ours.reset()
    ours.update(logits[0], torch.full((40,), NONE))
    assert ours.compute() == 0
