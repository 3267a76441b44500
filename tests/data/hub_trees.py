"""Small data sets in the Hub's format: Parquet files with embedded audio, and features in their metadata."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from tiny_sounds import music_like


def flac(seed: int) -> bytes:
    """A FLAC file with 4.5 s of rhythmic noise."""
    file = io.BytesIO()
    soundfile.write(file, music_like(4.5, np.random.default_rng(seed)), 22_050, format="FLAC")
    return file.getvalue()


def write_split(
    folder: Path,
    split: str,
    sounds: Sequence[bytes | None],
    names: Sequence[str | None],
    columns: dict[str, tuple[dict[str, Any], Sequence[Any]]],
) -> None:
    """Writes data/SPLIT-00000-of-00001.parquet with the column `audio` and others: feature and values by name."""
    audio = [{"bytes": sound, "path": name} for sound, name in zip(sounds, names, strict=True)]
    features = {"audio": {"_type": "Audio"}, **{name: feature for name, (feature, _) in columns.items()}}
    table = pa.table(
        {
            "audio": pa.array(audio, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            **{name: pa.array(values) for name, (_, values) in columns.items()},
        }
    )
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), folder / "data" / f"{split}-00000-of-00001.parquet")


def class_label(*names: str) -> dict[str, Any]:
    """Returns the feature of a column of class numbers."""
    return {"names": list(names), "_type": "ClassLabel"}


TEXT = {"dtype": "string", "_type": "Value"}
TEXTS = {"feature": TEXT, "_type": "List"}
