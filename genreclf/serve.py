"""A service that names genres over HTTP: python -m genreclf.serve."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from genreclf.errors import GenreclfError, user_error
from genreclf.inference.run_folder import find_bundle
from genreclf.inference.tta import TTA
from genreclf.nets.bundle import load_bundle
from genreclf.nets.torch_model import torch_predictor
from genreclf.predict import DEFAULT, positive

GRACE_SECONDS = 30


def serve(arguments: Sequence[str] | None = None) -> int:
    """The command; runs until it is told to stop, and answers first whatever it has accepted. Returns 0, or 2."""
    options = _parser().parse_args(arguments)
    try:
        import uvicorn

        from genreclf.http.service import Limits, create_app

        predictor = torch_predictor(load_bundle(find_bundle(options.run)), options.tta, options.device)
    except ImportError as error:
        return user_error(f"{error.name} is not installed; pip install 'genreclf[serve]'")
    except GenreclfError as error:
        return user_error(error)
    limits = Limits(options.requests, options.max_mb * 1024**2, options.max_seconds)
    # What is accepted may take as long as its queue; a client that sends nothing is not waited for longer than this.
    uvicorn.run(
        create_app(predictor, limits),
        host=options.host,
        port=options.port,
        log_level="warning" if options.quiet else "info",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m genreclf.serve",
        description="A service: POST an audio file or spectrogram picture to /classify, get its genre as JSON. "
        "GET /health, /metrics (for Prometheus), /docs (the description).",
        epilog="Try: curl --data-binary @song.mp3 http://127.0.0.1:8000/classify. Exit code: 0, or 2 for a wrong call.",
    )
    parser.add_argument("--run", type=Path, default=Path(DEFAULT), help=f"a run, bundle or name (default {DEFAULT})")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default 127.0.0.1: this machine)")
    parser.add_argument("--port", type=int, default=8000, help="(default 8000)")
    parser.add_argument("--tta", default="none", choices=list(TTA), help="average over changed copies (default none)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default auto)")
    parser.add_argument("--requests", type=positive, default=64, help="at one time; more are told to wait (default 64)")
    parser.add_argument("--max-mb", type=positive, default=64, help="the largest upload, in MiB (default 64)")
    parser.add_argument("--max-seconds", type=positive, default=900, help="the longest sound (default 900)")
    parser.add_argument("--quiet", action="store_true", help="no line for each request")
    return parser


if __name__ == "__main__":
    sys.exit(serve())
