"""HTTP connections that close if no request arrives. uvicorn itself waits forever."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def protocol_with_timeout(seconds: float) -> type[H11Protocol]:
    """Returns a uvicorn HTTP protocol that closes a connection without a complete request head after `seconds`.

    The time counts from the start of the connection and again from each response.
    """

    class ProtocolWithTimeout(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def eof_received(self) -> bool:  # type: ignore[override]
            # A client that closes only its sending side, after its whole request, still gets the response.
            return self.cycle is not None and not (self.cycle.more_body or self.cycle.response_complete)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._timer.cancel()
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._timer.cancel()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._timer = self.loop.call_later(seconds, self._close_if_idle)

        def _close_if_idle(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return ProtocolWithTimeout
