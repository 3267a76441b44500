"""Ends a command on Ctrl-C, SIGTERM, or when its terminal is closed (SIGHUP)."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

GRACE_SECONDS = 1.2  # time for loggers and progress bars to end before the process is ended, whatever it is doing
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """Raised when a signal asks the process to end. `code` is the exit code, as shells report it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.code = 128 + number


@contextmanager
def stoppable(note: Callable[[], str] = lambda: "stopped") -> Iterator[None]:
    """Makes these signals print the line `note()` on standard error and raise `Stopped` in the main thread.

    Python raises it only when the running call returns, but fitting or exporting a net is one call that takes minutes.
    Therefore a thread, which the system wakes, ends the process if it is still running after `GRACE_SECONDS`. Data that
    must survive has to survive a kill anyway. A signal that the parent process ignores stays ignored. May be nested.
    Does nothing outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    ends = False  # also after a signal that a nested call has received

    def stop(number: int, _: FrameType | None) -> None:
        if not received:
            received.append(number)
            raise Stopped(number)

    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    printed = threading.Event()
    threading.Thread(target=_end_when_asked, args=(wake, note, printed), daemon=True).start()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before_descriptor = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    before_hook, sys.unraisablehook = sys.unraisablehook, _quiet_unraisable
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    except BaseException as error:
        ends = isinstance(error, Stopped)
        if received:
            printed.wait(GRACE_SECONDS)
            if not isinstance(error, Stopped):  # a library has turned it into another error
                raise Stopped(received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if received or ends else handler)
        signal.set_wakeup_fd(before_descriptor)
        if not received:
            sys.unraisablehook = before_hook
            os.close(woken)


def _end_when_asked(wake: int, note: Callable[[], str], printed: threading.Event) -> None:
    """Waits for one of the signals or for the end of the pipe. Sets `printed` once the line is printed."""
    while number := os.read(wake, 1):
        if number[0] in _SIGNALS:
            line = "\n" * os.isatty(2) + note() + "\n"  # a terminal has just shown ^C
            with suppress(OSError):
                os.write(2, line.encode(errors="backslashreplace"))
            printed.set()
            time.sleep(GRACE_SECONDS)
            os._exit(128 + number[0])
    os.close(wake)


def _quiet_unraisable(unraisable: Any) -> None:
    """Hides `Stopped` from a callback that cannot pass exceptions on. The process ends all the same."""
    if not isinstance(unraisable.exc_value, Stopped):
        sys.__unraisablehook__(unraisable)
