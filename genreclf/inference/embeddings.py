"""Embedding files, which `embed` and `tag` write and `similar` reads."""

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genreclf.csv_text import csv_line
from genreclf.errors import GenreclfError, explained
from genreclf.files import check_ends
from genreclf.inference.results import check_pyarrow, write_output, write_parquet
from genreclf.text import escape_bytes, unescape_bytes

_MODEL_KEY = b"genreclf.model"  # in a Parquet file's metadata


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The embeddings of N files, from one model."""

    paths: tuple[str, ...]
    values: np.ndarray  # (N, D) float32
    model: str  # the SHA-256 of the model's weights; empty if the file does not contain it

    def nearest(self, query: np.ndarray) -> list[tuple[str, float]]:
        """Returns the paths with their embeddings' cosine similarity to `query`, (D,), the most similar first.

        Of a path that occurs several times, the most similar embedding counts.
        """
        values, query = self.values.astype(np.float64), query.astype(np.float64)
        norms = np.linalg.norm(values, axis=1) * np.linalg.norm(query)
        cosines = values @ query / np.where(norms, norms, 1)
        order = np.argsort(-cosines, kind="stable")
        best: dict[str, float] = {}
        for number in order:
            best.setdefault(self.paths[number], float(cosines[number]))
        return list(best.items())


def write_embeddings(embeddings: Embeddings, out: Path) -> None:
    """Writes a .npz, .parquet or .csv file. A CSV does not name the model. Raises GenreclfError if writing fails."""
    _FORMATS[out.suffix][1](embeddings, out)


def read_embeddings(file: Path) -> Embeddings:
    """Reads such a file. Raises GenreclfError if it does not contain embeddings."""
    if file.suffix not in SUFFIXES:
        raise GenreclfError(f"{file}: unknown suffix; give a file of genreclf embed: {', '.join(SUFFIXES)}")
    with explained(f"{file}: cannot be read", "give a file of genreclf embed"):
        with np.errstate(over="ignore"):  # numbers beyond float32 become infinite, which is refused below
            found = _FORMATS[file.suffix][0](file)
        is_whole = found.values.ndim == 2 and len(found.values) == len(found.paths) and np.isfinite(found.values).all()
        if not is_whole or not all(isinstance(path, str) for path in found.paths):
            raise ValueError("expected a path and an embedding of finite numbers per file")
    return found


def _read_npz(file: Path) -> Embeddings:
    if file.is_file() and not zipfile.is_zipfile(file):  # NumPy would advise loading it as a pickle
        raise ValueError("not in NumPy's format .npz")
    with np.load(file) as arrays:  # refuses pickles
        model = str(arrays["model"]) if "model" in arrays else ""
        return Embeddings(tuple(arrays["path"].tolist()), arrays["embedding"].astype(np.float32), model)


def _write_npz(embeddings: Embeddings, out: Path) -> None:
    content = io.BytesIO()
    arrays = {"path": np.array(embeddings.paths), "embedding": embeddings.values, "model": np.array(embeddings.model)}
    np.savez(content, allow_pickle=False, **arrays)
    write_output(out, content.getvalue())


def _read_parquet(file: Path) -> Embeddings:
    check_pyarrow(file)
    from pyarrow import parquet  # large, and slow to import

    table = parquet.read_table(file, columns=["path", "embedding"])
    model = (table.schema.metadata or {}).get(_MODEL_KEY, b"").decode()
    values = np.array(table["embedding"].to_pylist(), np.float32)
    return Embeddings(tuple(map(unescape_bytes, table["path"].to_pylist())), values, model)


def _write_parquet(embeddings: Embeddings, out: Path) -> None:
    pairs = zip(embeddings.paths, embeddings.values, strict=True)
    records = [{"path": escape_bytes(path), "embedding": values.tolist()} for path, values in pairs]
    write_parquet(records, out, {_MODEL_KEY: embeddings.model.encode()})


def _read_csv(file: Path) -> Embeddings:
    with check_ends(file).open(encoding="utf-8-sig", newline="") as lines:
        header, *rows = [*csv.reader(lines)] or [[]]
    if header[:1] != ["path"] or not all(name.startswith("embedding_") for name in header[1:]):
        raise ValueError("its columns are not path and embedding_...")
    rows = [row for row in rows if row]  # csv gives an empty line as a row
    values = np.array([row[1:] for row in rows], np.float32)
    return Embeddings(tuple(unescape_bytes(row[0]) for row in rows), values, "")


def _write_csv(embeddings: Embeddings, out: Path) -> None:
    header = ["path", *(f"embedding_{number}" for number in range(embeddings.values.shape[1]))]
    pairs = zip(embeddings.paths, embeddings.values, strict=True)
    lines = [header, *([escape_bytes(path), *values.tolist()] for path, values in pairs)]
    write_output(out, "".join(map(csv_line, lines)))


_FORMATS: dict[str, tuple[Callable[[Path], Embeddings], Callable[[Embeddings, Path], None]]] = {
    ".npz": (_read_npz, _write_npz),
    ".parquet": (_read_parquet, _write_parquet),
    ".csv": (_read_csv, _write_csv),
}
SUFFIXES = tuple(_FORMATS)
