"""Runs an HTTP service that classifies music: genreclf serve."""

import argparse
import socket
import sys
from collections.abc import Sequence

from genreclf.command_options import Parser, add_model_options, load, number, positive
from genreclf.config import Limits
from genreclf.errors import GenreclfError, command

GRACE_SECONDS = 30  # in which accepted requests finish
_PORTS = Limits(at_least=0, at_most=65_535)


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the service until it is stopped, and finishes accepted requests. Returns 0, or 2 for a usage error."""
    options = _parser().parse_args(arguments)
    import uvicorn  # imported late, because --help does not need it

    from genreclf.http.connection import protocol_with_timeout
    from genreclf.http.service import Limits, create_app

    if options.total_mb < options.max_mb:
        raise GenreclfError(f"--total-mb {options.total_mb}: below --max-mb {options.max_mb}; give at least that")
    _check_address(options.host, options.port)
    predictor = load(options)
    max_bytes, total_bytes = (size * 1024**2 for size in (options.max_mb, options.total_mb))
    limits = Limits(options.requests, max_bytes, total_bytes, options.max_seconds, options.stall_seconds)
    uvicorn.run(
        create_app(predictor, limits),
        host=options.host,
        port=options.port,
        http=protocol_with_timeout(options.stall_seconds),
        log_level="warning" if options.quiet else "info",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


def _check_address(host: str, port: int) -> None:
    """Raises GenreclfError, before the model is loaded, if the service cannot listen on this address."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except (OSError, UnicodeError) as error:  # the latter for a name that is too long
        remedy = "choose another --port, or another --host of this machine"
        why = (getattr(error, "strerror", None) or "no such address").partition(" (")[0]  # Python repeats the address
        raise GenreclfError(f"--host {host} --port {port}: {why}; {remedy}") from error


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="genreclf serve",
        description="An HTTP service: POST an audio file or spectrogram picture to /classify to get its genre as JSON. "
        "GET /health, /metrics (for Prometheus), /docs (the API's description).",
        epilog="Try: curl -F file=@song.mp3 http://127.0.0.1:8000/classify. Exit code: 0, or 2 for a usage error.",
    )
    add_model_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine)")
    parser.add_argument("--port", type=number(_PORTS, int), default=8000, help="(default 8000; 0: any free one)")
    parser.add_argument("--requests", type=positive, default=64, help="at one time; more get status 503 (default 64)")
    parser.add_argument("--max-mb", type=positive, default=64, help="the largest upload, in MiB (default 64)")
    total = "the total size of all uploads, in MiB; more get status 503 (default 1024)"
    parser.add_argument("--total-mb", type=positive, default=1024, help=total)
    stalled = "an upload that stalls for this long gets status 408 (default 10)"
    parser.add_argument("--stall-seconds", type=positive, default=10, help=stalled)
    parser.add_argument("--max-seconds", type=positive, default=900, help="the longest audio (default 900)")
    parser.add_argument("--quiet", action="store_true", help="do not log requests")
    return parser


if __name__ == "__main__":
    sys.exit(main())
