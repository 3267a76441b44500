"""The service: POST a sound or a picture, get its genre as JSON."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from genreclf import __version__
from genreclf.errors import GenreclfError
from genreclf.frontend.upload import read_upload
from genreclf.http.batcher import Batcher
from genreclf.inference.prediction import Prediction
from genreclf.inference.predictor import Predictor
from genreclf.inference.results import answer_row

RETRY_AFTER_SECONDS = 1
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The bytes of a WAV, FLAC, OGG, MP3, AU or AIFF file, or of a PNG or JPEG spectrogram.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    413: {"description": "larger than the service takes"},
    422: {"description": "no audio or picture that can be read; the detail says why"},
    503: {"description": "as many requests as the service takes are at work; Retry-After says when to come again"},
}


@dataclass(frozen=True)
class Limits:
    """`requests` that are read, waiting or answered at one time; bytes and seconds of one upload."""

    requests: int
    max_bytes: int
    max_seconds: float


class ConcurrencyLimit:
    """How many requests may be at work, and are."""

    def __init__(self, number: int) -> None:
        self.number, self.at_work = number, 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """A place for the time of the `with`; raises HTTPException where none is free."""
        if self.at_work >= self.number:
            raise HTTPException(503, "busy; come again", {"Retry-After": str(RETRY_AFTER_SECONDS)})
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1


class Metrics:
    """What /metrics tells, in Prometheus's terms."""

    def __init__(self, places: ConcurrencyLimit) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("genreclf_requests", "answers by status", ["status"], registry=self.registry)
        at_work = Gauge("genreclf_requests_at_work", "accepted and not answered yet", registry=self.registry)
        at_work.set_function(lambda: places.at_work)
        self.seconds = Histogram("genreclf_seconds", "from accepted to answered", registry=self.registry)


def create_app(predictor: Predictor, limits: Limits) -> FastAPI:
    """The application: POST /classify, GET /health, GET /metrics, and /docs, its own description."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.batcher = Batcher(predictor)
        app.state.readers = ThreadPoolExecutor(os.cpu_count(), "reader")
        yield
        app.state.readers.shutdown()
        app.state.batcher.close()

    app = FastAPI(title="genreclf", version=__version__, lifespan=lifespan)
    places = ConcurrencyLimit(limits.requests)
    metrics = Metrics(places)
    classes = list(predictor.facts.classes)

    @app.post("/classify", openapi_extra=_BODY, responses=_ANSWERS)
    async def classify(request: Request, segments: bool = False) -> dict[str, Any]:
        """The genre of one file, the probability of each, and with `segments` the genre over time."""
        status = 500
        try:
            with places.taken(), metrics.seconds.time():
                answer = await answered(request)
            status = 200
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            metrics.requests.labels(status).inc()
        return answer_row(answer, classes, segments)

    async def answered(request: Request) -> Prediction:
        content = await _body(request, limits.max_bytes)
        loop, front_end = asyncio.get_running_loop(), predictor.model.front_end
        seconds = predictor.facts.picture_seconds
        try:
            clip = await loop.run_in_executor(
                app.state.readers, read_upload, content, front_end, seconds, limits.max_seconds
            )
        except GenreclfError as error:
            raise HTTPException(422, str(error)) from error
        return await asyncio.wrap_future(app.state.batcher.submit(clip))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Whether it answers, and who: the model, and the genres that it knows."""
        return {"status": "ok", "version": __version__, "model": predictor.facts.name, "classes": classes}

    @app.get("/metrics")
    async def tell_metrics() -> Response:
        """Counts and times, for Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


async def _body(request: Request, max_bytes: int) -> bytes:
    """What was sent; raises HTTPException as soon as it is too much, before it is read where its length is told."""
    too_large = HTTPException(413, f"upload: larger than {max_bytes / 1024**2:g} MiB; send a shorter one")
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > max_bytes:
        raise too_large
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > max_bytes:
            raise too_large
    return bytes(content)
