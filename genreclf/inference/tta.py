"""Test-time augmentation: a net's probabilities, averaged over changed copies of each image."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genreclf.data.augment import shifted
from genreclf.errors import GenreclfError

KEY_BANDS = 2  # half of what augment.band_shift moves a training segment by at most


def _brighter(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda image: (image * factor).clamp(0, 255)


def _contrast(factor: float) -> Callable[[Tensor], Tensor]:
    def change(image: Tensor) -> Tensor:
        mean = image.mean(dim=(2, 3), keepdim=True)
        return ((image - mean) * factor + mean).clamp(0, 255)

    return change


def _plain(image: Tensor) -> Tensor:
    return image


def _flipped(image: Tensor) -> Tensor:
    return image.flip(3)


def _moved(bands: int) -> Callable[[Tensor], Tensor]:
    return lambda image: shifted(image, torch.full((len(image), 1, 1, 1), bands, device=image.device))


# "keys": what a training of ours has heard, too. "flip" and "six" are the original's: its evaluation averaged two
# copies, its prediction of single images six. No net of ours has heard music backwards, unless augment=original.
TTA: dict[str, tuple[Callable[[Tensor], Tensor], ...]] = {
    "none": (_plain,),
    "keys": (_plain, _moved(-KEY_BANDS), _moved(KEY_BANDS)),
    "flip": (_plain, _flipped),
    "six": (_plain, _flipped, _brighter(1.1), _brighter(0.9), _contrast(1.1), _contrast(0.9)),
}


def probabilities(net: nn.Module, image: Tensor, tta: str) -> tuple[Tensor, Tensor]:
    """(B, 3, 128, W) levels in [0, 255] -> (B, classes) mean probabilities, (B, T) attention of the plain image.

    `tta` is none, keys, flip or six; anything else raises GenreclfError.
    """
    if tta not in TTA:
        raise GenreclfError(f"tta={tta!r}: unknown; known: {', '.join(TTA)}")
    image = image.float()
    answers = [net(change(image)) for change in TTA[tta]]
    mean = torch.stack([logits.softmax(1) for logits, _ in answers]).mean(0)
    return mean, answers[0][1].mean(1)  # (B, heads, T) -> (B, T)
