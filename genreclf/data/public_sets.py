"""Finds, fetches and reads public data sets in their usual layouts, for `data.fetch`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from genreclf.data import ballroom, fma, hub_set, ismir04, jamendo
from genreclf.data.labels import normal_label
from genreclf.data.notices import print_once
from genreclf.data.split import split_word
from genreclf.data.table import ClipMetadata
from genreclf.data.tracks import Layout, Track
from genreclf.errors import GenreclfError
from genreclf.grouping import grouped
from genreclf.inference.task import MULTILABEL
from genreclf.tags.plan import join_genres
from genreclf.text import first_names

NOT_LISTED = "not in the data set's tables"


@dataclass(frozen=True)
class PublicSet:
    """Functions that find, fetch and read a data set. A subset is "" if there are none; splits are counted from 0."""

    find: Callable[[Path, str], Layout | None]
    fetch: Callable[[Path, str], None] | None  # raises GenreclfError if it fails; None: users get it themselves
    tracks: Callable[[Layout, str, int], Mapping[str, Track]]
    notice: str  # printed before fetching; without `fetch`, what is missing and how to get it
    subsets: tuple[str, ...] | None = ()  # None: any or none
    splits: int = 0  # number of published splits
    key: Callable[[str], str] = str  # returns a clip's path in the tables
    genre_names: Callable[[Layout], Mapping[str, str]] | None = None  # if the tables have numbers instead of names


PUBLIC_SETS = {
    "fma": PublicSet(
        fma.find,
        fma.fetch,
        fma.tracks,
        notice="FMA's tracks are each under a licence that its artist chose, many for non-commercial use only; "
        "the run's record lists them",
        subsets=fma.SUBSETS,
        splits=1,
        key=fma.key,
        genre_names=fma.genre_names,
    ),
    "jamendo": PublicSet(
        jamendo.find, None, jamendo.tracks, jamendo.HOW_TO_GET, splits=jamendo.SPLITS, key=jamendo.key
    ),
    "ballroom": PublicSet(
        ballroom.find,
        ballroom.fetch,
        ballroom.tracks,
        notice="Ballroom holds excerpts of copyrighted music; use it for research only, and do not share it",
    ),
    "ismir04": PublicSet(ismir04.find, None, ismir04.tracks, ismir04.HOW_TO_GET, splits=1),
}
HUB = "hub"


def public_set(fetch: str, name: str) -> PublicSet:
    """Returns the data set for a value of `data.fetch`; for the Hub, the one called `name`."""
    if fetch != HUB:
        return PUBLIC_SETS[fetch]
    return PublicSet(partial(hub_set.find, name), partial(hub_set.fetch, name), hub_set.tracks, "", None, splits=1)


@dataclass(frozen=True)
class PublicRows:
    """Information on clips from a data set's tables. The first three fields have one item per clip, or none."""

    metadata: list[ClipMetadata]  # without a genre if the clip is left out
    splits: list[str]  # part of the published split, or ""
    reasons: list[str]  # why the clip is left out, or ""
    missing: dict[str, list[str]]  # by split: tracks in use that have no file


def public_layout(public: PublicSet, path: Path, subset: str) -> Layout:
    """Finds the data set, fetching it if `path` lacks it. Raises GenreclfError if it cannot be fetched."""
    found = public.find(path, subset)
    if found is None:
        if public.fetch is None:
            raise GenreclfError(f"data.path={path}: {public.notice}")
        if public.notice:
            print_once(public.notice)
        public.fetch(path, subset)
        found = public.find(path, subset)
    if found is None:
        fault = "what was unpacked there is not in the usual layout"
        raise GenreclfError(f"data.path={path}: {fault}; give another folder")
    return found


def public_rows(
    public: PublicSet, layout: Layout, subset: str, paths: Sequence[str], split: int, task: str
) -> PublicRows:
    """Returns the information in the data set's tables on the clips `paths`, with split number `split`.

    With the task MULTILABEL, a clip may have several genres, joined as by `normal_label`.
    Raises GenreclfError if a table cannot be read or the split does not exist.
    """
    if not 0 <= split < max(public.splits, 1):
        raise GenreclfError(f"split.fold={split}: this data set has {public.splits} published splits, counted from 0")
    tracks = public.tracks(layout, subset, split)
    if task == MULTILABEL:
        names = public.genre_names(layout) if public.genre_names else None
        tracks = {path: _with_all_genres(track, names) for path, track in tracks.items()}
    unlisted = Track(ClipMetadata(), left_out=NOT_LISTED)
    keys = list(map(public.key, paths))
    found = [tracks.get(key, unlisted) for key in keys]
    absent = [path for path in tracks.keys() - set(keys) if not tracks[path].left_out]
    missing = grouped((split_word(tracks[path].split) or "", path) for path in absent)
    return PublicRows(
        [track.metadata for track in found],
        [track.split for track in found],
        [track.left_out for track in found],
        {part: sorted(paths) for part, paths in sorted(missing.items())},
    )


def _with_all_genres(track: Track, names: Mapping[str, str] | None) -> Track:
    if not track.genres:
        return track
    genres = track.genres if names is None else [names.get(genre, genre) for genre in track.genres]
    label = normal_label(join_genres(genres), MULTILABEL)
    return replace(track, metadata=replace(track.metadata, genre=label), left_out="")


def report_left_out(where: str, paths: Sequence[str], found: PublicRows) -> None:
    """Prints on standard error which clips are left out and why, and which tracks have no file."""
    counts = Counter(filter(None, found.reasons))
    for reason, count in sorted(counts.items()):
        names = first_names([path for path, other in zip(paths, found.reasons, strict=True) if other == reason])
        print_once(f"{where}: {count} clips are left out: {reason} ({names})")
    missing = sorted(path for paths in found.missing.values() for path in paths)
    if missing:
        print_once(f"{where}: {len(missing)} tracks of its tables have no file (first: {first_names(missing)})")
