"""A net over all segments of a split."""

from collections.abc import Iterable

import torch
from torch import Tensor

from genreclf.data.datamodule import Batch, to_images
from genreclf.inference.tta import probabilities
from genreclf.nets.classifier import GenreClassifier


def predict_segments(
    net: GenreClassifier, batches: Iterable[Batch], tta: str, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Batches of segments -> (S, classes) probabilities, (S,) targets, (S,) clip numbers, all on the CPU."""
    answers, targets, clips = [], [], []
    with torch.inference_mode():
        for batch in batches:
            batch = to_images({key: value.to(device) for key, value in batch.items()}, None)
            answers.append(probabilities(net, batch["image"], tta)[0].cpu())
            targets.append(batch["target"].cpu())
            clips.append(batch["clip"].cpu())
    return torch.cat(answers), torch.cat(targets), torch.cat(clips)
