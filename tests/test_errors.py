"""How commands end: after mistakes, on file system errors, and when nobody reads their output."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from genreclf.errors import USER_ERROR, GenreclfError, command, reason


@pytest.mark.parametrize("kind", ["ENOSPC", "EACCES", "EROFS", "ENOENT", "ENOTDIR", "EEXIST", "ENAMETOOLONG", "EIO"])
def test_a_file_system_error_is_one_line(kind, capsys):
    @command
    def main() -> int:
        raise OSError(getattr(errno, kind), "reason", "some\nfile")

    assert main() == USER_ERROR
    error = capsys.readouterr().err
    assert error.startswith("genreclf: some\\nfile: reason; ") and error.count("\n") == 1


def test_other_system_errors_keep_their_traceback():
    @command
    def main() -> int:
        raise ConnectionError(errno.ECONNREFUSED, "refused")

    with pytest.raises(ConnectionError):
        main()


def test_the_reason_of_a_system_error_has_no_number_or_path(tmp_path):
    with pytest.raises(OSError) as read:
        (tmp_path / "missing").read_bytes()
    assert reason(read.value) == os.strerror(errno.ENOENT)


def test_a_message_is_one_line(capsys):
    assert command(lambda: (_ for _ in ()).throw(GenreclfError("a\nb: wrong")))() == USER_ERROR
    assert capsys.readouterr().err == "genreclf: a\\nb: wrong\n"


SCRIPT = """
import sys; from pathlib import Path; from genreclf.errors import command
@command  # as `genreclf` runs a command that may also be run by itself
@command
def main():
    print("line\\n" * 100_000)
    print("x", file=sys.stderr)
    Path(sys.argv[1]).write_text("computed")
    return int(sys.argv[2])
sys.exit(main())
"""


@pytest.mark.parametrize(("own", "expected"), [(0, 141), (1, 1)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_work_continues_if_nobody_reads_the_output(tmp_path, own, expected, unbuffered):
    process = subprocess.Popen(
        [sys.executable, *(["-u"] * bool(unbuffered)), "-c", SCRIPT, tmp_path / "result", str(own)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"x\n" and process.wait() == expected
    process.stderr.close()
    assert (tmp_path / "result").read_text() == "computed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("own", ["0", "1"])
def test_a_full_disk_behind_standard_output_is_one_line(tmp_path, own):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "r", own], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == USER_ERROR and b"Traceback" not in done.stderr
    assert done.stderr.count(b"standard output: ") == 1
    assert (tmp_path / "r").exists()
