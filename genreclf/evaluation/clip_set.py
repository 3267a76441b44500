"""Selects the clips to score: a split of a run's data, or another labelled data set."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genreclf.data.build_store import prepared_store
from genreclf.data.data_config import DataConfig
from genreclf.data.datamodule import SEEN_DIGITS, SpectrogramDataModule
from genreclf.data.membership import membership
from genreclf.data.notices import print_once
from genreclf.data.split import SplitConfig
from genreclf.data.store import Store
from genreclf.data.table import columns_in_use
from genreclf.errors import GenreclfError
from genreclf.evaluation.slices import Columns, check_slices, slice_columns
from genreclf.tags.plan import join_genres
from genreclf.text import normalize_name

OTHER = "other"  # the name of another data set in results, in place of a split


@dataclass(frozen=True)
class ClipSet:
    """Clips of one store. `labels` and `groups` have one item per clip in `clips`."""

    store: Store
    clips: tuple[int, ...]  # indices in the store
    labels: tuple[str, ...]  # the model's class names; several genres are joined
    groups: tuple[str, ...]  # clips of one group are not independent
    none: tuple[int, ...]  # out-of-scope clips, which have no true class to score
    columns: Columns  # the slices: by name, the cell of each clip of the store

    def cells(self, clips: Sequence[int]) -> Columns:
        """Returns the slices of the given clips."""
        return {name: [cells[clip] for clip in clips] for name, cells in self.columns.items()}


@dataclass(frozen=True)
class LeftOut:
    """Numbers of clips of another data set that are not scored."""

    unreadable: int  # or without music
    other_classes: dict[str, int]  # by class that the model does not have; a clip of several genres counts for each
    seen: int  # seen in the model's training, as far as recorded


def clips_of_split(datamodule: SpectrogramDataModule, split: str, slices: Sequence[str]) -> ClipSet:
    """Returns the clips of a split of a run's data."""
    clips, none = datamodule.clips[split], datamodule.none[split]
    genres_of = {clip: datamodule.genres_of[clip] for clip in clips}
    return _clip_set(datamodule.store, genres_of, datamodule.group_of, none, slices, datamodule.data.table)


def clips_of_other_data(
    data: DataConfig, classes: Sequence[str], seen: Collection[str], slices: Sequence[str]
) -> tuple[ClipSet, LeftOut]:
    """Returns all clips of a data set that can score a model with these classes, and how many are left out.

    For a clip of several genres, only the model's genres count; the clip is left out if the model has none of them.
    Files whose digest is in `seen` (`seen_files` in a run's record) are left out, because the model's training used
    them. Class names may differ from the model's in case, spaces and punctuation. Clips left out and classes renamed
    are reported on standard error. Raises GenreclfError if no clip is left.
    """
    check_slices(slices, data.table)
    where = f"data.path={data.path}"
    with columns_in_use(slices):
        store = prepared_store(data)
        if not any(row.columns for row in store.rows):
            raise GenreclfError(f"{where}: no clip could be read; first reason: {store.rows[0].problem}")
        member = membership(store.rows, data, SplitConfig("all"))  # only for the groups: all clips are in one split
    rows, group_of = store.rows, dict(zip(member.clips, member.groups, strict=True))
    genres = dict(zip(member.clips, member.genres, strict=True))
    labels = [genre for of_clip in member.genres for genre in of_clip]
    if data.none is not None and data.none not in labels:
        raise GenreclfError(f"data.none={data.none}: no clip has this genre; there are {_listed(labels)}")
    class_of = _class_of([label for label in labels if label != data.none], classes)
    others = Counter(label for label in labels if label not in class_of and label != data.none)
    usable = [clip for clip in member.clips if not others.keys() >= set(genres[clip])]
    new = [clip for clip in usable if rows[clip].digest[:SEEN_DIGITS] not in seen]
    none = [clip for clip in new if rows[clip].label == data.none]
    clips = [clip for clip in new if rows[clip].label != data.none]
    if not class_of:
        reason = f"no clip has a class of the model: it has {_listed(classes)}, and the data set {_listed(labels)}"
        raise GenreclfError(f"{where}: {reason}; name the folders, or the genres in data.table, as the model does")
    if not clips:
        raise GenreclfError(f"{where}: all clips of its classes were in the model's training; give another data set")
    _report(where, class_of, others, classes, len(usable) - len(new))
    genres_of = {clip: [class_of[name] for name in genres[clip] if name in class_of] for clip in clips}
    scored = _clip_set(store, genres_of, group_of, none, slices, data.table)
    unreadable = sum(not row.columns for row in rows)
    return scored, LeftOut(unreadable, dict(others.most_common()), len(usable) - len(new))


def _report(where: str, class_of: Mapping[str, str], others: Counter[str], classes: Sequence[str], seen: int) -> None:
    """Reports renamed classes and left-out clips on standard error."""
    if renamed := [f"{label!r} as {name!r}" for label, name in class_of.items() if label != name]:
        print_once(f"{where}: uses {', '.join(renamed)}")
    if others:
        counts = ", ".join(f"{label!r} ({number})" for label, number in others.most_common())
        print_once(f"{where}: left out, not classes of the model: {counts}; it has {_listed(classes)}")
    if seen:
        print_once(f"{where}: left out, because they were in the model's training: {seen} clips")


def _clip_set(
    store: Store,
    genres_of: Mapping[int, Sequence[str]],  # by clip to score
    group_of: Mapping[int, str],
    none: Sequence[int],
    slices: Sequence[str],
    table: Path | None,
) -> ClipSet:
    labels, groups = map(join_genres, genres_of.values()), (group_of[clip] for clip in genres_of)
    paths, genres = [row.path for row in store.rows], [row.label for row in store.rows]
    columns = slice_columns(slices, paths, genres, table)
    return ClipSet(store, tuple(genres_of), tuple(labels), tuple(groups), tuple(none), columns)


def _class_of(labels: Sequence[str], classes: Sequence[str]) -> dict[str, str]:
    """Returns the model's class for each label that matches exactly one."""
    found = {}
    for label in dict.fromkeys(labels):
        composed = unicodedata.normalize("NFC", label)
        plain = normalize_name(composed)
        alike = [name for name in classes if plain and normalize_name(name) == plain]
        same = [name for name in classes if unicodedata.normalize("NFC", name) == composed]
        if len(same or alike) == 1:
            found[label] = (same or alike)[0]
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, sorted(set(names))))
