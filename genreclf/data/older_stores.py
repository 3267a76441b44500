"""Copies clips from older stores, so that their spectrograms need not be computed again."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genreclf.data.clip_reader import Content, Read
from genreclf.data.sources import Source
from genreclf.data.store import META, Store, open_store
from genreclf.errors import GenreclfError
from genreclf.files import newest_first

Known = dict[Content, tuple[Store, int]]  # a store that contains the file, and the clip's number in it


def known_clips(store: Path, made_from: Mapping[str, Any]) -> Known:
    """Returns the clips in the finished stores beside `store` whose META contains `made_from`.

    For a clip in several stores, the newest store is used.
    """
    known: Known = {}
    for path in reversed(newest_first(store.parent, META)):
        try:
            if not made_from.items() <= json.loads(path.read_text()).items():
                continue
            older = open_store(path.parent)
        except (OSError, ValueError, AttributeError, GenreclfError):
            continue  # a damaged older store must not prevent a new one from being built
        for number, row in enumerate(older.rows):
            if row.columns:
                known[Content(row.digest, Path(row.path).suffix.lower())] = older, number
    return known


def copied(source: Source, older: Store, number: int) -> Read:
    """Returns a clip's row and arrays from an older store."""
    prints = older.fingerprints.of_clip(number)
    row = replace(older.rows[number], path=source.path, label=source.label)
    return row, (older.spectrogram(number).T, prints.sketch, prints.tokens)
