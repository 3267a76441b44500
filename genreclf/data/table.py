"""What a CSV says of the clips beside their files: artists, and groups of its own."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from genreclf.data.split import gtzan_name
from genreclf.errors import GenreclfError

KEYS = ("path", "clip")
FACTS = ("artist", "group")


@dataclass(frozen=True)
class Facts:
    """What is known of a clip; empty where it is not."""

    artist: str = ""
    group: str = ""


def read_table(table: Path, paths: Sequence[str]) -> list[Facts]:
    """The facts of each clip of `paths` (relative, with forward slashes), empty ones for clips that have no row.

    The table has a column `path`, equal to a clip's, or `clip`, its file's name without suffix (or GTZAN's name,
    however the file spells it), and `artist` or `group` or both; other columns are left alone. Raises GenreclfError
    for a table that cannot be read, lacks these columns, has two rows for a clip, or knows none of the clips.
    """
    rows, key = _rows(table)
    known: dict[str, Facts] = {}
    for row in rows:
        if row[key] in known:
            raise GenreclfError(f"data.table={table}: two rows for {key} {row[key]!r}; leave one of them")
        known[row[key]] = Facts(**{name: (row.get(name) or "").strip() for name in FACTS})
    facts = [_of(path, key, known) for path in paths]
    if not any(facts):
        raise GenreclfError(
            f"data.table={table}: none of its {len(known)} rows is of a clip in data.path (first row: "
            f"{next(iter(known), 'none')!r}, first clip: {paths[0]!r})"
        )
    return [one or Facts() for one in facts]


def _rows(table: Path) -> tuple[list[dict[str, str]], str]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GenreclfError(f"data.table={table}: cannot be read ({error}); give a CSV file in UTF-8") from error
    key = next((name for name in KEYS if name in columns), None)
    if key is None or not any(name in columns for name in FACTS):
        raise GenreclfError(
            f"data.table={table}: has the columns {', '.join(columns) or 'none'}; "
            f"it needs path or clip, and {' or '.join(FACTS)}"
        )
    return rows, key


def _of(path: str, key: str, known: dict[str, Facts]) -> Facts | None:
    if key == "path":
        return known.get(path)
    return known.get(PurePosixPath(path).stem) or known.get(gtzan_name(path))
