"""What an audit finds in a data set: faulty clips, duplicates, doubtful classes, leaks between splits. Pure: no I/O."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from genreclf.data.findings import Finding, findings, rates, seconds
from genreclf.data.fingerprint import MIN_OVERLAP_FRAMES, Match
from genreclf.data.leaks import HELD_OUT, HeldOut, LeakingClip, compared_leaks, has_leak, leaking_clips, shared_keys
from genreclf.data.membership import Membership
from genreclf.data.split import SPLITS, SplitConfig, refusals
from genreclf.data.store import Row, Store


@dataclass(frozen=True)
class Pair:
    """Two clips of one recording; numbers as in Match. `same_bytes`: the files are equal.

    `parted` says that one is in training and the other among the validation or test clips.
    """

    first: str
    second: str
    confidence: float
    offset_seconds: float
    overlap_seconds: float
    same_bytes: bool
    classes: tuple[str, str]
    splits: tuple[str | None, str | None]
    parted: bool


@dataclass(frozen=True)
class Audit:
    """All that the audit found, as plain data.

    `classes` counts clips by class and split ("none": in no split; "unreadable"), `rates` audio clips by sample rate in
    Hz. `not_compared` are clips too short or too even for a fingerprint, which are known as duplicates only byte for
    byte. `label_conflicts` are recordings with several classes, each as classes by path. `leaks` has the held-out
    splits' leaks for "chosen", "random" and, where the names are GTZAN's, "published". `refusals` says why no training
    can use the split.
    """

    clips: int
    seconds: float
    classes: dict[str, dict[str, int]]
    findings: dict[str, list[Finding]]
    rates: dict[int, int]
    pairs: list[Pair]
    duplicate_groups: list[list[str]]
    not_compared: list[str]
    label_conflicts: list[dict[str, str]]
    leaks: dict[str, HeldOut]
    leaking: list[LeakingClip]
    refusals: list[str]

    @property
    def chosen_leaks(self) -> bool:
        """Whether a held-out clip of the chosen split has its recording, or its artist, in training."""
        return has_leak(self.leaks["chosen"])

    def summary(self) -> dict[str, Any]:
        """Its figures, without lists of clips, as JSON takes them."""
        return {
            "clips": self.clips,
            "findings": {kind: len(found) for kind, found in self.findings.items()},
            "duplicates": {"pairs": len(self.pairs), "groups": len(self.duplicate_groups)},
            "label_conflicts": len(self.label_conflicts),
            "leaks": {name: _plain_leaks(held_out) for name, held_out in self.leaks.items()},
            "chosen_leaks": self.chosen_leaks,
        }

    def plain(self) -> dict[str, Any]:
        """All of it, as JSON takes it: the summary, and the lists behind it."""
        lists = {key: value for key, value in asdict(self).items() if key not in ("clips", "leaks")}
        return {"summary": self.summary(), **lists}


def audit(store: Store, member: Membership, split: SplitConfig) -> Audit:
    """Looks at all clips of a store, as `split` places them."""
    rows, own = store.rows, [store.rows[clip] for clip in member.clips]
    readable = [row for row in rows if row.columns]
    split_of = dict(zip(member.clips, member.splits, strict=True))
    keys = shared_keys([row.group for row in own], member.facts)
    return Audit(
        clips=len(rows),
        seconds=sum(map(seconds, readable)),
        classes=class_balance(rows, split_of),
        findings=findings(rows, store.spectrogram),
        rates=dict(sorted(rates(readable).items())),
        pairs=pairs(rows, store.matches, split_of),
        duplicate_groups=[[row.path for row in group] for group in _groups(readable)],
        not_compared=[row.path for row in readable if not row.tokens or row.frames < MIN_OVERLAP_FRAMES],
        label_conflicts=[{rows[clip].path: rows[clip].label for clip in clips} for clips in member.conflicts],
        leaks=compared_leaks([row.path for row in own], member.splits, keys),
        leaking=leaking_clips([row.path for row in own], member.splits, keys),
        refusals=refusals(split, member.splits, [row.label for row in own], member.groups),
    )


def class_balance(rows: Sequence[Row], split_of: dict[int, str | None]) -> dict[str, dict[str, int]]:
    """How many clips of each class are in each split, in none, and unreadable."""
    places = (*SPLITS, "none", "unreadable")
    counts = {label: dict.fromkeys(places, 0) for label in sorted({row.label for row in rows})}
    for clip, row in enumerate(rows):
        counts[row.label][(split_of.get(clip) or "none") if row.columns else "unreadable"] += 1
    return counts


def pairs(rows: Sequence[Row], matches: Sequence[Match], split_of: dict[int, str | None]) -> list[Pair]:
    """The pairs of one recording: what the fingerprints matched, and equal files. Those that leak or differ in class
    come first.
    """
    found = {(match.first, match.second): match for match in matches}
    for match in _equal_files(rows):
        found.setdefault((match.first, match.second), match)
    made = [_pair(rows, match, split_of) for match in found.values()]
    return sorted(made, key=lambda p: (not p.parted, p.classes[0] == p.classes[1], -p.confidence, p.first, p.second))


def _equal_files(rows: Sequence[Row]) -> list[Match]:
    """Each file with the first of its content: fingerprints know neither short nor silent clips."""
    first: dict[tuple[str, int], int] = {}
    equal = []
    for clip, row in enumerate(rows):
        # The same bytes under another ending may have been read in another way.
        one = first.setdefault((row.digest, row.columns), clip)
        if row.columns and one != clip:
            equal.append(Match(one, clip, 1.0, 0.0, seconds(row)))
    return equal


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
        parted="train" in splits and bool({*splits} & {*HELD_OUT}),
    )


def _groups(readable: Sequence[Row]) -> list[list[Row]]:
    """The recordings that several clips hold."""
    members: dict[str, list[Row]] = {}
    for row in readable:
        members.setdefault(row.group, []).append(row)
    return [group for group in members.values() if len(group) > 1]


def _plain_leaks(held_out: HeldOut) -> dict[str, Any]:
    return {
        part: {
            shared: {"clips": leak.clips, "of": leak.of, "share": None if leak.share is None else round(leak.share, 4)}
            for shared, leak in own.items()
        }
        for part, own in held_out.items()
    }
