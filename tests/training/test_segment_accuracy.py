import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy

from genreclf.data.datamodule import NONE
from genreclf.training.segment_accuracy import SegmentAccuracy


def test_it_is_torchmetrics_accuracy_of_segments_with_a_class():
    torch.manual_seed(0)
    ours, logits, target = SegmentAccuracy(), torch.randn(3, 40, 5), torch.randint(NONE, 5, (3, 40))
    for part in range(3):
        ours.update(logits[part], target[part])
    theirs = multiclass_accuracy(logits.flatten(0, 1), target.flatten(), 5, average="micro", ignore_index=NONE)
    assert (target == NONE).any() and ours.compute().item() == pytest.approx(theirs.item())
    ours.reset()
    ours.update(logits[0], torch.full((40,), NONE))
    assert ours.compute() == 0
