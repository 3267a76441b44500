"""Lists files in an object store (s3://bucket/prefix, gs://..., any that fsspec knows) and reads them into memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from genreclf.errors import GenreclfError, missing_package, reason
from genreclf.files import user_path
from genreclf.frontend.memory_file import memory_file

MAX_STORED_BYTES = 2**30  # for one file, which is held in memory, unlike a local file
_MAX_HELD_BYTES = 2**30  # for all files that the threads of a process hold at a time
_PIECE_BYTES = 2**23  # per request, as in S3's own programs
_VERSION_KEYS = ("ETag", "etag", "LastModified", "updated", "mtime", "created")  # names in the various file systems


class StoreError(GenreclfError):
    """Raised if the store or the connection fails. The same call may succeed later."""


@dataclass(frozen=True)
class StorePath:
    """The URL of an object, or the common beginning (prefix) of several URLs."""

    url: str
    listed: dict[str, Any] | None = field(default=None, compare=False, repr=False)  # details from a listing

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "StorePath":
        """Returns the object with this name below the prefix."""
        return StorePath(f"{self.url}/{name}")

    @property
    def suffix(self) -> str:
        """The extension of the object's name, such as ".mp3"."""
        return Path(self.url.rpartition("/")[2]).suffix

    @cached_property
    def stamp(self) -> list[int | str]:
        """The object's size in bytes and its version, which change with its content; [0, ""] for a missing object."""
        try:
            details = self._details
            return [details["size"] or 0, next((str(details[key]) for key in _VERSION_KEYS if details.get(key)), "")]
        except GenreclfError:
            return [0, ""]

    @cached_property
    def _details(self) -> dict[str, Any]:
        if self.listed is not None:
            return self.listed
        with _user_errors(self):
            system, key = _opened(self)
            return dict(system.info(key))


Location = Path | StorePath


def location(word: str) -> Location:
    """Parses a path or a URL of a file or folder, as an argparse type."""
    return StorePath(word.rstrip("/")) if "://" in word else user_path(word)


def absolute(word: str) -> str:
    """Returns a path or URL that is valid in any working folder."""
    named = location(word)
    return str(named if isinstance(named, StorePath) else named.resolve())


def objects_below(prefix: StorePath) -> dict[str, StorePath]:
    """Returns the objects below a prefix, by their names relative to it. If the prefix is an object, its name is "".

    Raises GenreclfError if the store cannot be read, or if there is no object.
    """
    with _user_errors(prefix):
        system, root = _opened(prefix)
        found = system.find(root, detail=True)
    if not found:
        raise GenreclfError(f"{prefix}: nothing there; check the bucket and the prefix")
    if list(found) == [root]:
        return {"": StorePath(prefix.url, found[root])}
    urls = {key: system.unstrip_protocol(key) for key in found}  # two slashes in a row are part of a key
    return {key.removeprefix(f"{root}/"): StorePath(url, found[key]) for key, url in urls.items()}


@contextmanager
def in_memory(path: StorePath) -> Iterator[Path]:
    """Provides a path to read an object's content from, within the `with` statement.

    The threads of a process hold at most _MAX_HELD_BYTES at a time, and wait for each other. Raises GenreclfError for a
    missing, empty or too large object, and StoreError if the store fails.
    """
    size = path._details["size"]
    if not size:
        raise GenreclfError(f"{path}: empty; give a file with music")
    if size > MAX_STORED_BYTES:
        limit = MAX_STORED_BYTES // 2**20
        raise GenreclfError(f"{path}: larger than {limit} MiB, the limit for an object store; copy it to a disk first")
    with _held.bytes(size), memory_file(str(path), _pieces(path)) as file:
        yield file


def _pieces(path: StorePath) -> Iterator[bytes]:
    count = 0
    with _user_errors(path):
        system, key = _opened(path)
        with system.open(key, "rb", cache_type="none", block_size=_PIECE_BYTES) as file:
            while piece := file.read(_PIECE_BYTES):
                count += len(piece)
                yield piece
    if count != path._details["size"]:
        raise StoreError(f"{path}: {count} of {path._details['size']} bytes were read; run the command again")


def _opened(path: StorePath) -> tuple[Any, str]:
    """Returns the file system, which fsspec caches per store, and the object's key in it."""
    import fsspec  # needed only for object stores

    system, key = fsspec.core.url_to_fs(path.url)
    return system, key.rstrip("/")


@contextmanager
def _user_errors(path: StorePath) -> Iterator[None]:
    """Turns the libraries' exceptions, which differ from store to store, into a GenreclfError."""
    try:
        yield
    except GenreclfError:
        raise
    except ImportError as error:
        missing = missing_package(error) or missing_package(error.__cause__)
        raise GenreclfError(f"{path}: {missing or reason(error)}") from error
    except FileNotFoundError as error:
        raise GenreclfError(f"{path}: does not exist; check the bucket and the name") from error
    except PermissionError as error:  # credentials may run out while a long list is read
        raise StoreError(f"{path}: access denied ({reason(error)}); check the credentials") from error
    except ValueError as error:
        raise GenreclfError(f"{path}: {reason(error)}; give a path, or a URL such as s3://bucket/prefix") from error
    except Exception as error:
        remedy = "check the network, the credentials and the endpoint, and run the command again"
        raise StoreError(f"{path}: cannot be read ({type(error).__name__}: {reason(error)}); {remedy}") from error


class _Held:
    """Lets threads hold at most `limit` bytes in total. A larger file may be held only alone."""

    def __init__(self, limit: int) -> None:
        self.limit, self.count, self._changed = limit, 0, threading.Condition()

    @contextmanager
    def bytes(self, count: int) -> Iterator[None]:
        """Waits until `count` more bytes may be held."""
        with self._changed:
            self._changed.wait_for(lambda: not self.count or self.count + count <= self.limit)
            self.count += count
        try:
            yield
        finally:
            with self._changed:
                self.count -= count
                self._changed.notify_all()


_held = _Held(_MAX_HELD_BYTES)
