"""Makes batches from a store: segments, split without leaks and augmented on the device."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from genreclf.config import build
from genreclf.data.augment import AugmentConfig, augment, mix
from genreclf.data.build_store import prepared_store
from genreclf.data.data_config import DataConfig
from genreclf.data.membership import membership
from genreclf.data.segment_batches import Batch, DeviceLoader, RandomSegments, SegmentDataset
from genreclf.data.sources import tag_counts
from genreclf.data.split import SPLITS, SplitConfig
from genreclf.data.store import Store
from genreclf.data.teacher import Taught, teacher_vectors
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig, spans
from genreclf.grouping import grouped
from genreclf.inference.task import MULTICLASS

SEEN_DIGITS = 16  # of a file's SHA-256: among a million files, two have equal ones with a probability of 3e-8
NONE = -1  # target of a clip that belongs to none of the classes


class SpectrogramDataModule(L.LightningDataModule):
    """Turns clips on disk into batches of images on the device."""

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
        device_store_mib: int = 0,
    ) -> None:
        super().__init__()
        self.data, self.split, self.view, self.augment = data, split, view, augment
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.device_store_mib = device_store_mib
        self._prepared: Store | None = None  # in the process of a machine that prepares the data
        self.images_in_step = False  # if True, the training step itself makes the images, with `training_images`

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "SpectrogramDataModule":
        """Builds the DataModule of a composed configuration. Raises GenreclfError for unknown or missing keys."""
        kinds = (DataConfig, "data"), (SplitConfig, "split"), (ViewConfig, "view"), (AugmentConfig, "augment")
        parts: dict[str, Any] = {key: build(kind, config[key], key) for kind, key in kinds}
        # Runs of earlier versions have no `device_store_mib`; it matters only in training.
        numbers = {key: config.get(key, 0) for key in ("batch_size", "workers", "seed", "device_store_mib")}
        return cls(**parts, **numbers)

    def prepare_data(self) -> None:
        """Renders the demo music and builds the store, if they are missing."""
        self._prepared = self._prepared or prepared_store(self.data)

    def setup(self, stage: str | None = None) -> None:
        """Opens the store and assigns the splits. Raises GenreclfError if the split cannot be used for training."""
        if hasattr(self, "store"):
            return
        store = self._prepared or prepared_store(self.data)
        rows = store.rows
        if not any(row.columns for row in rows):
            raise GenreclfError(f"data.path={self.data.path}: no clip could be read; first reason: {rows[0].problem}")
        self.membership = membership(rows, self.data, self.split)
        clips, splits, groups = self.membership.clips, self.membership.splits, self.membership.groups
        first, *others = self.membership.refusals or ("",)
        if first:
            more = f" ({len(others)} more reasons: genreclf audit)" if others else ""
            raise GenreclfError(first + more)
        self.genres_of = dict(zip(clips, self.membership.genres, strict=True))
        none = {clip for clip in clips if rows[clip].label == self.data.none}
        if self.data.none is not None and not none:
            genres = ", ".join(sorted({rows[clip].label for clip in clips}))
            raise GenreclfError(f"data.none={self.data.none}: no clip has this genre; choose one of: {genres}")
        self.classes = tuple(sorted({genre for clip in clips if clip not in none for genre in self.genres_of[clip]}))
        members = {name: [c for c, s in zip(clips, splits, strict=True) if s == name] for name in SPLITS}
        self.clips = {name: [clip for clip in found if clip not in none] for name, found in members.items()}
        self.none = {name: [clip for clip in found if clip in none] for name, found in members.items()}
        self.group_of = dict(zip(clips, groups, strict=True))
        self.store = store
        if 1 in self.class_shares:
            name = self.classes[self.class_shares.index(1)]
            fault = f"all training clips are of the genre {name!r}"
            raise GenreclfError(f"task=multilabel: {fault}; leave it out of the table")

    def summary(self) -> dict[str, Any]:
        """Returns the data's entries in the run's record: counts by split, clips left out, licences, and the digests of
        store and split.
        """
        rows = self.store.rows
        groups = {name: len({self.group_of[clip] for clip in clips}) for name, clips in self.clips.items()}
        used = {name: self.clips[name] + self.none[name] for name in SPLITS}
        members = sorted((rows[clip].path, name) for name, clips in used.items() for clip in clips)
        lengths = [rows[clip].sound_frames for clips in used.values() for clip in clips]
        counts = {name: dict(self._count(clips)) for name, clips in self.clips.items()}
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
            "tags": tag_counts(self.data),
            "in_no_split": len(rows) - len(unreadable) - len(members),
            "repeated": sum(length < spans(length, self.view)[0][1] for length in lengths),  # shorter than a segment
            "missing": {name: list(paths) for name, paths in self.membership.missing.items()},
            "licenses": self._licenses(),
        }

    def _licenses(self) -> dict[str, list[str]]:
        """Returns the paths of the clips in use by licence; empty if no table states any licence."""
        stated, splits = self.membership.metadata, self.membership.splits
        rows, clips = self.store.rows, zip(self.membership.clips, stated, splits, strict=True)
        found = grouped((one.license, rows[clip].path) for clip, one, split in clips if split is not None)
        return {name: sorted(paths) for name, paths in sorted(found.items())} if any(found) else {}

    @property
    def frames_per_column(self) -> float:
        """The finest time resolution of the training clips: 1 for audio, more if all spectrograms are downsampled."""
        rows = [self.store.rows[clip] for clip in self.clips["train"]]
        return min(row.frames / row.columns for row in rows)

    @property
    def class_shares(self) -> list[float]:
        """The share of each class in the training clips. If clips have several genres, the sum is above 1."""
        counts = self._count(self.clips["train"])
        return [counts[name] / len(self.clips["train"]) for name in self.classes]

    def _count(self, clips: Sequence[int]) -> Counter[str]:
        """Counts the clips of each class."""
        return Counter(genre for clip in clips for genre in self.genres_of[clip])

    def teacher(self, file: Path) -> np.ndarray:
        """Returns the teachers' targets of all clips in the store: (clips, K), see `teacher_vectors`."""
        clips = self.clips["train"] + self.none["train"]
        genres = np.array([[name in self.genres_of[clip] for name in self.classes] for clip in clips], np.float64)
        training = Taught(clips, genres, [self.group_of[clip] for clip in clips])
        return teacher_vectors(file, [row.path for row in self.store.rows], training)

    def targets(self, clips: Sequence[int]) -> np.ndarray:
        """Returns the class index of each clip, NONE for a clip of none of the classes: (clips,) int64.

        With task=multilabel, returns (clips, classes) float32: 1 for each genre of a clip, 0 for the others.
        """
        number_of = {name: number for number, name in enumerate(self.classes)}
        numbers = [[number_of.get(genre, NONE) for genre in self.genres_of[clip]] for clip in clips]
        if self.data.task == MULTICLASS:
            return np.array(numbers, np.int64).reshape(len(clips))  # (clips, 1) -> (clips,)
        targets = np.zeros((len(clips), len(self.classes)), np.float32)
        for row, of_clip in zip(targets, numbers, strict=True):
            row[of_clip] = 1
        return targets

    def dataset(self, split: str, overlapping: bool = True, none: bool = False) -> SegmentDataset:
        """Returns the segments of one split; if `none`, also those of clips of none of the classes.

        If not `overlapping`, only the last segment of a clip may overlap another one.
        """
        return self._segments(self.clips[split] + (self.none[split] if none else []), overlapping)

    def _segments(self, clips: Sequence[int], overlapping: bool = True) -> SegmentDataset:
        targets = dict(zip(clips, self.targets(clips), strict=True))
        step = 1 if overlapping else self.view.segment_frames // self.view.hop_frames
        return SegmentDataset(self.store, targets, self.view, step)

    def train_dataloader(self) -> DataLoader[Batch] | DeviceLoader:
        """Loads one random segment per clip and epoch, which depends only on seed and epoch. Processes share the clips.

        On a GPU, the segments are cut on the device if the whole store fits in `device_store_mib`.
        """
        dataset, (world, rank) = self.dataset("train", none=True), self._processes()
        stretch = self.augment.stretch if self.augment else 0.0
        sampler = RandomSegments(dataset, stretch, self.batch_size, world, rank, self.seed)
        # With trainer.overfit_batches, Lightning replaces the sampler.
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        fits = device.type == "cuda" and self.store.columns.nbytes <= self.device_store_mib * 2**20
        if fits and not getattr(self.trainer, "overfit_batches", 0):
            return DeviceLoader(dataset, sampler, self.batch_size, device)
        return self.loader(dataset, self.batch_size, sampler)

    def _processes(self) -> tuple[int, int]:
        """Returns the number of training processes and the rank of this one."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def val_dataloader(self) -> DataLoader[Batch] | list[Any]:
        """Loads all segments of the validation clips, in order. Without any, returns the empty list that Lightning
        expects.

        With several processes, each has whole clips, and no clip is in two of them.
        """
        world, rank = self._processes()
        if 0 < len(self.clips["val"]) < world:
            raise GenreclfError(f"trainer.devices: {len(self.clips['val'])} validation clips for {world} devices")
        own = self.clips["val"][rank::world]
        return self.loader(self._segments(own), self.batch_size) if own else []

    def loader(
        self, dataset: SegmentDataset, batch_size: int, sampler: Sampler[Any] | None = None
    ) -> DataLoader[Batch]:
        """Returns a loader of batches with `segments` on the host, in order unless there is a `sampler`."""
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            collate_fn=dict,  # __getitems__ already returns a batch
            # A separate generator, because a new iterator draws from it, which must not change the epoch's other draws.
            generator=torch.Generator().manual_seed(self.seed),
            pin_memory=torch.cuda.is_available(),
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Converts segments to images on the device, with augmentation only in training."""
        if self.trainer is None or not self.trainer.training:
            return to_images(batch, None)
        return batch if self.images_in_step else self.training_images(batch)

    def training_images(self, batch: Batch) -> Batch:
        """Converts segments to augmented images."""
        return to_images(batch, self.augment)


def to_images(batch: Batch, augmentation: AugmentConfig | None) -> Batch:
    """Converts a batch with `segments` to one with `image`. Augmentation may add `other` and `lam`, and `views`."""
    image = batch["segments"].transpose(1, 2)[:, None]  # (B, 256, 128) -> (B, 1, 128, 256)
    out: Batch = {"target": batch["target"], "clip": batch["clip"]}
    if augmentation is not None:
        image, views = augment(image, augmentation), augmentation.views  # (V * B, 1, 128, 256)
        if augmentation.mixup:
            by_view = image.unflatten(0, (views, -1))  # (V, B, 1, 128, 256)
            mixed, out["other"], out["lam"] = mix(by_view, augmentation.mixup)
            image = mixed.flatten(0, 1)
        if views > 1:
            # Both views of an example are mixed with the same other example. Its number is that of the first view,
            # which stands for the clip and its class.
            for key in ("target", "clip", "other", "lam"):
                if key in out:
                    out[key] = torch.cat([out[key]] * views)
            out["views"] = views
    # The three channels are equal, so the work above is done on one only.
    out["image"] = image.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)  # (V * B, 3, 128, 256)
    return out
