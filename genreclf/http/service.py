"""The HTTP service: POST an audio file or a picture and get its genre as JSON."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from genreclf import __version__
from genreclf.cores import cores
from genreclf.errors import GenreclfError
from genreclf.frontend.clip import read_upload
from genreclf.http.uploads import Uploads, busy
from genreclf.inference.predictor import Prediction, Predictor
from genreclf.inference.results import prediction_row

_FILE = {"type": "string", "format": "binary"}
_FORM = {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
_BODY = {
    "required": True,
    "description": "An audio file, a video with sound, or a picture of a spectrogram: its bytes, or a form.",
    "content": {"application/octet-stream": {"schema": _FILE}, "multipart/form-data": {"schema": _FORM}},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    408: {"description": "The upload stalled."},
    413: {"description": "The upload is larger than the service accepts."},
    415: {"description": "The upload is compressed, or in parts that are no form."},
    422: {"description": "The upload is not a readable audio file or picture; the detail says why."},
    503: {"description": "The server is busy; Retry-After says when to retry."},
}


@dataclass(frozen=True)
class Limits:
    """Limits on the requests that the service accepts."""

    requests: int  # in progress at one time, waiting ones included; uploads still being received do not count
    max_bytes: int  # size of one upload
    total_bytes: int  # size of all uploads at one time, including those still being received
    max_seconds: float  # length of an upload's audio
    stall_seconds: float  # after this long without progress, an upload or request head is rejected


class Metrics:
    """Counts and durations of the requests, for Prometheus, and the limit on those in progress."""

    def __init__(self, limit: int) -> None:
        self.limit, self.in_progress = limit, 0
        self._registry = CollectorRegistry()
        self._responses = Counter("genreclf_requests", "responses by status", ["status"], registry=self._registry)
        in_progress = Gauge("genreclf_requests_at_work", "requests in progress", registry=self._registry)
        in_progress.set_function(lambda: self.in_progress)
        self.seconds = Histogram("genreclf_seconds", "seconds from request to response", registry=self._registry)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Holds a slot for a complete upload during the `with`; raises HTTPException (503) if none is free."""
        self.check()
        self.in_progress += 1
        try:
            yield
        finally:
            self.in_progress -= 1

    def check(self) -> None:
        """Raises HTTPException (503) if no slot is free."""
        if self.in_progress >= self.limit:
            raise busy()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts the status of the response. Turns a GenreclfError into an HTTPException (422)."""
        status = 500
        try:
            yield
            status = 200
        except GenreclfError as error:
            status = 422
            raise HTTPException(status, str(error)) from error
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self._responses.labels(status).inc()

    def text(self) -> bytes:
        """Returns the metrics in Prometheus's text format."""
        return generate_latest(self._registry)


def create_app(predictor: Predictor, limits: Limits) -> FastAPI:
    """Returns the application: POST /classify, GET /health, GET /metrics, and /docs."""
    workers = ThreadPoolExecutor(cores(), "worker")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        workers.shutdown()  # finishes the accepted requests

    app = FastAPI(title="genreclf", version=__version__, lifespan=lifespan)
    uploads = Uploads(limits.max_bytes, limits.total_bytes, limits.stall_seconds)
    metrics, info = Metrics(limits.requests), predictor.info

    def predict(content: bytearray) -> Prediction:
        return predictor.predict(read_upload(content, info.picture_seconds, limits.max_seconds, predictor.figure))

    @app.post("/classify", openapi_extra={"requestBody": _BODY}, responses=_RESPONSES)
    async def classify(request: Request, segments: bool = False) -> dict[str, Any]:
        """Predicts the genre of a file and the probability of each genre; with `segments`, also the genre over time.

        A multi-label model also lists `genres`.
        """
        with metrics.counted():
            metrics.check()  # before the upload is received
            with metrics.seconds.time():
                async with uploads.received(request) as content:
                    with metrics.slot():
                        prediction = await asyncio.get_running_loop().run_in_executor(workers, predict, content)
        return prediction_row(prediction, info.classes, segments)

    @app.get("/", include_in_schema=False)
    async def home() -> dict[str, str]:
        """Lists the paths. FastAPI's page /docs needs the internet: it loads its scripts from another host."""
        what = "POST an audio file or a spectrogram picture to /classify"
        api = "/openapi.json, or with internet access /docs"
        return {"classify": what, "health": "/health", "metrics": "/metrics", "api": api}

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Returns the service's status and version, the model and its genres and, if multi-label, their thresholds."""
        classes = list(info.classes)
        several = {} if info.thresholds is None else {"thresholds": dict(zip(classes, info.thresholds, strict=True))}
        return {"status": "ok", "version": __version__, "model": info.name, "classes": classes, **several}

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics")
    async def prometheus() -> Response:
        """Returns counts and durations of requests, for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return app
