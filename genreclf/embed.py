"""Embeddings of audio files and spectrogram pictures: genreclf embed FILE... --out embeddings.npz."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genreclf.command_options import (
    SOME_FILES_FAILED,
    Parser,
    add_file_options,
    add_model_options,
    embeddings_file,
    find_files,
    load,
    tell_problems,
)
from genreclf.errors import GenreclfError, command
from genreclf.inference.embeddings import Embeddings, write_embeddings
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import check_output
from genreclf.progress import progress_bar
from genreclf.stopping import stoppable


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns 0, 1 where a file has no embedding, or 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    check_output(options.out)
    paths, unreadable_folders = find_files(options.paths)
    predictor = load(options)
    embeddings = _embed(predictor, paths, options.workers)
    if embeddings:
        names, values = zip(*embeddings, strict=True)
        write_embeddings(Embeddings(names, np.stack(values), predictor.model.weights_sha256), options.out)
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
    parser.add_argument(
        "--out", type=embeddings_file, default="embeddings.npz", help=f"{content} (default embeddings.npz)"
    )
    return parser


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
    tell_problems(problems)
    return embeddings


if __name__ == "__main__":
    sys.exit(main())
