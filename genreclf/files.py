"""Reads paths that a user gives, and writes files so that none is ever seen incomplete, not even after a kill."""

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from genreclf.errors import GenreclfError

_PREFIX, _SUFFIX = ".genreclf-", ".new"  # in the names of unfinished files
_tidied: set[Path] = set()  # folders from which this process has removed unfinished files


def user_path(path: str | os.PathLike[str]) -> Path:
    """Returns the path that a user means: ~ is the home folder, also where no shell has replaced it (key=~/x).

    As in a shell, a name such as ~$song.mp3, where ~ is not followed by a user's name, is not changed. Raises
    GenreclfError if there is no home folder, and for an empty path, which Path would take for the current folder.
    """
    if not os.fspath(path):
        raise GenreclfError("the path of a file or folder is empty; give one, or . for the current folder")
    expanded = os.path.expanduser(path)  # noqa: PTH111  # Path.expanduser takes ./~x for ~x, and refuses unknown users
    if expanded.split("/")[0] == "~":
        raise GenreclfError(f"{os.fspath(path)}: no home folder is known; set HOME, or give the whole path")
    return Path(expanded)


def check_ends(file: Path) -> Path:
    """Returns the file unless it is a device, such as /dev/zero, whose content may never end. A pipe is allowed.

    Raises OSError for such a device and for a missing file.
    """
    mode = file.stat().st_mode
    if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and not file.samefile(os.devnull):
        raise OSError(errno.EINVAL, "a device, not a file", os.fspath(file))
    return file


def stamp(path: Path) -> tuple[int, int] | None:
    """Returns a file's size in bytes and its modification time in nanoseconds; None if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def walk(
    folder: Path, onerror: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields what os.walk does, and follows links to folders, but not in a loop."""
    for place, folders, files in os.walk(folder, onerror=onerror, followlinks=True):
        folders[:] = [name for name in folders if not _is_cycle(Path(place, name), folder)]
        yield place, folders, files


def _is_cycle(path: Path, top: Path) -> bool:
    """Returns whether `path`, below `top`, is a link to a folder that contains it, by this path or by its real path."""
    if not path.is_symlink():
        return False
    target = path.resolve()
    return any(parent.resolve().is_relative_to(target) for parent in path.parents if parent.is_relative_to(top))


def newest_first(folder: Path, name: str) -> list[Path]:
    """Returns the files of this name below a folder, the newest first, without links to nothing."""
    times: dict[Path, float] = {}
    for place, _, files in walk(folder):
        if name in files:
            with suppress(OSError):  # another process may remove it now
                times[Path(place, name)] = Path(place, name).stat().st_mtime
    return sorted(times, key=times.__getitem__, reverse=True)


@contextmanager
def exclusive(file: Path, taken: str) -> Iterator[None]:
    """Holds the lock of a file, which is created if it is missing. The system releases it when the process dies.

    Raises GenreclfError, with the message `taken`, if another process holds it. File systems without locks allow
    several processes.
    """
    with file.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GenreclfError(taken) from error
        except OSError:
            pass
        yield


def write_atomically(path: Path, content: str | bytes | memoryview) -> None:
    """Writes `content` (text as UTF-8) beside `path`, flushes it to disk, and renames it into place.

    Surrogate escapes in text, from file names, become their bytes. The folder must exist. Unfinished files that killed
    processes left in it are removed. If `path` is a link, its target is replaced. A device or pipe is written to
    directly. Raises OSError if the file cannot be written; an existing file is then left unchanged.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    if is_stream(path):
        path.write_bytes(data)
        return
    with replacement(path) as temporary:
        temporary.write_bytes(data)


def is_stream(path: Path) -> bool:
    """Returns whether this is a device or a pipe, which renaming a file to it would replace."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def write_once(path: Path, content: str) -> None:
    """Writes a text file atomically, unless it exists. Of several processes, only one writes it.

    The folder must exist. Raises OSError if the file cannot be written.
    """
    if path.exists():
        return
    with _new_file(path) as (temporary, file):
        file.write(content.encode(errors="surrogateescape"))
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # a rename would replace what another process has written
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            temporary.replace(path)


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Yields a new, empty file beside `path` to write to, then flushes it to disk and renames it to `path`.

    If `path` is a link, its target is replaced. If the `with` block fails, `path` is left unchanged. The new file gets
    the permissions of the old one. Unfinished files that killed processes left in the folder are removed. An OSError
    names `path`.
    """
    target = Path(os.path.realpath(path))
    _remove_unfinished(target.parent)
    with _new_file(path) as (temporary, file):
        with suppress(FileNotFoundError):
            shutil.copymode(target, temporary)
        yield temporary
        os.fsync(file.fileno())
        temporary.replace(target)


@contextmanager
def _new_file(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yields a new file beside `path` or its target, and removes it at the end unless it has been renamed.

    An OSError names `path`, which the user knows.
    """
    folder = Path(os.path.realpath(path)).parent
    try:
        temporary, file = _open_locked(folder)
        try:
            with file:
                yield temporary, file
                _flush_folder(folder)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


def _flush_folder(folder: Path) -> None:
    """Flushes a folder to disk, so that a new name in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_locked(folder: Path) -> tuple[Path, IO[bytes]]:
    """Creates a file that is locked while it is open. The system releases the lock when the process dies."""
    while True:
        path = folder / f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}"
        file = path.open("xb")
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()  # another process removed it before it was locked


def _remove_unfinished(folder: Path) -> None:
    """Removes unfinished files, once per process and folder: the search takes longer the more files the folder has."""
    if folder in _tidied:
        return
    _tidied.add(folder)
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its process lives
            path.unlink()
