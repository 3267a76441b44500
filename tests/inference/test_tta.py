import numpy as np
import pytest

from genreclf.inference.tta import TTA

SEGMENTS = np.random.default_rng(0).integers(0, 256, (3, 128, 256), dtype=np.uint8)


def by_definition(segment: np.ndarray, tta: str) -> list[np.ndarray]:
    """Computes the copies of one segment by their definition."""
    copies = [segment]
    if tta == "pitch_shift":  # two bands down and up; the edge band is repeated
        copies.append(np.concatenate([segment[2:], segment[-1:], segment[-1:]]))
        copies.append(np.concatenate([segment[:1], segment[:1], segment[:-2]]))
    if tta in ("flip", "six"):
        copies.append(np.fliplr(segment))
    if tta == "six":
        mean = segment.mean()
        copies += [np.minimum(segment * factor, 255) for factor in (1.1, 0.9)]
        copies += [np.clip((segment - mean) * factor + mean, 0, 255) for factor in (1.1, 0.9)]
    return copies


@pytest.mark.parametrize("tta", sorted(TTA))
def test_copies_are_as_defined(tta):
    copies = [copy(SEGMENTS) for copy in TTA[tta]]
    for number, segment in enumerate(SEGMENTS):
        expected = by_definition(segment, tta)
        assert len(copies) == len(expected)
        for copy, wanted in zip(copies, expected, strict=True):
            assert copy.dtype == np.uint8
            np.testing.assert_allclose(copy[number], wanted, atol=0.5 + 1e-9)  # rounded to whole levels
