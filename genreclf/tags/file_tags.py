"""The tags of an audio file: read, and the genre written so that the audio and all else stay as they are."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from genreclf.errors import GenreclfError, missing_package, reason, remedy
from genreclf.files import replacement
from genreclf.tags.byte_patch import BytePatch, belongs_to, write_patched


class FileTags(NamedTuple):
    """What a file's tags say; empty where they say nothing."""

    genres: tuple[str, ...]  # names; numbers of ID3 are replaced
    artist: str  # several are joined by "; "
    album: str
    title: str


_NO_TAGS = FileTags((), "", "", "")


class GenreTag(NamedTuple):
    """The genre as a file stores it: what has to be written to restore it."""

    values: tuple[str, ...]  # "(17)" stays "(17)"; empty for no genre
    id3v1: int | None = None  # the genre's number in an ID3v1 tag, 255 for none; None without such a tag


def check_installed() -> None:
    """Raises GenreclfError where the package that reads tags is not installed."""
    _formats()


def read_tags(path: Path) -> FileTags:
    """The tags of an audio file. Raises GenreclfError for a file whose tags cannot be read."""
    formats = _formats()
    with _errors(path):
        try:
            opened = formats.open_file(path)
        except formats.UntaggableError:  # Matroska and other formats that only ffmpeg knows
            return _tags_by_ffmpeg(path)
        found = _NO_TAGS if opened.tags is None else FileTags(*formats.read_fields(opened.tags))
        if found.genres:
            return found
        # Beside ID3 or in place of it, WAV files may have the tags of RIFF, which mutagen does not read, and MP3 APEv2.
        others = _tags_by_ffmpeg(path) if formats.is_wave(opened) else FileTags(*formats.ape_fields(path))
        fields = (field or other for field, other in zip(found[1:], others[1:], strict=True))
        return FileTags(others.genres, *map(str, fields))


def _tags_by_ffmpeg(path: Path) -> FileTags:
    from genreclf.tags.container import container_tags

    tags = container_tags(path)
    if tags is None:
        raise GenreclfError(f"{path}: tags of this kind of file cannot be read")
    genre = tags.get("genre", "")
    return FileTags((genre,) if genre.strip() else (), *(tags.get(name, "") for name in ("artist", "album", "title")))


def read_genre_tag(path: Path) -> GenreTag:
    """The genre as `path` stores it. Raises GenreclfError for a file that cannot be read or cannot hold tags."""
    formats = _formats()
    with _errors(path):
        tags = formats.editable_tags(path)
        return GenreTag(tags.genre, tags.id3v1[-1] if tags.id3v1 else None)


def check_writable(path: Path) -> None:
    """Raises GenreclfError for a file whose genre cannot be written, as far as that is known beforehand."""
    formats = _formats()
    with _errors(path):
        formats.editable_tags(_replaceable(path)[0])


def _nothing(file: Path, copy: Path) -> None:
    pass


def write_genres(path: Path, genres: Sequence[str], before_renaming: Callable[[Path, Path], None] = _nothing) -> None:
    """Writes the genres, as a list, in place of those that the file has; none removes them.

    A copy beside the file is changed, checked, flushed to disk and renamed into place: at any moment the file is
    whole. Its audio, other tags, times, permissions and owner stay. Behind a link, the file itself is written.
    `before_renaming` is called with the file and the copy.
    Raises GenreclfError, and leaves the file as it is, where that cannot be done.
    """
    write_genre_tag(path, GenreTag(tuple(genres), _formats().id3v1_number(*genres[:1])), before_renaming)


def write_genre_tag(path: Path, genre: GenreTag, before_renaming: Callable[[Path, Path], None] = _nothing) -> None:
    """`write_genres` for what `read_genre_tag` returned."""
    formats = _formats()
    with _errors(path):
        target, status = _replaceable(path)
        audio, edited = _audio(target), formats.editable_tags(target)
        edited.genre = genre.values
        with replacement(target) as copy:
            shutil.copyfile(target, copy)
            edited.save(copy)
            if edited.id3v1 and genre.id3v1 is not None:
                formats.write_id3v1_genre(copy, edited.id3v1, genre.id3v1)
            if not formats.same_tags(edited.tags, formats.editable_tags(copy, edited.kind).tags):
                fault = "its tags would not be read back as they are, perhaps because it is damaged"
                raise GenreclfError(f"{path}: not written: {fault}; copy the file again, or report it with the file")
            if _audio(copy) != audio:
                raise GenreclfError(f"{path}: not written: its audio would change; please report it with the file")
            before_renaming(target, copy)
            _copy_status(target, copy, status)


def restore_bytes(path: Path, patch: BytePatch) -> bool:
    """Makes a file byte for byte what it was before `write_genres`; False, and nothing is done, if it changed since.

    It is replaced as by `write_genres`. Raises GenreclfError where that cannot be done.
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
    """The module that needs mutagen, which is optional."""
    try:
        from genreclf.tags import formats
    except ModuleNotFoundError as error:
        raise GenreclfError(missing_package(error) or reason(error)) from error
    return formats


def _audio(path: Path) -> str:
    from genreclf.tags.container import packets_sha256  # reading tags needs no decoder

    return packets_sha256(path)


def _replaceable(path: Path) -> tuple[Path, os.stat_result]:
    """The file itself, to which `path` may be a link, and its status.

    Raises GenreclfError for one that is not to be replaced.
    """
    target = Path(os.path.realpath(path))
    status = target.stat()
    if not stat.S_ISREG(status.st_mode):
        raise GenreclfError(f"{path}: not a file; give an audio file")
    if status.st_nlink > 1:
        fault = f"the file has {status.st_nlink} names (hard links), and only this one would change"
        raise GenreclfError(f"{path}: {fault}; copy it first")
    if not status.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise GenreclfError(f"{path}: the file is read-only; change its permissions")
    if not os.access(target.parent, os.W_OK):
        raise GenreclfError(f"{path}: its folder is read-only; change its permissions")
    return target, status


def _copy_status(source: Path, copy: Path, status: os.stat_result) -> None:
    """Owner, permissions, extended attributes and times; reading has changed the source's own time of access."""
    if (copy.stat().st_uid, copy.stat().st_gid) != (status.st_uid, status.st_gid):
        with suppress(PermissionError):
            os.chown(copy, status.st_uid, status.st_gid)
    shutil.copystat(source, copy)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file becomes a GenreclfError that names it."""
    try:
        yield
    except GenreclfError:
        raise
    except Exception as error:
        raise _genreclf_error(path, error) from error


def _genreclf_error(path: Path, error: Exception) -> GenreclfError:
    cause = error.args[0] if error.args and isinstance(error.args[0], OSError) else error  # mutagen wraps them
    if isinstance(cause, FileNotFoundError):
        return GenreclfError(f"{path}: no such file; check the path (a relative one starts at the current folder)")
    if isinstance(cause, OSError) and cause.errno:
        return GenreclfError(f"{path}: {cause.strerror}; {remedy(cause)}")
    formats = _formats()
    if isinstance(error, formats.UntaggableError):
        return GenreclfError(f"{path}: {error}; choose another file")
    if isinstance(error, formats.MutagenError):
        return GenreclfError(f"{path}: its tags cannot be read ({reason(error)}); copy the file again if it is damaged")
    failed = f"{path}: its tags failed ({type(error).__name__}: {reason(error)})"
    return GenreclfError(f"{failed}; please report it with the file")
