"""Receives uploads, as a request body or as a file in a form, within limits on time and memory."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import HTTPException, Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from genreclf.errors import GenreclfError, reason

# A client that sends less than this on average counts as stalled: 32 kbit/s, the rate of a modem.
_MIN_BYTES_PER_SECOND = 4_096
# Only for stalled clients: one that is still sending would see a broken connection, not the response.
_CLOSE = {"Connection": "close"}
_FORM, _AS_CURL = "multipart/form-data", "curl -F file=@song.mp3 does"

# The response tells the client what is wrong with its form. The parser's log would name neither client nor request.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())


def busy() -> HTTPException:
    """Returns the response of a server that has reached its limit."""
    return HTTPException(503, "server busy; retry later", {"Retry-After": "1"})


class Uploads:
    """Receives uploads of at most `max_bytes` each and holds at most `total_bytes` at one time.

    An upload that stalls for `stall_seconds`, or is much too slow, is rejected.
    """

    def __init__(self, max_bytes: int, total_bytes: int, stall_seconds: float) -> None:
        self.max_bytes, self.total_bytes, self.stall_seconds = max_bytes, total_bytes, stall_seconds
        self.held_bytes = 0

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[bytearray]:
        """Receives a file and yields its bytes, which count as held until the `with` block ends.

        Raises HTTPException: 400 if the client disconnects, 408 if it stalls, 413 if the upload is too large, 415 if
        it is compressed or in parts that are no form, and 503 if there is no room for it. Raises GenreclfError for a
        damaged form or one without exactly one file.
        """
        _check_coding(request)
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self.max_bytes:
            raise self._too_large()
        content = bytearray()
        try:
            await self._receive(request, content)
            kind = request.headers.get("content-type", "")
            yield _file_in_form(content, kind) if kind.lower().startswith(_FORM) else content
        finally:
            self.held_bytes -= len(content)

    async def _receive(self, request: Request, content: bytearray) -> None:
        chunks, time = request.stream(), asyncio.get_running_loop().time
        started = time()
        while True:
            allowed = started + self.stall_seconds + len(content) / _MIN_BYTES_PER_SECOND - time()
            try:
                async with asyncio.timeout(min(allowed, self.stall_seconds)):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                detail = f"upload: no data for {self.stall_seconds:g} s, or too slow; send it again"
                raise HTTPException(408, detail, _CLOSE) from error
            except ClientDisconnect as error:
                raise HTTPException(400, "upload: the client disconnected") from error
            if chunk is None:
                return
            if self.held_bytes + len(chunk) > self.total_bytes:
                raise busy()
            content += chunk
            self.held_bytes += len(chunk)
            if len(content) > self.max_bytes:
                raise self._too_large()

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"upload: larger than {self.max_bytes / 1024**2:g} MiB; send a shorter file")


def _check_coding(request: Request) -> None:
    """Raises HTTPException (415) for a body that is neither a file's bytes nor a form."""
    coding = request.headers.get("content-encoding", "identity")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    detail = ""
    if coding.lower() != "identity":
        detail = f"upload: compressed (Content-Encoding: {coding}); send the file's bytes as they are"
    elif kind.startswith("multipart/") and kind != _FORM:
        detail = f"upload: {kind} is no form; send the file as {_AS_CURL}, or its bytes alone"
    if detail:
        raise HTTPException(415, detail, {"Accept-Encoding": "identity"})


class _Form:
    """Collects the files of a form from the parser's calls."""

    def __init__(self) -> None:
        self.files: list[bytearray] = []
        self.is_whole = False
        self._name, self._value, self._is_file = b"", b"", False

    def on_part_begin(self) -> None:
        self._is_file = False

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._is_file = b"filename" in options or options.get(b"name") == b"file"
        self._name, self._value = b"", b""

    def on_headers_finished(self) -> None:
        if self._is_file:
            self.files.append(bytearray())

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self.files[-1] += data[start:end]

    def on_end(self) -> None:
        self.is_whole = True


def _file_in_form(body: bytearray, content_type: str) -> bytearray:
    """Returns the only file of a form (RFC 7578). Raises GenreclfError if there is not exactly one, complete."""
    form = _Form()
    try:
        _, options = parse_options_header(content_type)
        callbacks = {name: getattr(form, name) for name in dir(form) if name.startswith("on_")}
        parser = MultipartParser(options.get(b"boundary", b""), callbacks)  # type: ignore[arg-type]
        parser.write(bytes(body))
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise GenreclfError(f"upload: damaged form ({reason(error)}); send the file as {_AS_CURL}") from error
    if form.files and not form.is_whole:
        raise GenreclfError("upload: the form is cut off before its end; send it again")
    if len(form.files) != 1:
        raise GenreclfError(f"upload: {len(form.files)} files in the form; send one, as {_AS_CURL}")
    return form.files[0]
