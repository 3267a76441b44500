"""Batches: the store's segments, split without leaks, augmented on the device."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from genreclf.config import build
from genreclf.data.augment import AugmentConfig, augment, mix, random_span
from genreclf.data.build_store import prepared_store
from genreclf.data.membership import membership
from genreclf.data.sources import DataConfig
from genreclf.data.split import SPLITS, SplitConfig, published_missing
from genreclf.data.store import Store, open_store
from genreclf.data.teacher import teacher_vectors
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig, column_index, spans

SEEN_DIGITS = 16  # of a file's SHA-256: two of a million files agree in them with a probability of 3e-8
NONE = -1  # the target of a clip that is of none of the classes


class Batch(TypedDict):
    """B segments; V * B with V views of each segment, all segments of one view after those of the other."""

    target: Tensor  # (B,) int64: the class; NONE for a clip that is of none of the classes
    clip: Tensor  # (B,) int64: the clip's number in the store
    segments: NotRequired[Tensor]  # (B, 256, 128) uint8, time first: as read from the store
    image: NotRequired[Tensor]  # (B, 3, 128, 256) uint8 or float32 in [0, 255], channels_last: on the device
    other: NotRequired[Tensor]  # (B,) int64: the number in the batch of the example blended in
    lam: NotRequired[Tensor]  # (B,) in [0.5, 1]: the weight of an example; 1 - lam is that of the other one
    views: NotRequired[int]  # V, where it is more than 1


class SegmentDataset(Dataset[Batch]):
    """Segments of some clips, without the silence at the clips' ends; a batch is read at once.

    With `random_start`, one per clip, its place and a stretch by up to `stretch` drawn at each reading; otherwise every
    `step`-th of the segments that cover the clip.
    """

    def __init__(
        self,
        store: Store,
        target_of: Mapping[int, int],  # by clip
        view: ViewConfig,
        random_start: bool,
        stretch: float = 0.0,
        step: int = 1,
    ) -> None:
        self.store, self.target_of, self.view, self.stretch = store, target_of, view, stretch
        self.random_start = random_start
        covering = ((clip, spans(store.rows[clip].sound_frames, view)) for clip in target_of)
        self.items = [(clip, span) for clip, each in covering for span in (each[:1] if random_start else each[::step])]

    def __len__(self) -> int:
        return len(self.items)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """The batch with `segments`, `target` and `clip`."""
        clips, shown = zip(*(self.items[index] for index in indices), strict=True)
        rows = [self.store.rows[clip] for clip in clips]
        if self.random_start:
            shown = tuple(random_span(row.sound_frames, self.view, self.stretch) for row in rows)
        sounds = [(row.offset + row.first_sound, row.sound_columns, row.sound_frames) for row in rows]
        first, columns, frames = np.array(sounds).T[..., None]  # each (B, 1), against the segments' (B, 256) columns
        index = first + column_index(columns, frames, np.array(shown))
        return {
            "segments": torch.from_numpy(self.store.columns[index]),  # (B, 256, 128)
            "target": torch.tensor([self.target_of[clip] for clip in clips]),
            "clip": torch.tensor(clips),
        }


class SpectrogramDataModule(L.LightningDataModule):
    """Clips on disk -> batches of images on the device."""

    store: Store  # opened by setup()

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

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "SpectrogramDataModule":
        """The DataModule of a composed configuration; raises GenreclfError for unknown or missing keys."""
        kinds = (DataConfig, "data"), (SplitConfig, "split"), (ViewConfig, "view"), (AugmentConfig, "augment")
        parts: dict[str, Any] = {key: build(kind, config[key], key) for kind, key in kinds}
        return cls(**parts, **{key: config[key] for key in ("batch_size", "workers", "seed")})

    def prepare_data(self) -> None:
        """Renders the demo music and builds the store, where they are missing."""
        prepared_store(self.data)

    def setup(self, stage: str | None = None) -> None:
        """Opens the store and assigns the splits; raises GenreclfError for a split that cannot be used for training."""
        if hasattr(self, "store"):
            return
        store = open_store(prepared_store(self.data))
        rows = store.rows
        if not any(row.columns for row in rows):
            raise GenreclfError(f"data.path={self.data.path}: no clip could be read; first reason: {rows[0].problem}")
        self.membership = membership(rows, self.data, self.split)
        clips, splits, groups = self.membership.clips, self.membership.splits, self.membership.groups
        first, *others = self.membership.refusals or ("",)
        if first:
            more = f" ({len(others)} more reasons: genreclf audit)" if others else ""
            raise GenreclfError(first + more)
        none = {clip for clip in clips if rows[clip].label == self.data.none}
        self.classes = tuple(sorted({rows[clip].label for clip in clips if clip not in none}))
        members = {name: [c for c, s in zip(clips, splits, strict=True) if s == name] for name in SPLITS}
        self.clips = {name: [clip for clip in found if clip not in none] for name, found in members.items()}
        self.none = {name: [clip for clip in found if clip in none] for name, found in members.items()}
        self.group_of = dict(zip(clips, groups, strict=True))
        self.store = store

    def summary(self) -> dict[str, Any]:
        """What the run's record says about the data: counts by split, what is left out, digests of store and split."""
        rows, published = self.store.rows, self.split.name == "published"
        groups = {name: len({self.group_of[clip] for clip in clips}) for name, clips in self.clips.items()}
        members = sorted((rows[clip].path, name) for name, clips in self.clips.items() for clip in clips)
        lengths = [rows[clip].sound_frames for clips in self.clips.values() for clip in clips]
        counts = {name: dict(Counter(rows[clip].label for clip in clips)) for name, clips in self.clips.items()}
        unreadable = {row.path: row.problem for row in rows if not row.columns}
        seen = [clip for name in ("train", "val") for clip in self.clips[name] + self.none[name]]
        return {
            "store_digest": self.store.digest,
            "split_digest": hashlib.sha256(json.dumps(members).encode()).hexdigest(),
            "seen_files": sorted(rows[clip].digest[:SEEN_DIGITS] for clip in seen),  # training and validation clips
            "clips": counts,
            "groups": groups,
            "frames_per_column": self.frames_per_column,
            "label_conflicts": [[rows[clip].path for clip in group] for group in self.membership.conflicts],
            "unreadable": unreadable,
            "in_no_split": len(rows) - len(unreadable) - len(members),
            "repeated": sum(length < spans(length, self.view)[0][1] for length in lengths),  # shorter than a segment
            "missing": published_missing([rows[clip].path for clip in self.group_of]) if published else {},
        }

    @property
    def frames_per_column(self) -> float:
        """The finest time resolution among the training clips: 1 for audio, more for downsampled spectrograms alone."""
        rows = [self.store.rows[clip] for clip in self.clips["train"]]
        return min(row.frames / row.columns for row in rows)

    @property
    def class_shares(self) -> list[float]:
        """The share of each class among the training clips."""
        counts = Counter(self.store.rows[clip].label for clip in self.clips["train"])
        return [counts[name] / counts.total() for name in self.classes]

    def teacher(self, file: Path) -> np.ndarray:
        """The teachers' vectors, (clips, K), of all clips of the store (see `teacher_vectors`)."""
        training = self.clips["train"] + self.none["train"]
        return teacher_vectors(file, [row.path for row in self.store.rows], training)

    def targets(self, clips: Sequence[int]) -> np.ndarray:
        """(clips,) int64: the number of each clip's class; NONE for a clip of none of the classes."""
        labels = (self.store.rows[clip].label for clip in clips)
        return np.array([self.classes.index(x) if x != self.data.none else NONE for x in labels], np.int64)

    def dataset(
        self, split: str, random_start: bool = False, overlapping: bool = True, none: bool = False
    ) -> SegmentDataset:
        """The segments of one split; those of no class too, if `none`.

        If not `overlapping`, only the last segment of a clip may overlap another.
        """
        clips = self.clips[split] + (self.none[split] if none else [])
        targets = dict(zip(clips, self.targets(clips).tolist(), strict=True))
        stretch = self.augment.stretch if random_start and self.augment else 0.0
        step = 1 if overlapping else self.view.segment_frames // self.view.hop_frames
        return SegmentDataset(self.store, targets, self.view, random_start, stretch, step)

    def train_dataloader(self) -> DataLoader[Batch]:
        """One segment per clip and epoch, in an order that depends on seed and epoch alone."""
        dataset = self.dataset("train", random_start=True, none=True)
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler: DistributedSampler[Any] = DistributedSampler(dataset, world, rank, shuffle=True, seed=self.seed)
        # A last batch of one clip would have no batch statistics. The sampler's clips are those of this process.
        return self.loader(dataset, self.batch_size, sampler, drop_last=len(sampler) > self.batch_size)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """All segments of the validation clips, in order; if there are none, the empty list that Lightning expects."""
        return self.loader(self.dataset("val"), self.batch_size) if self.clips["val"] else []

    def loader(
        self, dataset: SegmentDataset, batch_size: int, sampler: Sampler[int] | None = None, drop_last: bool = False
    ) -> DataLoader[Batch]:
        """Batches of `segments` on the host, in order unless `sampler` gives another."""
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=dict,  # __getitems__ has made the batch
            # A separate generator: iterators draw from it when they are made, which must not shift the epoch's draws.
            generator=torch.Generator().manual_seed(self.seed),
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Segments -> images, on the device; augmented only in training."""
        training = self.trainer is not None and self.trainer.training
        return to_images(batch, self.augment if training else None)


def to_images(batch: Batch, augmentation: AugmentConfig | None) -> Batch:
    """A batch with `segments` -> one with `image`; augmented, it may have `other` and `lam`, or `views`."""
    image = batch["segments"].transpose(1, 2)[:, None]  # (B, 256, 128) -> (B, 1, 128, 256)
    views = augmentation.views() if augmentation is not None else ()
    if views:
        image = torch.cat([augment(image, view) for view in views], 1)  # (B, V, 128, 256)
    out: Batch = {"target": batch["target"], "clip": batch["clip"]}
    if augmentation is not None and augmentation.mixup:
        image, out["other"], out["lam"] = mix(image, augmentation.mixup)
    if len(views) > 1:
        image = image.transpose(0, 1).flatten(0, 1)[:, None]  # (B, V, 128, 256) -> (V * B, 1, 128, 256)
        # The second view of an example has the same other one: its first view stands for the clip and its class.
        for key in ("target", "clip", "other", "lam"):
            if key in out:
                out[key] = out[key].repeat(len(views))
        out["views"] = len(views)
    # The three channels are equal, so the work above is done on one.
    out["image"] = image.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)  # (V * B, 3, 128, 256)
    return out
