"""Batches: the store's segments, split without leaks, augmented on the device."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from genreclf.config import build
from genreclf.data.augment import AugmentConfig, augment, mix
from genreclf.data.membership import membership
from genreclf.data.sources import DataConfig
from genreclf.data.split import SPLITS, SplitConfig, published_missing, refusals
from genreclf.data.store import Row, Store, open_store, prepared_store
from genreclf.errors import GenreclfError
from genreclf.exporters.torch_segments import column_index, random_span, trim_silence
from genreclf.frontend.segments import ViewConfig, spans

Batch = dict[str, Tensor | int]


class SegmentDataset(Dataset):
    """Segments of chosen clips, read a whole batch at a time.

    Silence at a clip's ends is in none. With `random_start`, one segment a clip at a place, and by `stretch` at a pace,
    drawn anew at each reading; else all segments that cover it, or every `step`-th of them.
    """

    def __init__(
        self,
        store: Store,
        clips: Sequence[int],
        targets: Sequence[int],
        view: ViewConfig,
        random_start: bool,
        stretch: float = 0.0,
        step: int = 1,
    ) -> None:
        self.store, self.view, self.random_start, self.stretch = store, view, random_start, stretch
        self.step = step
        self.target_of = dict(zip(clips, targets, strict=True))
        self.rows = {clip: self._trimmed(clip) for clip in clips}
        self.items = [(clip, span) for clip in clips for span in self._spans(clip)]

    def _trimmed(self, clip: int) -> Row:
        """A row of the clip without silence at its ends."""
        row = self.store.rows[clip]
        levels = torch.from_numpy(np.array(self.store.spectrogram(clip)))
        first, columns, _, frames = trim_silence(levels, row.frames)
        return replace(row, offset=row.offset + first, columns=columns, frames=frames)

    def _spans(self, clip: int) -> list[tuple[int, int]]:
        every = spans(self.rows[clip].frames, self.view)
        return every[:1] if self.random_start else every[:: self.step]

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch: `segments` (B, 256, 128) uint8, time first; `target` and `clip` (B,) int64."""
        clips = [self.items[i][0] for i in indices]
        rows = [self.rows[clip] for clip in clips]
        if self.random_start:
            shown = [random_span(row.frames, self.view, self.stretch) for row in rows]
        else:
            shown = [self.items[i][1] for i in indices]
        numbers = [(row.columns, row.frames, *span, row.offset) for row, span in zip(rows, shown, strict=True)]
        columns, frames, start, length, offset = torch.tensor(numbers).unbind(1)
        index = column_index(columns, frames, start, length) + offset[:, None]
        segments = np.stack([self.store.columns[one] for one in index.numpy()])  # (B, 256, 128)
        target = torch.tensor([self.target_of[clip] for clip in clips])
        return {"segments": torch.from_numpy(segments), "target": target, "clip": torch.tensor(clips)}


