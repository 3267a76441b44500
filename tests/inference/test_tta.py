import numpy as np
import pytest
import torch
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.inference.tta import probabilities


class Corner(nn.Module):
    """Logits from a fixed corner of the image, so that each change of the image shows in the answer."""

    def forward(self, x):
        logits = torch.stack([x[:, 0, 0, 0], x[:, 1, 3, 1], x[:, 2, 2, 5]], 1) / 50
        return logits, torch.arange(4.0).expand(len(x), 2, 4) / 6


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def by_hand(image: np.ndarray, tta: str) -> np.ndarray:
    """The definition, one image at a time, in NumPy."""
    image = image.astype(np.float64)
    copies = [image]
    if tta == "keys":  # two rows down and up; the edge is repeated
        copies += [image[:, [2, 3, 3, 3]], image[:, [0, 0, 0, 1]]]
    if tta in ("flip", "six"):
        copies.append(image[:, :, ::-1])
    if tta == "six":
        mean = image.mean((1, 2), keepdims=True)
        copies += [np.clip(image * f, 0, 255) for f in (1.1, 0.9)]
        copies += [np.clip((image - mean) * f + mean, 0, 255) for f in (1.1, 0.9)]
    return np.mean([softmax(np.array([c[0, 0, 0], c[1, 3, 1], c[2, 2, 5]]) / 50) for c in copies], axis=0)


@pytest.mark.parametrize("tta", ["none", "keys", "flip", "six"])
def test_equals_the_mean_over_the_copies(tta):
    images = torch.randint(0, 256, (3, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ours, attention = probabilities(Corner(), images, tta)
    expected = np.stack([by_hand(image.numpy(), tta) for image in images])
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-6)
    torch.testing.assert_close(attention, (torch.arange(4.0) / 6).expand(3, 4))


def test_an_unknown_kind_is_refused():
    with pytest.raises(GenreclfError, match="tta='twelve': unknown; known: none, keys, flip, six"):
        probabilities(Corner(), torch.zeros(1, 3, 4, 6), "twelve")
