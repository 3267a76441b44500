"""Finds the songs most similar to one, by their embeddings: genreclf similar FILE --in embeddings.parquet."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genreclf.command_options import Parser, add_model_options, embeddings_file, load, positive, print_default_model
from genreclf.csv_text import csv_line
from genreclf.errors import GenreclfError, command
from genreclf.files import user_path
from genreclf.inference.embeddings import Embeddings, read_embeddings
from genreclf.inference.predictor import Predictor
from genreclf.stopping import stoppable
from genreclf.terminal import print_table
from genreclf.text import one_line, utf8

_SAME_SONG = 1 - 1e-6  # a cosine; of 103 different songs, the most similar two have 0.994


@command
@stoppable()
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0, or 2 for a usage error or a song without an embedding."""
    options = _parser().parse_args(arguments)
    library = read_embeddings(options.library)
    predictor = load(options)
    print_default_model(options)
    _check_model(library, predictor, options.library)
    query = _embedding(predictor, options.file, library.values.shape[1])
    nearest = [one for one in library.nearest(query) if not _is_same(*one, options.file)]
    _show(nearest[: options.top], options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genreclf similar",
        description="Finds the songs whose embeddings are most similar to a song's embedding. The embeddings come from "
        "genreclf embed, or from genreclf tag --embeddings.",
        epilog="Exit code: 0, or 2 for a usage error or a song without an embedding.",
    )
    parser.add_argument("file", type=user_path, metavar="FILE", help="a song")
    library = "the embeddings to search (.parquet, .npz or .csv)"
    parser.add_argument("--in", dest="library", type=embeddings_file, required=True, metavar="EMBEDDINGS", help=library)
    parser.add_argument("--top", type=positive, default=10, metavar="N", help="how many songs (default 10)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")
    add_model_options(parser)
    return parser


def _check_model(library: Embeddings, predictor: Predictor, file: Path) -> None:
    """Raises GenreclfError if the library's embeddings are from another model: they could not be compared."""
    if library.model and library.model != predictor.model.weights_sha256:
        fault = f"from another model than {predictor.info.name!r}"
        raise GenreclfError(f"{file}: {fault}; give that one with --model, or run genreclf embed again")
    if not library.model:
        warning = "does not name the model of its embeddings; with another model, the result is meaningless"
        print(one_line(f"genreclf: {file}: {warning}"), file=sys.stderr)


def _embedding(predictor: Predictor, file: Path, size: int) -> np.ndarray:
    """Returns a file's embedding, (size,). Raises GenreclfError if it has none, or one of another size."""
    prediction = predictor.predict_file(file)
    if not prediction.embedding.size:
        raise GenreclfError(f"{file}: no embedding ({prediction.no_genre}); give a file with music")
    if prediction.embedding.size != size:
        fault = f"its embedding has {prediction.embedding.size} numbers, and those to search have {size}"
        raise GenreclfError(f"{file}: {fault}, so they are of another model; give that one with --model")
    return prediction.embedding


def _is_same(path: str, similarity: float, file: Path) -> bool:
    """Returns whether an entry of the library is the song itself, also if the library has moved since."""
    try:
        return Path(path).samefile(file)
    except (OSError, ValueError):  # not there; a path from a file may also have a NUL
        return similarity >= _SAME_SONG


def _show(nearest: Sequence[tuple[str, float]], options: argparse.Namespace) -> None:
    if options.json:
        json.dump([{"path": path, "similarity": similarity} for path, similarity in nearest], sys.stdout, indent=1)
        print()
    elif options.csv:
        shown = one_line if sys.stdout.isatty() else utf8
        lines = [("path", "similarity"), *((shown(path), similarity) for path, similarity in nearest)]
        sys.stdout.writelines(map(csv_line, lines))
    else:
        cells = [[f"{similarity:.3f}", path] for path, similarity in nearest]
        print_table([("similarity", "number"), ("file", "text")], cells)


if __name__ == "__main__":
    sys.exit(main())
