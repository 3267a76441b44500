import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genreclf.training.clips import ClipScores, mean_by_clip


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.integers(0, 1000))
def test_mean_by_clip_is_the_mean_of_each_clips_rows(clips, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), len(clips)).astype(np.float32)
    genre_of = rng.integers(0, 3, 7)
    target = torch.tensor([int(genre_of[clip]) for clip in clips])
    mean, clip_target, numbers = mean_by_clip(torch.from_numpy(probabilities), target, torch.tensor(clips))
    assert numbers.tolist() == sorted(set(clips))
    for row, truth, clip in zip(mean.numpy(), clip_target.tolist(), numbers.tolist(), strict=True):
        own = probabilities[[i for i, other in enumerate(clips) if other == clip]]
        np.testing.assert_allclose(row, own.mean(0), atol=1e-6)
        assert truth == genre_of[clip]


def test_the_metric_scores_clips_over_batches_and_forgets_them():
    metric = ClipScores()
    metric.update(torch.tensor([[0.2, 0.8]]), torch.tensor([1]), torch.tensor([7]))
    metric.update(torch.tensor([[0.6, 0.4], [0.1, 0.9]]), torch.tensor([1, 0]), torch.tensor([7, 3]))
    # Clip 7: (0.4, 0.6), right. Clip 3: (0.1, 0.9), wrong. Two of the three segments are wrong.
    assert metric.compute()["accuracy"] == 0.5
    assert float(metric.compute()["loss"]) == pytest.approx(-(math.log(0.6) + math.log(0.1)) / 2, rel=1e-5)
    metric.reset()
    metric.update(torch.tensor([[0.5, 0.5]]), torch.tensor([0]), torch.tensor([1]))
    assert metric.compute()["accuracy"] == 1
