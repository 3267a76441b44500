"""How a process ends on Ctrl-C or SIGTERM, whatever it is doing."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# The code that the process runs when the signal comes; each prints "ready" first.
WAITING = "print('ready', flush=True); time.sleep(60)"
# One call of half a minute, for which Python's signal handlers have to wait
IN_ONE_CALL = "import hashlib; print('ready', flush=True); hashlib.pbkdf2_hmac('sha256', b'', b'', 50_000_000)"
# A library that turns it into another error, and one that lets no exception out
CHANGED = f"try:\n        {WAITING}\n    except BaseException:\n        raise ValueError"
UNRAISABLE = f"""
    class Bad:
        def __del__(self):
            {WAITING}
    bad = Bad()
    del bad
    time.sleep(60)"""
NESTED = f"with stoppable(lambda: 'go on with x'):\n        {WAITING}"


def started(work: str, before: str = "") -> subprocess.Popen:
    code = (
        "import sys, time\nfrom genreclf.errors import command\nfrom genreclf.stopping import stoppable\n"
        f"{before}\n@command\n@stoppable(lambda: 'go on with x')\ndef main():\n    {work}\n    return 0\n"
        "sys.exit(main())"
    )
    # If a shell runs the suite in the background or with nohup, processes inherit that Ctrl-C or SIGHUP is ignored.
    default = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    default += "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", default + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("work", [WAITING, IN_ONE_CALL, CHANGED, UNRAISABLE, NESTED])
def test_it_ends_within_two_seconds_with_one_line_and_a_failure(work, number):
    process = started(work)
    process.send_signal(number)
    before = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert errors == "go on with x\n"
    assert process.returncode == 128 + number
    assert time.monotonic() - before < 2 + 2  # 2 s more for a busy machine


def test_a_second_signal_after_the_command_changes_nothing():
    """It comes while Python ends, or from another thread."""
    twice = "import atexit, os, signal\natexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))"
    process = started(NESTED, twice)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert (errors, process.returncode) == ("go on with x\n", 128 + signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])  # a shell's background job; nohup
def test_what_its_parent_ignores_stays_ignored(number):
    work = "print('ready', flush=True); time.sleep(0.5); print('done')"
    process = started(work, f"import signal; signal.signal({int(number)}, signal.SIG_IGN)")
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (output, errors, process.returncode) == ("done\n", "", 0)


def test_afterwards_the_handlers_are_those_of_before():
    from genreclf.stopping import stoppable

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    open_files = _open_files()
    with stoppable(), stoppable():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert signal.set_wakeup_fd(-1) == -1
    for _ in range(100):
        if _open_files() == open_files:
            break
        time.sleep(0.01)
    else:
        raise AssertionError("a pipe stays open")


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
