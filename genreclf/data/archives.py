"""Archives of data sets: downloaded so that an interrupted download resumes, checked, and unpacked safely."""

import hashlib
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get

from genreclf.errors import GenreclfError, reason
from genreclf.progress import progress_bar

_BLOCK_BYTES = 2**24
_HEADERS = {"user-agent": "genreclf"}  # some servers refuse those of download tools
# RuntimeError: zip members with a password, or compressed in an unknown way
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError)


class Limits(NamedTuple):
    """What an archive may hold; more is refused."""

    files: int
    bytes: int  # unpacked


@dataclass(frozen=True)
class Archive:
    """An archive on a server."""

    url: str
    algorithm: str  # of its checksum, as hashlib names it
    digest: str  # in hexadecimal
    size: int  # bytes, rounded up: what its download needs
    limits: Limits

    @property
    def name(self) -> str:
        """Its file name."""
        return self.url.rpartition("/")[2]


def obtain(archive: Archive, folder: Path, where: str, other_way: str) -> None:
    """The content of the archive's top folder -> `folder`, which must not exist yet; resumes where it was interrupted.

    Raises GenreclfError, which begins with `where` and ends with `other_way`, if the archive cannot be downloaded,
    differs from the known one, is damaged, if `folder` is not empty, or if the disk has too little space.
    """
    parent = folder.parent
    parent.mkdir(parents=True, exist_ok=True)
    check_vacant(folder, where)
    file = parent / archive.name
    if not file.is_file():
        _check_space(archive, parent, where)
        _download(archive, file, where, other_way)
    check_digest(file, archive.algorithm, archive.digest, other_way)
    unpack(file, folder, archive.limits, other_way)
    file.unlink()


def check_vacant(folder: Path, where: str) -> None:
    """Raises GenreclfError, which begins with `where`, if there is something in a folder to unpack to."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise GenreclfError(f"{where}: {folder} is there, but not in the usual layout; complete it, or move it away")


def _check_space(archive: Archive, folder: Path, where: str) -> None:
    """The archive and its content lie beside each other for a while."""
    needed, free = 2 * archive.size, shutil.disk_usage(folder).free
    if free < needed:
        room = f"{needed / 2**30:.1f} GiB of space for {archive.name}, {free / 2**30:.1f} GiB are free"
        raise GenreclfError(f"{where}: {folder} needs {room}; free some, or choose another data.path")


def _download(archive: Archive, file: Path, where: str, other_way: str) -> None:
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("ab") as out:
            _resume(archive.url, out)
        partial.replace(file)
    except Exception as error:  # each cause (offline, refused, interrupted, disk full) raises another class
        raise GenreclfError(
            f"{where}: {archive.url} cannot be downloaded ({reason(error)}); run the same command again to resume, or "
            f"{other_way}"
        ) from error


def _resume(url: str, out: BinaryIO) -> None:
    try:
        http_get(url, out, resume_size=out.tell(), headers=_HEADERS)
    except HfHubHTTPError as error:
        if error.response.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # nothing was missing
            raise


def check_digest(file: Path, algorithm: str, known: str, other_way: str) -> None:
    """Deletes an archive with another checksum than the `known` one, and raises GenreclfError."""
    digest = _digest(file, algorithm)
    if digest != known:
        file.unlink()
        differs = f"{algorithm} {digest[:12]} differs from the known archive's {known[:12]}; it was deleted"
        raise GenreclfError(f"{file}: {differs}; run the same command again, or {other_way}")


def _digest(file: Path, algorithm: str) -> str:
    size, found = file.stat().st_size, hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as content, progress_bar(f"checking {file.name}", "MiB") as report:
        while block := content.read(_BLOCK_BYTES):
            found.update(block)
            report(content.tell() // 2**20, size // 2**20)
    return found.hexdigest()


def unpack(archive: Path, folder: Path, limits: Limits, other_way: str) -> None:
    """The content of the top folder of a tar or zip archive -> `folder`, which appears only when it is complete.

    Raises GenreclfError, which ends with `other_way`, and leaves nothing behind, for members that are not files or
    folders or lie outside, for more than the limits, and for an archive that cannot be read.
    """
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with progress_bar("unpacking", "files") as report:
            if zipfile.is_zipfile(archive):
                _unpack_zip(archive, partial, limits, report)
            elif tarfile.is_tarfile(archive):
                with tarfile.open(archive) as tar:
                    tar.extractall(partial, filter=_member_filter(limits, report))
            else:
                raise ValueError("it is no tar or zip archive, or is damaged")
        if not partial.is_dir():
            raise ValueError("it has no files in a top folder")
        partial.replace(folder)
    except _DAMAGED as error:
        raise GenreclfError(f"{archive}: cannot be unpacked ({reason(error)}); {other_way}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _inside(name: str) -> PurePosixPath | None:
    """A member's path without the top folder; None for the top folder itself, and for files that macOS adds."""
    path = PurePosixPath(*PurePosixPath(name).parts[1:])
    return None if not path.name or path.name.startswith("._") else path


def _counter(limits: Limits, report: Callable[[int, int], None]) -> Callable[[int], None]:
    """Counts members by their size, and refuses more than the limits."""
    count = size = 0

    def add(member: int) -> None:
        nonlocal count, size
        count, size = count + 1, size + member
        report(count, count)
        if count > limits.files or size > limits.bytes:
            raise ValueError(f"larger than {limits.files:,} files or {limits.bytes / 1024**3:g} GiB")

    return add


def _member_filter(
    limits: Limits, report: Callable[[int, int], None]
) -> Callable[[tarfile.TarInfo, str], tarfile.TarInfo | None]:
    """tarfile's `data` filter, with limits on number and size, without links and without the top folder."""
    add = _counter(limits, report)

    def check(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
        add(member.size)
        if not (member.isfile() or member.isdir()):
            raise ValueError(f"{member.name!r} is not a file or folder")
        path = _inside(member.name)
        return None if path is None else tarfile.data_filter(member.replace(name=str(path), deep=False), folder)

    return check


def _unpack_zip(archive: Path, folder: Path, limits: Limits, report: Callable[[int, int], None]) -> None:
    add = _counter(limits, report)
    with zipfile.ZipFile(archive) as content:
        for member in content.infolist():
            add(member.file_size)
            path, kind = _inside(member.filename), stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or ".." in PurePosixPath(member.filename).parts:
                raise ValueError(f"{member.filename!r} is not a file or folder inside it")
            if path is None or member.is_dir():
                continue
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # Reads no more than `file_size`, which was counted.
            with content.open(member) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out)
