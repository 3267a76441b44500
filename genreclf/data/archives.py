"""Downloads archives of data sets, resuming interrupted downloads, checks them, and unpacks them safely."""

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

from genreclf.data.notices import print_once
from genreclf.errors import GenreclfError, reason
from genreclf.progress import progress_bar

_BLOCK_BYTES = 2**24
_HEADERS = {"user-agent": "genreclf"}  # some servers refuse download tools
# RuntimeError: zip members with a password, or with an unknown compression method
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, OSError)


class Limits(NamedTuple):
    """Limits on the contents of an archive. Larger ones are refused."""

    files: int
    bytes: int  # unpacked


@dataclass(frozen=True)
class Archive:
    """An archive on a server."""

    url: str
    algorithm: str  # of its checksum, by hashlib's name
    digest: str  # hexadecimal
    size: int  # bytes to download, rounded up
    limits: Limits

    @property
    def name(self) -> str:
        """The archive's file name."""
        return self.url.rpartition("/")[2]


def _resume(url: str, out: BinaryIO) -> None:
    """Appends the rest of the archive at a URL to a file."""
    try:
        http_get(url, out, resume_size=out.tell(), headers=_HEADERS)
    except HfHubHTTPError as error:
        if error.response.status_code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # nothing was missing
            raise


def obtain(
    archive: Archive,
    folder: Path,
    where: str,
    other_way: str,
    resume: Callable[[str, BinaryIO], None] = _resume,
) -> None:
    """Downloads an archive, or resumes its download, and unpacks its top folder to `folder`.

    If the user has put the archive beside `folder`, it is not downloaded. Files beside `folder` stay as they are,
    whatever their names. `resume` appends the rest of the archive at a URL to a file.

    Raises GenreclfError, whose message begins with `where` and ends with `other_way`, if the archive cannot be
    downloaded, has another checksum, or is damaged, if `folder` is not empty, or if the disk has too little space.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _check_vacant(folder, where)
    own = folder.with_name(archive.name)
    if own.is_file() and _digest(own, archive.algorithm) == archive.digest:
        unpack(own, folder, archive.limits, other_way)
        return
    partial = own.with_name(own.name + ".partial")
    _check_space(archive, folder.parent, where)
    size = f"{archive.size / 2**30:.1f} GiB"
    print_once(f"{where}: not in {folder.parent}, so {archive.name} ({size}) is downloaded and unpacked to {folder}")
    _download(archive, partial, where, other_way, resume)
    _check_digest(archive, partial, where, other_way)
    unpack(partial, folder, archive.limits, other_way)
    partial.unlink()


def _check_vacant(folder: Path, where: str) -> None:
    """Raises GenreclfError, whose message begins with `where`, unless `folder` is empty or does not exist."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise GenreclfError(f"{where}: {folder} exists, but not in the usual layout; complete it, or move it elsewhere")


def _check_space(archive: Archive, folder: Path, where: str) -> None:
    """Checks that the disk has space for the archive and its contents, which exist side by side for a while."""
    needed, free = 2 * archive.size, shutil.disk_usage(folder).free
    if free < needed:
        room = f"{needed / 2**30:.1f} GiB of space for {archive.name}, {free / 2**30:.1f} GiB are free"
        raise GenreclfError(f"{where}: {folder} needs {room}; free some, or choose another data.path")


def _download(
    archive: Archive, partial: Path, where: str, other_way: str, resume: Callable[[str, BinaryIO], None]
) -> None:
    try:
        with partial.open("ab") as out:
            resume(archive.url, out)
    except Exception as error:  # each cause (offline, refused, interrupted, disk full) raises a different class
        if partial.is_file() and not partial.stat().st_size:
            partial.unlink()
        raise GenreclfError(
            f"{where}: {archive.url} cannot be downloaded ({reason(error)}); run the same command again to resume, or "
            f"{other_way}"
        ) from error


def _check_digest(archive: Archive, partial: Path, where: str, other_way: str) -> None:
    """Deletes a download that is not the known archive, and raises GenreclfError."""
    digest = _digest(partial, archive.algorithm)
    if digest != archive.digest:
        partial.unlink()
        differs = f"{archive.algorithm} {digest[:12]} differs from the known archive's {archive.digest[:12]}"
        fault = f"{archive.url}: {differs}, so it was deleted"
        raise GenreclfError(f"{where}: {fault}; run the same command again, or {other_way}")


def _digest(file: Path, algorithm: str) -> str:
    size, found = file.stat().st_size, hashlib.new(algorithm, usedforsecurity=False)
    with file.open("rb") as content, progress_bar(f"checking {file.name}", "MiB") as report:
        while block := content.read(_BLOCK_BYTES):
            found.update(block)
            report(content.tell() // 2**20, size // 2**20)
    return found.hexdigest()


def unpack(archive: Path, folder: Path, limits: Limits, other_way: str) -> None:
    """Unpacks the top folder of a tar or zip archive to `folder`, which appears only when it is complete.

    Raises GenreclfError, whose message ends with `other_way`, and leaves nothing behind, if a member is not a file or
    folder or lies outside `folder`, if the contents exceed the limits, or if the archive cannot be read.
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
                raise ValueError("it is not a tar or zip archive, or it is damaged")
        if not partial.is_dir():
            raise ValueError("it has no files in a top folder")
        partial.replace(folder)
    except _DAMAGED as error:
        raise GenreclfError(f"{archive}: cannot be unpacked ({reason(error)}); {other_way}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _inside(name: str) -> PurePosixPath | None:
    """Returns a member's path below the top folder, or None for the top folder itself and for files that macOS adds."""
    path = PurePosixPath(*PurePosixPath(name).parts[1:])
    return None if not path.name or path.name.startswith("._") else path


def _counter(limits: Limits, report: Callable[[int, int], None]) -> Callable[[int], None]:
    """Returns a function that adds a member's size to the totals and raises ValueError if they exceed the limits."""
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
    """Returns tarfile's `data` filter with limits on number and size, which refuses links and strips the top folder."""
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
            # This reads no more than `file_size`, which was counted.
            with content.open(member) as packed, target.open("wb") as out:
                shutil.copyfileobj(packed, out)
