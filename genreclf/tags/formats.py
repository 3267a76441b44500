"""The tag formats that mutagen supports: where each stores the genre, and how to change that and nothing else.

Only this module imports mutagen, which is an optional package.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import mutagen
from mutagen import MutagenError as MutagenError
from mutagen.apev2 import APEv2
from mutagen.asf import ASFTags
from mutagen.flac import VCommentDict
from mutagen.id3 import ID3, TCON, Encoding, ID3NoHeaderError
from mutagen.mp4 import MP4Tags
from mutagen.wave import WAVE

from genreclf.errors import GenreclfError
from genreclf.frontend.tag_bytes import id3v2_at_end, sizes_agree
from genreclf.text import spelling_key

# An ID3v1 tag is at the end of a file. Its last byte is the genre's number.
_ID3V1_BYTES, _ID3V1_START, _ID3V1_NO_GENRE = 128, b"TAG", 255
_RIFF_BYTES = 12  # length of a RIFF file's header, which ends with its type


class Keys(NamedTuple):
    """The names of the fields in a tag format."""

    genre: str
    artist: str
    album: str
    title: str


_KEYS: tuple[tuple[type, Keys], ...] = (
    (ID3, Keys("TCON", "TPE1", "TALB", "TIT2")),
    (VCommentDict, Keys("GENRE", "ARTIST", "ALBUM", "TITLE")),
    (MP4Tags, Keys("\xa9gen", "\xa9ART", "\xa9alb", "\xa9nam")),
    (APEv2, Keys("Genre", "Artist", "Album", "Title")),
    (ASFTags, Keys("WM/Genre", "Author", "WM/AlbumTitle", "Title")),
)


class UntaggableError(Exception):
    """Raised for a kind of file that cannot hold tags. The message gives the reason."""


@dataclass
class EditableTags:
    """The tags of a file as they are stored."""

    kind: type[mutagen.FileType]
    tags: Any
    save: Callable[[Path], None]  # writes the tags to a file with the same audio
    id3v1: bytes = b""  # the 128 bytes of the ID3v1 tag; empty if there is none
    id3_frames: frozenset[bytes] = frozenset()  # names, also of frames that mutagen cannot decode, and would drop

    @property
    def genre(self) -> tuple[str, ...]:
        """The genre's values as stored: "(17)" stays "(17)"; empty if there is no genre."""
        return texts(self.tags, keys_of(self.tags).genre)

    @genre.setter
    def genre(self, values: Sequence[str]) -> None:
        tags, key = self.tags, keys_of(self.tags).genre
        if isinstance(tags, ID3):
            _set_id3_genre(tags, values)
        elif isinstance(tags, VCommentDict):
            _set_vorbis_genre(tags, values)
        elif values:
            tags[key] = list(values)
        elif key in tags:
            del tags[key]


def open_file(path: Path) -> mutagen.FileType:
    """Opens a file to read its tags, including ID3v1's.

    Raises UntaggableError if its tags are not supported, and MutagenError if it is damaged.
    """
    try:
        opened = mutagen.File(path)
    except MutagenError:
        opened = _opened_by_content(path)
    if opened is None:
        raise UntaggableError("tags of this kind of file are not supported")
    return opened


def _opened_by_content(path: Path) -> mutagen.FileType | None:
    """Opens a file whose name has the suffix of another format."""
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as nameless:
        is_avi = nameless.read(_RIFF_BYTES).endswith(b"AVI ")  # mutagen would take it for WAV
        nameless.seek(0)
        return None if is_avi else mutagen.File(nameless)


def is_wave(opened: mutagen.FileType) -> bool:
    """Returns whether this is a WAV file."""
    return isinstance(opened, WAVE)


def end_fields(path: Path) -> tuple[tuple[str, ...], str, str, str]:
    """Like `read_fields`, for an ID3v2 or APEv2 tag at the end of a file of any format; all empty if there is none."""
    with path.open("rb", buffering=0) as handle:
        id3v2 = id3v2_at_end(handle)
    try:
        return read_fields(ID3(BytesIO(id3v2)) if id3v2 else APEv2(path))
    except MutagenError:
        return (), "", "", ""


def editable_tags(path: Path, kind: type[mutagen.FileType] | None = None) -> EditableTags:
    """Returns a file's tags for editing; empty tags if it has none. `kind` is needed if the name does not show it.

    Raises the exceptions of `open_file`, UntaggableError for a file that cannot hold tags, and GenreclfError for a WAV
    or AIFF file whose chunks do not end where they should: tags after them would not be found.
    """
    opened = kind(path) if kind else open_file(path)
    if opened.tags is None:
        try:
            opened.add_tags()
        except (MutagenError, NotImplementedError) as error:
            raise UntaggableError("this kind of file holds no tags") from error
    keys_of(opened.tags)
    with path.open("rb", buffering=0) as handle:
        if not sizes_agree(handle):
            fault = "the sizes in its header do not match its content, as if its recording was cut off"
            raise GenreclfError(f"{path}: {fault}; save it again with an audio editor")
    if isinstance(opened.tags, ID3):
        return _editable_id3(path, type(opened), opened.tags)
    return EditableTags(type(opened), opened.tags, opened.save)


