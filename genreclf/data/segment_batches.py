"""Makes batches of segments: read from the store on disk, or cut on a GPU from a copy of the store there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from genreclf.data.augment import random_spans
from genreclf.data.store import Store
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import Span, ViewConfig, column_index, spans

Item = tuple[int, Span]  # a clip and one of its segments


class Batch(TypedDict):
    """A batch of B segments. With V views of each segment, it has V * B, first the first view of all segments."""

    # (B,) int64: the class, NONE for a clip of none of the classes; or (B, classes) float32: 1 for each genre
    target: Tensor
    clip: Tensor  # (B,) int64: the clip's number in the store
    segments: NotRequired[Tensor]  # (B, 256, 128) uint8, time first: as read from the store
    image: NotRequired[Tensor]  # (B, 3, 128, 256) uint8 or float32 in [0, 255], channels_last: on the device
    other: NotRequired[Tensor]  # (B,) int64: index in the batch of the example blended in
    lam: NotRequired[Tensor]  # (B,) in [0.5, 1]: weight of an example; the other one has the weight 1 - lam
    views: NotRequired[int]  # V, if it is more than 1


class SegmentDataset(Dataset[Batch]):
    """Segments of clips, without the silence at the clips' ends. A batch is read in one operation.

    `items` are every `step`-th of the segments that cover each clip.
    """

    def __init__(self, store: Store, target_of: Mapping[int, Any], view: ViewConfig, step: int = 1) -> None:
        self.store, self.target_of, self.view = store, target_of, view
        covering = ((clip, spans(store.rows[clip].sound_frames, view)) for clip in target_of)
        self.items: list[Item] = [(clip, span) for clip, each in covering for span in each[::step]]

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, chosen: Sequence[int | Item]) -> Batch:
        """Returns the batch with `segments`, `target` and `clip` for indices into `items`, or for drawn items."""
        columns, target, clip = self.places([self.items[one] if isinstance(one, int) else one for one in chosen])
        segments = torch.from_numpy(self.store.columns[columns])  # (B, 256, 128)
        return {"segments": segments, "target": torch.from_numpy(target), "clip": torch.from_numpy(clip)}

    def places(self, items: Sequence[Item]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the (N, 256) columns of the store for N items, their targets, and their (N,) clips, int64."""
        clips, shown = zip(*items, strict=True)
        rows = [self.store.rows[clip] for clip in clips]
        sounds = [(row.offset + row.first_sound, row.sound_columns, row.sound_frames) for row in rows]
        first, columns, frames = np.array(sounds).T[..., None]  # each (N, 1), to broadcast with (N, 256) columns
        index = first + column_index(columns, frames, np.array(shown))
        return index, np.array([self.target_of[clip] for clip in clips]), np.array(clips)


class RandomSegments(Sampler[Item]):
    """Draws one segment of each clip, in random order, at a random place, and stretched by up to `stretch`.

    The draws depend only on seed and epoch. Batch k of process `rank` of `world` is batch k * world + rank of a single
    process, so no clip is drawn twice. Clips at the end that do not fill a batch in each process are left out of the
    epoch, unless there is no full batch for each process: then they share all clips. Raises GenreclfError if a process
    would have fewer than two clips, which batch norm needs.
    """

    def __init__(
        self, dataset: SegmentDataset, stretch: float, batch_size: int, world: int, rank: int, seed: int
    ) -> None:
        self.clips, self.stretch, self.view = list(dataset.target_of), stretch, dataset.view
        self.frames = np.array([dataset.store.rows[clip].sound_frames for clip in self.clips])
        self.seed, self.epoch = seed, 0
        place = np.arange(len(self.clips))
        batch = batch_size * world
        if len(place) > batch:
            place = place[: len(place) // batch * batch]
            self.places = place[place // batch_size % world == rank]
        else:
            self.places = place[rank::world]
        if world > 1 and len(place) < 2 * world:
            raise GenreclfError(f"trainer.devices: {len(place)} training clips are too few for {world} devices")

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch. Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Item]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.clips), generator=generator).numpy()
        rng = np.random.default_rng((self.seed, self.epoch))
        drawn = random_spans(self.frames[order], self.view, self.stretch, rng)
        for place in self.places:
            start, length = drawn[place].tolist()
            yield self.clips[order[place]], (start, length)


class DeviceLoader:
    """Yields the batches of a DataLoader with `sampler`, cut on a device from a copy of the store's spectrograms.

    The host sends all places of an epoch at once. Then each batch is one operation, and the host never waits.
    """

    def __init__(self, dataset: SegmentDataset, sampler: RandomSegments, batch_size: int, device: torch.device) -> None:
        self.dataset, self.sampler, self.batch_size = dataset, sampler, batch_size
        self.columns = torch.from_numpy(np.array(dataset.store.columns)).to(device)  # (columns of all clips, 128)

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        places = self.dataset.places(list(self.sampler))
        columns, target, clip = (torch.from_numpy(each).to(self.columns.device) for each in places)
        for number in range(len(self)):
            part = slice(number * self.batch_size, (number + 1) * self.batch_size)
            yield {"segments": self.columns[columns[part]], "target": target[part], "clip": clip[part]}
