"""Small audio files of all kinds that hold tags, and readers for what must not change when tags change."""

import hashlib
import io
from functools import cache
from pathlib import Path

import av
import mutagen
import numpy as np
import soundfile
from av_files import av_encoded
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, TALB, TCON, TIT2, TPE1
from mutagen.mp4 import MP4

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
# By suffix: container, codec and rate; PyAV has no encoder for Vorbis.
_AV = {
    ".mp3": ("mp3", "libmp3lame", 44_100),
    ".flac": ("flac", "flac", 44_100),
    ".opus": ("ogg", "libopus", 48_000),
    ".oga": ("oga", "flac", 44_100),
    ".m4a": ("ipod", "aac", 44_100),
    ".wav": ("wav", "pcm_s16le", 44_100),
    ".aiff": ("aiff", "pcm_s16be", 44_100),
    ".wma": ("asf", "wmav2", 44_100),
    ".wv": ("wv", "wavpack", 44_100),
    ".tta": ("tta", "tta", 44_100),
}
SUFFIXES = (*_AV, ".ogg")


@cache
def encoded(suffix: str) -> bytes:
    """Returns one second of a tone, without tags."""
    if suffix != ".ogg":
        container, codec, rate = _AV[suffix]
        return av_encoded(container, codec, rate)
    tone, content = 0.5 * np.sin(np.arange(44_100) * 0.06), io.BytesIO()
    soundfile.write(content, tone, 44_100, format="OGG", subtype="VORBIS")
    return content.getvalue()


def song(path: Path, *genres: str, id3: int = 4) -> Path:
    """Writes a file of the kind of its suffix, with artist, title, album and genres, and a picture in some formats."""
    path.write_bytes(encoded(path.suffix))
    file = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    if isinstance(file.tags, ID3):
        for frame in (TIT2, "Lied é"), (TPE1, ["Ann", "Bo"]), (TALB, "Album"), (TCON, list(genres)):
            if frame[1]:
                file.tags.add(frame[0](encoding=1, text=frame[1]))
        file.tags.add(APIC(encoding=0, mime="image/png", type=3, desc="", data=PICTURE))
        file.tags.save(path, v2_version=id3, v23_sep=None)
        return path
    names = dict(zip(("title", "artist", "album", "genre"), _keys(file), strict=True))
    file.tags[names["title"]], file.tags[names["artist"]] = ["Lied é"], ["Ann", "Bo"]
    file.tags[names["album"]] = ["Album"]
    if genres:
        file.tags[names["genre"]] = list(genres)
    if isinstance(file, FLAC):
        picture = Picture()
        picture.data, picture.mime = PICTURE, "image/png"
        file.add_picture(picture)
    file.save()
    return path


def _keys(file: mutagen.FileType) -> tuple[str, ...]:
    if isinstance(file, MP4):
        return "\xa9nam", "\xa9ART", "\xa9alb", "\xa9gen"
    if type(file).__name__ == "ASF":
        return "Title", "Author", "WM/AlbumTitle", "WM/Genre"
    return "title", "artist", "album", "genre"


def samples(path: Path) -> np.ndarray:
    """Returns all decoded samples."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])


def packets(path: Path) -> list[str]:
    """Returns the digest of each encoded packet."""
    with av.open(str(path)) as file:
        return [hashlib.sha256(bytes(packet)).hexdigest() for packet in file.demux(audio=0)]


def other_tags(path: Path) -> dict[str, str]:
    """Returns all tags except the genre, and the pictures."""
    file = mutagen.File(path)
    tags = {key: repr(value) for key, value in file.tags.items() if "gen" not in key.lower() and key != "TCON"}
    return tags | {f"picture {number}": repr(one.data) for number, one in enumerate(getattr(file, "pictures", []))}
