"""Audits a data set: faulty clips, duplicates, label conflicts, leaks between splits. Pure: no I/O."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from genreclf.data.findings import Finding, findings, rates, seconds
from genreclf.data.fingerprint import Match
from genreclf.data.groups import equal_files
from genreclf.data.labels import genres_of
from genreclf.data.leaks import (
    HELD_OUT,
    HeldOut,
    LeakingClip,
    compared_leaks,
    divided_pieces,
    has_leak,
    held_out_leaks,
    leaking_clips,
    not_compared,
    shared_keys,
    verdict,
)
from genreclf.data.membership import Membership
from genreclf.data.split import SPLITS, members
from genreclf.data.store import Row, Store
from genreclf.inference.task import MULTICLASS


@dataclass(frozen=True)
class Pair:
    """Two clips of one recording. The numbers are those of a Match."""

    first: str
    second: str
    confidence: float
    offset_seconds: float
    overlap_seconds: float
    same_bytes: bool  # whether the files are equal
    classes: tuple[str, str]
    splits: tuple[str | None, str | None]
    divided: bool  # whether one is in training and the other in validation or test


@dataclass(frozen=True)
class Audit:
    """The results of an audit, as plain data."""

    clips: int
    training_clips: int  # in the chosen split
    held_out_clips: int  # validation and test clips
    seconds: float
    classes: dict[str, dict[str, int]]  # clips by class, then by split; "none": in no split; "left_out"
    findings: dict[str, list[Finding]]
    ignored: dict[str, list[str]]  # by extension: files that are not clips
    rates: dict[int, int]  # audio clips by sample rate in Hz
    pairs: list[Pair]
    duplicate_groups: list[list[str]]
    not_compared: dict[str, list[str]]  # by split, and "none": too short or uniform; compared byte for byte only
    label_conflicts: list[dict[str, str]]  # for each recording in several classes, the classes by path
    leaks: dict[str, HeldOut]  # by split: "chosen", and in a full audit "random" and "published"
    leaking: list[LeakingClip]  # of the chosen split
    divided_pieces: list[str]  # held-out clips that seem to be pieces of the same clips as training clips
    refusals: list[str]  # reasons why the chosen split cannot be used for training

    @property
    def chosen_leaks(self) -> bool:
        """Whether a held-out clip of the chosen split shares its recording, artist, title or group with training."""
        return has_leak(self.leaks["chosen"])

    @property
    def verdict(self) -> str:
        """The verdict on the chosen split, one of `leaks.VERDICTS`."""
        absent = {part: self.not_compared[part] for part in SPLITS}
        return verdict(self.leaks["chosen"], self.divided_pieces, absent, self.training_clips)

    def summary(self) -> dict[str, Any]:
        """Returns the counts without lists of clips, as values for JSON."""
        return {
            "clips": self.clips,
            "findings": {kind: len(found) for kind, found in self.findings.items()},
            "ignored": {kind: len(paths) for kind, paths in self.ignored.items()},
            "duplicates": {"pairs": len(self.pairs), "groups": len(self.duplicate_groups)},
            "not_compared": {part: len(paths) for part, paths in self.not_compared.items()},
            "label_conflicts": len(self.label_conflicts),
            "leaks": {name: _plain_leaks(held_out) for name, held_out in self.leaks.items()},
            "divided_pieces": len(self.divided_pieces),
            "chosen_leaks": self.chosen_leaks,
            "verdict": self.verdict,
        }

    def plain(self) -> dict[str, Any]:
        """Returns the summary and the lists behind it, as values for JSON."""
        lists = {key: value for key, value in asdict(self).items() if key not in ("clips", "leaks")}
        return {"summary": self.summary(), **lists}


def leak_summary(store: Store, member: Membership) -> dict[str, Any]:
    """Returns the audit's part in a run folder: its summary, and the clips that were not compared by sound.

    Other splits are not compared.
    """
    found = audit(store, member, compare=False)
    return {**found.summary(), "not_compared_clips": found.not_compared}


def audit(
    store: Store,
    member: Membership,
    ignored: dict[str, list[str]] | None = None,
    compare: bool = True,
    task: str = MULTICLASS,
) -> Audit:
    """Audits a store. `ignored` are the other files in its folder, by extension.

    With `compare`, it also finds the leaks of random splits and, for public data sets, of the published split.
    """
    rows, used = store.rows, [store.rows[clip] for clip in member.clips]
    readable = [row for row in rows if row.columns]
    split_of = dict(zip(member.clips, member.splits, strict=True))
    keys, paths = shared_keys(used, member.metadata), [row.path for row in used]
    recordings = members([row.group for row in readable])
    leaks = {"chosen": held_out_leaks(member.splits, keys)}
    return Audit(
        clips=len(rows),
        training_clips=member.splits.count("train"),
        held_out_clips=sum(map(member.splits.count, HELD_OUT)),
        seconds=sum(map(seconds, readable)),
        classes=class_balance(rows, split_of, task),
        findings=findings(rows),
        ignored=ignored or {},
        rates=dict(sorted(rates(readable).items())),
        pairs=pairs(rows, store.matches, split_of),
        duplicate_groups=[[readable[clip].path for clip in clips] for clips in recordings if len(clips) > 1],
        not_compared=not_compared(rows, split_of),
        label_conflicts=[{rows[clip].path: rows[clip].label for clip in clips} for clips in member.conflicts],
        leaks=leaks | compared_leaks(paths, member.splits, keys, member.published) if compare else leaks,
        leaking=leaking_clips(paths, member.splits, keys),
        divided_pieces=divided_pieces(paths, member.splits, member.wholes),
        refusals=list(member.refusals),
    )


def class_balance(
    rows: Sequence[Row], split_of: dict[int, str | None], task: str = MULTICLASS
) -> dict[str, dict[str, int]]:
    """Counts the clips of each class in each split, in no split, and left out as unreadable or without music."""
    columns, genres = (*SPLITS, "none", "left_out"), [genres_of(row.label, task) for row in rows]
    counts = {genre: dict.fromkeys(columns, 0) for genre in sorted({genre for each in genres for genre in each})}
    for clip, row in enumerate(rows):
        for genre in genres[clip]:
            counts[genre][(split_of.get(clip) or "none") if row.columns else "left_out"] += 1
    return counts


def pairs(rows: Sequence[Row], matches: Sequence[Match], split_of: dict[int, str | None]) -> list[Pair]:
    """Returns the pairs of one recording, by fingerprint or as equal files: first leaks, then pairs in two classes."""
    # A match by sound, which comes later, replaces the match of equal files.
    equal = (replace(match, first=match.second, second=match.first) for match in equal_files(rows, rows))
    found = {(match.first, match.second): match for match in (*equal, *matches) if match.first != match.second}
    made = [_pair(rows, match, split_of) for match in found.values()]
    return sorted(made, key=lambda p: (not p.divided, p.classes[0] == p.classes[1], -p.confidence, p.first, p.second))


def _pair(rows: Sequence[Row], match: Match, split_of: dict[int, str | None]) -> Pair:
    first, second = rows[match.first], rows[match.second]
    splits = (split_of.get(match.first), split_of.get(match.second))
    return Pair(
        first=first.path,
        second=second.path,
        confidence=round(match.confidence, 4),
        offset_seconds=round(match.offset_seconds, 3),
        overlap_seconds=round(match.overlap_seconds, 3),
        same_bytes=first.digest == second.digest,
        classes=(first.label, second.label),
        splits=splits,
        divided="train" in splits and not set(splits).isdisjoint(HELD_OUT),
    )


def _plain_leaks(held_out: HeldOut) -> dict[str, Any]:
    return {
        part: {
            shared: {**asdict(leak), "share": None if leak.share is None else round(leak.share, 4)}
            for shared, leak in found.items()
        }
        for part, found in held_out.items()
    }