def keys_of(tags: Any) -> Keys:
    """Returns the field names in a file's tags. Raises UntaggableError for a format without such fields."""
    for kind, keys in _KEYS:
        if isinstance(tags, kind):
            return keys
    raise UntaggableError("tags of this kind of file are not supported")


def texts(tags: Any, key: str) -> tuple[str, ...]:
    """Returns the values of a field; empty if it has none."""
    value = None if tags is None else tags.get(key)
    if value is None:
        return ()
    values = value.text if isinstance(tags, ID3) else value
    return tuple(map(str, [values] if isinstance(values, str) else values))


def read_fields(tags: Any) -> tuple[tuple[str, ...], str, str, str]:
    """Returns the genres that are not blank, artist, album and title. Several of the last three are joined by "; ".

    ID3's numbers of genres, such as "(17)", become names.
    """
    keys = keys_of(tags)
    genres = texts(tags, keys.genre)
    names = TCON(text=list(genres)).genres if isinstance(tags, ID3) else genres
    artist, album, title = ("; ".join(texts(tags, key)) for key in keys[1:])
    return tuple(filter(str.strip, names)), artist, album, title


def has_same_tags(tags: EditableTags, others: EditableTags) -> bool:
    """Returns whether the tags of two files are equal. The first may have frames that `others` lacks."""
    return dict(tags.tags.items()) == dict(others.tags.items()) and tags.id3_frames >= others.id3_frames


def write_id3v1_genre(path: Path, before: bytes, number: int) -> None:
    """Writes the ID3v1 tag `before` with another genre: mutagen has replaced it by one made from the other tags."""
    with path.open("r+b") as file:
        file.seek(-_ID3V1_BYTES, os.SEEK_END)
        file.write(before[:-1] + bytes([number]))


def id3v1_number(genre: str = "") -> int:
    """Returns ID3v1's number for a genre in any spelling; 255, which means none, for other genres."""
    numbers = {spelling_key(name): number for number, name in enumerate(TCON.GENRES)}
    return numbers.get(spelling_key(genre), _ID3V1_NO_GENRE)


def _id3v1_tag(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _ID3V1_BYTES))
        end = file.read()
    return end if len(end) == _ID3V1_BYTES and end.startswith(_ID3V1_START) else b""


def _editable_id3(path: Path, kind: type[mutagen.FileType], merged: ID3) -> EditableTags:
    """Returns the frames of an ID3v2 tag in its own version, without ID3v1's fields.

    If the file has only an ID3v1 tag, its fields become version 2.4. Version 2.2, which mutagen does not write, becomes
    2.3.
    """
    tags, raw, version, frames = type(merged)(), type(merged)(), 4, frozenset[bytes]()
    try:
        tags.load(path, translate=False, load_v1=False)
        version = tags.version[1]
    except ID3NoHeaderError:
        tags = merged
    else:
        raw.load(path, known_frames={}, translate=False, load_v1=False)
        frames = frozenset(frame[:4] for frame in raw.unknown_frames) - {b"TCON"}
    if version == 2:
        tags.update_to_v23()
        frames = frozenset()  # their names change
    written = 4 if version == 4 else 3
    # WAV and AIFF chunks hold only ID3v2.
    id3v1 = _id3v1_tag(path) if type(merged) is ID3 else b""
    # Separate several values of 2.3 as in 2.4, because "/" occurs in names.
    return EditableTags(kind, tags, lambda copy: tags.save(copy, v2_version=written, v23_sep=None), id3v1, frames)


def _set_id3_genre(tags: ID3, values: Sequence[str]) -> None:
    frames = tags.getall("TCON")
    tags.delall("TCON")
    if values:
        encoding = frames[0].encoding if frames else Encoding.LATIN1
        if encoding == Encoding.LATIN1 and max(map(ord, "".join(values)), default=0) > 255:
            encoding = Encoding.UTF16  # all versions support it
        tags.add(TCON(encoding=encoding, text=list(values)))


def _set_vorbis_genre(tags: VCommentDict, values: Sequence[str]) -> None:
    """Writes the genres at the place of the first existing entry, with the same spelling of the key."""
    entries = list(tags)
    places = [place for place, (key, _) in enumerate(entries) if key.upper() == "GENRE"]
    first = places[0] if places else len(entries)
    key = entries[first][0] if places else "GENRE"
    after = [entry for place, entry in enumerate(entries) if place > first and place not in places]
    tags[:] = [*entries[:first], *((key, value) for value in values), *after]
