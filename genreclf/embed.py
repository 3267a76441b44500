"""Computes embeddings of audio files and spectrogram pictures: genreclf embed FILE... --out embeddings.npz."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from genreclf.command_options import SOME_FILES_FAILED, Parser, add_model_options, embeddings_file, load, print_problems
from genreclf.errors import command
from genreclf.inference.embeddings import Embeddings, write_embeddings
from genreclf.inference.predicted_rows import Contents
from genreclf.inference.results import Row, check_output
from genreclf.library_options import add_library_options, check_library_options, find_locations, library_rows
from genreclf.shard_steps import shard_step
from genreclf.stopping import stoppable


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, 1 if a file has no embedding, or 2 for a usage error."""
    parser = _parser()
    options = parser.parse_args(arguments)
    check_library_options(parser, options, ["out"])
    check_output(options.out)
    contents = Contents(embedding=True)
    if options.shards:
        return shard_step(options, contents, lambda rows, all_of: _write(rows, all_of.weights_sha256, options.out))
    paths, unreadable_folders = find_locations(options.paths)
    predictor = load(options)
    rows = library_rows(options, predictor, contents, paths)
    code = _write(rows, predictor.model.weights_sha256, options.out)
    return SOME_FILES_FAILED if unreadable_folders else code


def _parser() -> Parser:
    parser = Parser(
        prog="genreclf embed",
        description="Writes an embedding per audio file or spectrogram picture: the net's context vector (the input of "
        "its last layers), the mean over the file's segments. For similarity search, clustering, or as features.",
        epilog="Exit code: 0, 1 if some files have no embedding (the others are written, if any), 2 for a usage error.",
    )
    add_library_options(parser)
    add_model_options(parser)
    content = "a .npz file with the arrays path (N,) and embedding (N, D) float32, or the same as .parquet or .csv"
    parser.add_argument(
        "--out", type=embeddings_file, default=Path("embeddings.npz"), help=f"{content} (default embeddings.npz)"
    )
    return parser


def _write(rows: Iterable[Row], weights_sha256: str, out: Path) -> int:
    """Writes the embeddings in order, reports the files without one, and returns the exit code."""
    names, values, problems = [], [], []
    for row in rows:
        if row["problem"]:
            problems.append(row["problem"])
        elif not row["embedding"]:
            problems.append(f"{row['path']}: no embedding ({row['note']}); give a file with music")
        else:
            names.append(row["path"])
            values.append(np.array(row["embedding"], np.float32))
    print_problems(problems)
    if names:
        write_embeddings(Embeddings(tuple(names), np.stack(values), weights_sha256), out)
    return SOME_FILES_FAILED if problems else 0


if __name__ == "__main__":
    sys.exit(main())
