"""Compares each statistic of a segment with NumPy or SciPy."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.fft import dct

from genreclf.nets.statistics import CEPSTRA, CYCLES, SegmentStandardize, SegmentStatistics, StatisticsBranch

UNIT = 0.4  # as a share of a segment's deviation
RHYTHM = slice(6 * 128 + 440, 6 * 128 + 440 + 308)


def levels(batch: int = 3, width: int = 256, seed: int = 0) -> torch.Tensor:
    grey = np.random.default_rng(seed).integers(0, 256, (batch, 1, 128, width)).astype(np.float32)
    return torch.from_numpy(grey).expand(-1, 3, -1, -1)


def grey(images: torch.Tensor) -> np.ndarray:
    """Returns standardized levels, (B, 128, W)."""
    values = images[:, 0].double().numpy()
    reference = values[:, :110].reshape(len(values), -1)
    return (values - reference.mean(1)[:, None, None]) / reference.std(1)[:, None, None] / UNIT


def roots(series: np.ndarray) -> np.ndarray:
    """(20, W) -> (210,), the signed roots of the covariance matrix's upper triangle."""
    upper = np.cov(series, bias=True)[np.triu_indices(len(series))]
    return np.sign(upper) * np.sqrt(np.abs(upper))


@pytest.mark.parametrize("width", [8, 129, 256])
def test_the_statistics_agree_with_numpys(width):
    images = levels(2, width)
    found = SegmentStatistics()(images).numpy()
    assert found.shape == (2, SegmentStatistics().num_features)
    for row, segment in zip(found, grey(images), strict=True):
        cepstra = dct(segment, axis=0, norm="ortho")[:CEPSTRA]
        changes = np.abs(np.diff(segment))
        percentiles = np.percentile(segment, [10, 50, 90], axis=1)
        bands = [segment.mean(1), segment.std(1), changes.mean(1), *percentiles]
        assert np.allclose(row[: 6 * 128], np.concatenate(bands), atol=1e-4)
        timbre = [cepstra.mean(1), roots(cepstra), roots(cepstra[:, 2:] - cepstra[:, :-2])]
        assert np.allclose(row[6 * 128 : 6 * 128 + 440], np.concatenate(timbre), atol=5e-3)


@pytest.mark.parametrize("width", [3, 129, 256])
@pytest.mark.parametrize("highest", [1, 3, 255])  # many or few equal levels
def test_scripted_statistics_of_uint8_levels_are_those_of_floats(width, highest):
    images = (levels(2, width) * highest / 255).round()
    scripted = torch.jit.script(SegmentStatistics())
    assert torch.equal(scripted(images.to(torch.uint8)), scripted(images))
    torch.testing.assert_close(scripted(images), SegmentStatistics()(images))


def test_the_last_two_statistics_are_mean_and_deviation():
    images = levels(2)
    reference = images[:, 0, :110].double().numpy().reshape(2, -1)
    assert np.allclose(
        SegmentStatistics()(images)[:, -2:].numpy(), np.stack([reference.mean(1), reference.std(1)], 1) / 16, atol=1e-4
    )


def test_a_clips_level_and_range_change_the_last_two_statistics_only():
    images = levels(2)
    statistics = SegmentStatistics()
    found, other = statistics(images), statistics(0.6 * images + 80)
    assert torch.allclose(found[:, :-2], other[:, :-2], atol=1e-3)
    assert not torch.allclose(found[:, -2:], other[:, -2:], atol=1e-1)


def test_missing_treble_changes_no_lower_band():
    images = levels(1)
    cut = images.clone()
    cut[:, :, 112:] = 0
    scaled, bare = (SegmentStandardize()(given)[0] for given in (images, cut))
    assert torch.equal(scaled[:, :, :112], bare[:, :, :112])
    assert bare.abs().max() <= 4


def test_rhythm_is_the_amplitude_of_numpys_fourier_transform():
    images = levels(1)
    found = SegmentStatistics()(images)[0, RHYTHM].numpy().reshape(28, len(CYCLES) - 1)
    segment = grey(images)[0]
    series = np.concatenate([segment.reshape(16, 8, 256).mean(1), dct(segment, axis=0, norm="ortho")[:12]])
    amplitudes = np.abs(np.fft.rfft(series, axis=1)) / 256
    expected = [amplitudes[:, low:high].mean(1) for low, high in pairwise(CYCLES)]
    assert np.allclose(found, np.log(np.stack(expected, 1) + 1e-3), atol=1e-3)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_silence_and_constant_levels_give_finite_statistics(level):
    found = SegmentStatistics()(torch.full((2, 3, 128, 256), float(level)))
    assert found.isfinite().all()
    assert torch.equal(found[0], found[1])


def test_the_branch_clips_outliers_to_five_deviations():
    branch = StatisticsBranch(8, dropout=0.0, num_classes=3, first_band=80).train()
    with torch.no_grad():
        for seed in range(60):
            branch(levels(8, seed=seed))
    branch.eval()
    held = []
    branch.dense.register_forward_pre_hook(lambda module, inputs: held.append(inputs[0]))
    branch(torch.zeros(1, 3, 128, 256))  # unlike the noise in training
    branch(levels(1, seed=99))
    assert held[0].abs().max() == 5
    assert held[1].abs().max() < 5


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_branch_agrees_and_the_batch_does_not_matter():
    branch = StatisticsBranch(8, dropout=0.5, num_classes=3, first_band=80).eval()
    images = levels(5).clone()
    branch.norm.running_mean.copy_(branch.statistics(images).mean(0))
    images[0, :, 104:] = 0  # 24 of 48 bands: the gate is partly closed
    expected, gate = branch(images)
    assert expected.shape == (5, 3)
    assert gate.flatten().tolist() == pytest.approx([5 / 12, 1, 1, 1, 1])
    parts = [branch(images[:2]), branch(images[2:])]
    for found in (torch.jit.script(branch)(images), map(torch.cat, zip(*parts, strict=True)), branch(images.byte())):
        logits, found_gate = found
        assert torch.allclose(logits, expected, atol=1e-5)
        assert torch.allclose(found_gate, gate)
