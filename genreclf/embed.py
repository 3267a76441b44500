"""Embeddings of audio files and spectrogram pictures: genreclf embed FILE... --out embeddings.npz."""

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genreclf.command_options import SOME_FILES_FAILED, Parser, add_file_options, add_model_options, find_files, load
from genreclf.errors import GenreclfError, command
from genreclf.files import user_path
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import check_output, write_output, write_parquet
from genreclf.progress import progress_bar
from genreclf.stopping import stoppable
from genreclf.text import utf8

SUFFIXES = (".npz", ".parquet", ".csv")


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 0, 1 where a file has no embedding, or 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    check_output(options.out)
    paths, unreadable_folders = find_files(options.paths)
    embeddings = _embed(load(options), paths, options.workers)
    if embeddings:
        _write(embeddings, options.out)
    return SOME_FILES_FAILED if unreadable_folders or len(embeddings) < len(paths) else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genreclf embed",
        description="Writes an embedding per audio file or spectrogram picture: the net's context vector (the input of "
        "its last layers), the mean over the file's segments. For similarity search, clustering, or as features.",
        epilog="Exit code: 0, 1 if some files have no embedding (the others are written, if any), 2 for a wrong call.",
    )
    add_file_options(parser)
    add_model_options(parser)
    content = "a .npz file with the arrays path (N,) and embedding (N, D) float32, or the same as .parquet or .csv"
    parser.add_argument("--out", type=_out, default="embeddings.npz", help=f"{content} (default embeddings.npz)")
    return parser


def _out(word: str) -> Path:
    if Path(word).suffix not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{word}: unknown suffix; choose one of {', '.join(SUFFIXES)}")
    return user_path(word)


def _embed(predictor: Predictor, paths: Sequence[Path], workers: int) -> list[tuple[str, np.ndarray]]:
    """The (D,) embeddings of the files that have one, in order; the others are named on standard error."""
    embeddings, problems = [], []
    with progress_bar("embedding", "files") as report:
        for count, (path, result) in enumerate(predict_files(predictor, paths, workers), 1):
            if isinstance(result, GenreclfError):
                problems.append(result)
            elif not result.embedding.size:
                problems.append(GenreclfError(f"{path}: no embedding ({result.no_genre}); give a file with music"))
            else:
                embeddings.append((str(path), result.embedding))
            report(count, len(paths))
    for problem in problems:
        print(f"genreclf: {problem}", file=sys.stderr)
    return embeddings


def _write(embeddings: list[tuple[str, np.ndarray]], out: Path) -> None:
    if out.suffix == ".parquet":
        write_parquet([{"path": path, "embedding": values.tolist()} for path, values in embeddings], out)
    elif out.suffix == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", *(f"embedding_{number}" for number in range(len(embeddings[0][1])))])
        writer.writerows([utf8(path), *values.tolist()] for path, values in embeddings)
        write_output(out, text.getvalue())
    else:
        paths, values = zip(*embeddings, strict=True)
        content = io.BytesIO()
        np.savez(content, path=np.array(paths), embedding=np.stack(values).astype(np.float32))
        write_output(out, content.getvalue())


if __name__ == "__main__":
    sys.exit(main())
