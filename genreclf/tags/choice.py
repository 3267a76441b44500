"""Turns a prediction and a file's tags into a row of the plan."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genreclf.errors import GenreclfError
from genreclf.tags.file_tags import check_writable, read_tags
from genreclf.tags.plan import KEEP, SKIP, WRITE, PlanRow, join_genres, modified_seconds
from genreclf.text import percent, spelling_key

LEAST = 0.8
_LEAST_OF_FURTHER = 0.1  # least probability of a further genre: a few per cent say nothing about the song
UNREADABLE = "the file could not be read"


@dataclass(frozen=True)
class Rules:
    """Rules that select which predictions are written as tags."""

    least: float  # least total probability of the genres written; if multi-label, of each of them
    overwrite: bool  # also write to files that have a genre
    genres: int  # the most genres for a file


def rules_for(least: float | None, overwrite: bool, genres: int | None, multilabel: bool) -> Rules:
    """Returns the rules for a model. By default, a multi-label model writes all genres that reach their thresholds."""
    if multilabel:
        return Rules(0.0 if least is None else least, overwrite, sys.maxsize if genres is None else genres)
    return Rules(LEAST if least is None else least, overwrite, genres or 1)


def plan_row(row: Mapping[str, Any], rules: Rules) -> PlanRow:
    """Returns the plan's row for a prediction from `file_row`. Reads the file's tags."""
    path = Path(row["path"])
    modified = modified_seconds(path)
    genres, probability = answer(row, rules)
    present: tuple[str, ...] = ()
    problem: str = row["problem"]
    try:
        present = read_tags(path).genres
        action, reason = _action(row, genres, probability, present, rules)
        if action == WRITE:
            check_writable(path)
    except GenreclfError as error:
        action, reason = SKIP, UNREADABLE if problem else "its tags cannot be written"
        problem = problem or str(error)
    return PlanRow(
        path=row["path"],
        action=action,
        genre=join_genres(genres),
        probability=probability if genres else None,
        known=row.get("known"),
        present=join_genres(present),
        note="; ".join(filter(None, (problem, row.get("note", "")))),
        modified=modified,
        reason=reason,
    )


def answer(row: Mapping[str, Any], rules: Rules) -> tuple[tuple[str, ...], float]:
    """Returns the genres to write and the probability to compare with `rules.least`.

    For a multi-label model, these are its genres that reach `rules.least` and the lowest of their probabilities. For
    other models, they are the fewest genres whose probabilities add up to `rules.least`, and the sum. If no genres
    reach it, the most probable genre is returned.
    """
    if not row.get("genre"):
        return (), 0.0
    if "genres" in row:
        return _several(row["genres"], row["probabilities"], rules)
    ranked = sorted(row["probabilities"].items(), key=lambda pair: -pair[1])
    genres: list[str] = []
    total = 0.0
    for name, probability in ranked[: rules.genres]:
        if genres and (total >= rules.least or probability < _LEAST_OF_FURTHER):
            break
        genres.append(name)
        total += probability
    return (tuple(genres), total) if total >= rules.least else ((ranked[0][0],), ranked[0][1])


def _several(genres: Sequence[str], probabilities: Mapping[str, float], rules: Rules) -> tuple[tuple[str, ...], float]:
    probable = [name for name in genres if probabilities[name] >= rules.least][: rules.genres] or genres[:1]
    return tuple(probable), min(probabilities[name] for name in probable)


def _action(
    row: Mapping[str, Any], genres: Sequence[str], probability: float, present: Sequence[str], rules: Rules
) -> tuple[str, str]:
    """Returns the action and, if nothing is written, the reason."""
    if row["problem"]:
        return SKIP, UNREADABLE
    if present and not rules.overwrite:
        return KEEP, "has a genre; --overwrite replaces it"
    if not genres:
        return SKIP, "the model gives no genre"
    if probability < rules.least:
        return SKIP, f"probability below {percent(rules.least)}"
    if list(map(spelling_key, present)) == list(map(spelling_key, genres)):
        return KEEP, "has this genre"
    return WRITE, ""
