"""Reads the tags of an audio file, and writes its genre without changing the audio or anything else."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from genreclf.errors import GenreclfError, missing_package, reason, remedy
from genreclf.files import replacement
from genreclf.frontend.decoder import UndecodableError
from genreclf.frontend.limits import MAX_BYTES, check_input_file
from genreclf.tags.byte_patch import BytePatch, belongs_to, write_patched

Note = Callable[[Path, Path], None]  # called with a file and its changed copy


class FileTags(NamedTuple):
    """The contents of a file's tags; empty where a tag is missing."""

    genres: tuple[str, ...] = ()  # names; ID3's numbers are replaced
    artist: str = ""  # several are joined by "; "
    album: str = ""
    title: str = ""


class GenreTag(NamedTuple):
    """The genre as a file stores it, so that it can be restored."""

    values: tuple[str, ...]  # "(17)" stays "(17)"; empty if there is no genre
    id3v1: int | None = None  # genre number in the ID3v1 tag, 255 for no genre; None without such a tag


def check_installed() -> None:
    """Raises GenreclfError if the package that reads tags is not installed."""
    _formats()


def read_tags(path: Path) -> FileTags:
    """Reads the tags of an audio file. Raises GenreclfError if they cannot be read."""
    formats = _formats()
    with _errors(path):
        try:
            opened = formats.open_file(path)
        except (formats.UntaggableError, formats.MutagenError):
            with suppress(UndecodableError):  # Matroska, RF64 and other formats that only ffmpeg reads
                return _tags_by_ffmpeg(path)
            raise
        found = FileTags() if opened.tags is None else FileTags(*formats.read_fields(opened.tags))
        if all(found):
            return found
        # WAV files may also have RIFF tags, which mutagen does not read, and MP3 files tags at their end.
        others = _tags_by_ffmpeg(path) if formats.is_wave(opened) else FileTags(*formats.end_fields(path))
        return others._replace(**{name: value for name, value in found._asdict().items() if value})


def _tags_by_ffmpeg(path: Path) -> FileTags:
    from genreclf.tags.container import container_fields  # most files need no decoder

    return FileTags(*container_fields(path))


def read_genre_tag(path: Path) -> GenreTag:
    """Reads the genre as the file stores it. Raises GenreclfError if it cannot be read or the file cannot hold tags."""
    formats = _formats()
    with _errors(path):
        tags = formats.editable_tags(path)
        return GenreTag(tags.genre, tags.id3v1[-1] if tags.id3v1 else None)


def check_writable(path: Path) -> None:
    """Raises GenreclfError if the file's genre cannot be written, as far as can be known before trying."""
    formats = _formats()
    with _errors(path):
        formats.editable_tags(_replaceable(path)[0])


def write_genres(path: Path, genres: Sequence[str], before_renaming: Note = lambda *_: None) -> None:
    """Replaces the file's genres by `genres`; an empty list removes them.

    A copy beside the file is changed, checked, flushed to disk and renamed into place, so the file is complete at any
    moment. Its audio, other tags, times, permissions and owner do not change. If `path` is a link, its target is
    written. `before_renaming` is called with the file and the copy.

    Raises GenreclfError, and leaves the file unchanged, if the genres cannot be written.
    """
    write_genre_tag(path, GenreTag(tuple(genres), _formats().id3v1_number(*genres[:1])), before_renaming)


def write_genre_tag(path: Path, genre: GenreTag, before_renaming: Note = lambda *_: None) -> None:
    """Like `write_genres`, for a genre from `read_genre_tag`."""
    from genreclf.tags.container import packets_sha256  # reading tags needs no decoder

    formats = _formats()
    with _errors(path):
        target, status = _replaceable(path)
        audio, edited = packets_sha256(target), formats.editable_tags(target)
        edited.genre = genre.values
        with replacement(target) as copy:
            shutil.copyfile(target, copy)
            edited.save(copy)
            if edited.id3v1 and genre.id3v1 is not None:
                formats.write_id3v1_genre(copy, edited.id3v1, genre.id3v1)
            if not formats.has_same_tags(formats.editable_tags(copy, edited.kind), edited):
                fault = "its tags would not be read back as they are, perhaps because it is damaged"
                raise GenreclfError(f"{path}: not written: {fault}; copy the file again, or report it with the file")
            if packets_sha256(copy) != audio:
                raise GenreclfError(f"{path}: not written: its audio would change; please report it with the file")
            before_renaming(target, copy)
            _copy_status(target, copy, status)


def restore_bytes(path: Path, patch: BytePatch) -> bool:
    """Restores a file byte for byte to its state before `write_genres`.

    Returns False, and does nothing, if the file has changed since. Replaces the file as `write_genres` does, and raises
    GenreclfError if that is not possible.
    """
    with _errors(path):
        target, status = _replaceable(path)
        if not belongs_to(patch, target):
            return False
        with replacement(target) as copy:
            write_patched(patch, target, copy)
            _copy_status(target, copy, status)
    return True


def _formats() -> ModuleType:
    """Imports the module that needs mutagen, an optional package."""
    try:
        from genreclf.tags import formats
    except ModuleNotFoundError as error:
        raise GenreclfError(missing_package(error) or reason(error)) from error
    return formats


def _replaceable(path: Path) -> tuple[Path, os.stat_result]:
    """Returns the file itself, with links resolved, and its status. Raises GenreclfError if it must not be replaced."""
    target = Path(os.path.realpath(path))
    status = target.stat()
    if status.st_nlink > 1:
        fault = f"the file has {status.st_nlink} names (hard links), and only this one would change"
        raise GenreclfError(f"{path}: {fault}; copy it first")
    if not status.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise GenreclfError(f"{path}: the file is read-only; change its permissions")
    if not os.access(target.parent, os.W_OK):
        raise GenreclfError(f"{path}: its folder is read-only; change its permissions")
    return target, status


def _copy_status(source: Path, copy: Path, status: os.stat_result) -> None:
    """Copies owner, permissions, extended attributes and times. `status` is that of before reading.

    Raises GenreclfError if another program has changed the file since.
    """
    now = source.stat()
    if (now.st_size, now.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise GenreclfError(f"{source}: not written: another program has just changed it; run the command again")
    if (copy.stat().st_uid, copy.stat().st_gid) != (status.st_uid, status.st_gid):
        with suppress(PermissionError):
            os.chown(copy, status.st_uid, status.st_gid)
    shutil.copystat(source, copy)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Checks that `path` is a file that can be read, and turns any exception into a GenreclfError that names it."""
    check_input_file(path, "music", MAX_BYTES)
    try:
        yield
    except GenreclfError:
        raise
    except Exception as error:
        raise GenreclfError(f"{path}: {_fault(error)}") from error


def _fault(error: Exception) -> str:
    """Returns what is wrong, and the remedy."""
    cause = error.args[0] if error.args and isinstance(error.args[0], OSError) else error  # mutagen wraps them
    if isinstance(cause, OSError) and cause.errno:
        return f"{cause.strerror}; {remedy(cause)}"
    formats = _formats()
    if isinstance(error, formats.UntaggableError):
        return f"{error}; choose another file"
    if isinstance(error, UndecodableError):
        return f"its audio cannot be read ({error}); copy the file again if it is damaged"
    if isinstance(error, formats.MutagenError):
        return f"its tags cannot be read ({reason(error)}); copy the file again if it is damaged"
    return f"its tags failed ({type(error).__name__}: {reason(error)}); please report it with the file"