class SpectrogramDataModule(L.LightningDataModule):
    """Clips on disk -> batches of `image` float32 or uint8 (B, 3, 128, 256), `target`, `clip`, on the device."""

    def __init__(
        self,
        data: DataConfig,
        split: SplitConfig,
        view: ViewConfig,
        augment: AugmentConfig | None,
        batch_size: int,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.data, self.split, self.view, self.augment = data, split, view, augment
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.store: Store | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "SpectrogramDataModule":
        """The DataModule of a composed configuration; raises GenreclfError for unknown or missing keys."""
        return cls(
            build(DataConfig, config["data"], "data"),
            build(SplitConfig, config["split"], "split"),
            build(ViewConfig, config["view"], "view"),
            build(AugmentConfig, config["augment"], "augment"),
            config["batch_size"],
            config["workers"],
            config["seed"],
        )

    def prepare_data(self) -> None:
        """Renders the demo music if it is asked for, and builds the store, where they are not there yet."""
        prepared_store(self.data)

    def setup(self, stage: str | None = None) -> None:
        """Opens the store and assigns the splits; raises GenreclfError for one that no training can use."""
        if self.store is not None:
            return
        self.store = open_store(prepared_store(self.data))
        rows = self.store.rows
        if not any(row.columns for row in rows):
            raise GenreclfError(f"data.path={self.data.path}: no clip could be read; first reason: {rows[0].problem}")
        self.membership = membership(rows, self.data, self.split)
        clips, splits, groups = self.membership.clips, self.membership.splits, self.membership.groups
        labels = [rows[clip].label for clip in clips]
        reasons = refusals(self.split, splits, labels, groups)
        if reasons:
            raise GenreclfError(reasons[0])
        self.classes = tuple(sorted(set(labels)))
        self.clips = {name: [c for c, s in zip(clips, splits, strict=True) if s == name] for name in SPLITS}
        self.group_of = dict(zip(clips, groups, strict=True))

    def summary(self) -> dict[str, object]:
        """What the run's record says of the data: counts by split, what was left out, digests of store and split."""
        rows, published = self.store.rows, self.split.name == "published"
        groups = {name: len({self.group_of[clip] for clip in clips}) for name, clips in self.clips.items()}
        members = sorted((rows[clip].path, name) for name, clips in self.clips.items() for clip in clips)
        counts = {name: dict(Counter(rows[clip].label for clip in clips)) for name, clips in self.clips.items()}
        unreadable = {row.path: row.problem for row in rows if not row.columns}
        unused = len(rows) - len(unreadable) - sum(map(len, self.clips.values()))
        return {
            "store_digest": self.store.digest,
            "split_digest": hashlib.sha256(json.dumps(members).encode()).hexdigest(),
            "clips": counts,
            "groups": groups,
            "frames_per_column": self.frames_per_column,
            "label_conflicts": [[rows[clip].path for clip in group] for group in self.membership.conflicts],
            "unreadable": unreadable,
            "in_no_split": unused,
            "missing": published_missing([rows[clip].path for clip in self.group_of]) if published else {},
        }

    @property
    def frames_per_column(self) -> float:
        """The finest time resolution among the training clips: 1 for audio, more where all are thinned pictures."""
        rows = [self.store.rows[clip] for clip in self.clips["train"]]
        return min(row.frames / row.columns for row in rows)

    def dataset(self, split: str, random_start: bool = False, overlapping: bool = True) -> SegmentDataset:
        """The segments of one split; not `overlapping`, no moment is shown twice, but for a rest at a clip's end."""
        clips = self.clips[split]
        targets = [self.classes.index(self.store.rows[clip].label) for clip in clips]
        stretch = self.augment.stretch if random_start and self.augment else 0.0
        step = 1 if overlapping else self.view.segment_frames // self.view.hop_frames
        return SegmentDataset(self.store, clips, targets, self.view, random_start, stretch, step)

    def train_dataloader(self) -> DataLoader:
        """One segment a clip and epoch, in an order that depends on seed and epoch alone."""
        dataset = self.dataset("train", random_start=True)
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler = DistributedSampler(dataset, world, rank, shuffle=True, seed=self.seed)
        # A last batch of one clip would have no batch statistics.
        drop_last = len(dataset) > self.batch_size
        return self.loader(dataset, self.batch_size, sampler=sampler, drop_last=drop_last)

    def val_dataloader(self) -> DataLoader | list:
        """All segments of the validation clips, in order; where there are none, the empty list that Lightning wants."""
        return self.loader(self.dataset("val"), self.batch_size) if self.clips["val"] else []

    def test_dataloader(self) -> DataLoader:
        """All segments of the test clips, in order."""
        return self.loader(self.dataset("test"), self.batch_size)

    def loader(self, dataset: SegmentDataset, batch_size: int, **options: object) -> DataLoader:
        """Batches of uint8 segments on the host, in order unless `options` say otherwise."""
        return DataLoader(
            dataset,
            batch_size=batch_size,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=_as_is,
            # Its own generator: iterators draw from it when they are made, and the epoch's draws stay the epoch's.
            generator=torch.Generator().manual_seed(self.seed),
            pin_memory=torch.cuda.is_available(),
            **options,
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Segments -> images, on the device; augmented only while training."""
        training = self.trainer is not None and self.trainer.training
        return to_images(batch, self.augment if training else None)


def to_images(batch: Batch, augmentation: AugmentConfig | None) -> Batch:
    """A batch with `segments` (B, 256, 128) -> one with `image` (B, 3, 128, 256) in [0, 255], channels_last.

    Where the augmentation mixes examples, `other_target` (B,) and `lam` (B,) in [0.5, 1] say with what. Where it
    shows each segment in F `forms`, a number, the tensors are F * B long, one form of all segments after the other.
    """
    image = batch["segments"].transpose(1, 2)[:, None]  # (B, 256, 128) -> (B, 1, 128, 256)
    forms = augmentation.forms() if augmentation is not None else ()
    if forms:
        image = torch.cat([augment(image, form) for form in forms], 1)  # (B, F, 128, 256)
    out = {"target": batch["target"], "clip": batch["clip"]}
    if augmentation is not None and augmentation.mixup:
        image, out["other_target"], out["lam"] = mix(image, batch["target"], augmentation.mixup)
    if len(forms) > 1:
        image = image.transpose(0, 1).flatten(0, 1)[:, None]  # (B, F, 128, 256) -> (F * B, 1, 128, 256)
        out = {key: value.repeat(len(forms)) for key, value in out.items()}
        out["forms"] = len(forms)
    # The three channels are one grey picture, spread only after the work on it is done.
    out["image"] = image.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)  # (B, 3, 128, 256)
    return out


def _as_is(batch: Batch) -> Batch:
    return batch
