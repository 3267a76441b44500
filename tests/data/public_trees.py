"""Small copies of public data sets, exactly in their layouts."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from data_config import fill
from tiny_sounds import music_like

from genreclf.frontend.audio import SAMPLE_RATE_HZ

# FMA's tracks.csv: the columns in each group of the header, in the data set's order
FMA_COLUMNS = {
    "album": "comments date_created date_released engineer favorites id information listens producer tags title "
    "tracks type",
    "artist": "active_year_begin active_year_end associated_labels bio comments date_created favorites id latitude "
    "location longitude members name related_projects tags website wikipedia_page",
    "set": "split subset",
    "track": "bit_rate comments composer date_created date_recorded duration favorites genre_top genres genres_all "
    "information interest language_code license listens lyricist number publisher tags title",
}
JAMENDO_HEAD = ("TRACK_ID", "ARTIST_ID", "ALBUM_ID", "PATH", "DURATION", "TAGS")


def sound(file: Path, seed: int, seconds: float = 4.5) -> None:
    """Writes rhythmic noise. The suffix need not match the format, which readers detect from the content."""
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = music_like(seconds, np.random.default_rng(seed))
    soundfile.write(file, noise, SAMPLE_RATE_HZ, format="FLAC" if file.suffix == ".flac" else file.suffix[1:].upper())


def fma_csv(tracks: Sequence[dict[str, str]]) -> str:
    """Returns tracks.csv. Each track gives `track_id` and cells by group and name: {"set split": "training"}."""
    pairs = [(group, name) for group, names in FMA_COLUMNS.items() for name in names.split()]
    assert len(pairs) == 52
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["", *(group for group, _ in pairs)])
    writer.writerow(["", *(name for _, name in pairs)])
    writer.writerow(["track_id", *("" for _ in pairs)])
    for track in tracks:
        writer.writerow([track["track_id"], *(track.get(" ".join(pair), "") for pair in pairs)])
    return out.getvalue()


def fma_track(
    number: int, genre: str, split: str, artist: str, subset: str = "small", license_name: str = "Attribution 4.0"
) -> dict[str, str]:
    """A row that is difficult for other readers: a biography with several lines and 150,000 characters, and lists."""
    return {
        "track_id": str(number),
        "album title": f"Album of {artist}",
        "album tags": "[]",
        "artist bio": f'<p>Born in "1980",\nmoved,\r\nsang.</p>{"x" * 150_000 if number == 2 else ""}',
        "artist id": str(len(artist)),
        "artist name": artist,
        "set split": split,
        "set subset": subset,
        "track genre_top": genre,
        "track genres": "[21, 76]",
        "track genres_all": "[21, 76]",
        "track license": license_name,
        "track title": f"Song {number}",
    }


def fma_tree(folder: Path, tracks: Sequence[dict[str, str]], subset: str = "small") -> Path:
    """Writes fma_metadata/tracks.csv and empty files: fma_SUBSET/NNN/NNNNNN.mp3, README.txt, checksums and others."""
    metadata, audio = folder / "fma_metadata", folder / f"fma_{subset}"
    fill(metadata, "genres.csv", "features.csv", "echonest.csv", "README.txt", "checksums")
    (metadata / "tracks.csv").write_bytes(fma_csv(tracks).encode())
    numbers = [f"{int(track['track_id']):06d}" for track in tracks]
    fill(audio, "README.txt", "checksums", *(f"{number[:3]}/{number}.mp3" for number in numbers))
    return folder


def jamendo_tables(clone: Path, split: int, parts: dict[str, Sequence[tuple[str, str, str, Sequence[str]]]]) -> None:
    """Writes the tables of one split, with CRLF and a column per tag: (track number, artist, album, tags) by part."""
    folder = clone / "data" / "splits" / f"split-{split}"
    folder.mkdir(parents=True, exist_ok=True)
    for part, tracks in parts.items():
        lines = ["\t".join(JAMENDO_HEAD)]
        for number, artist, album, tags in tracks:
            ids = (f"track_{int(number):07d}", f"artist_{int(artist):06d}", f"album_{int(album):06d}")
            lines.append("\t".join((*ids, f"{int(number) % 100:02d}/{number}.mp3", "211.1", *tags)))
        (folder / f"autotagging_genre-{part}.tsv").write_bytes("".join(line + "\r\n" for line in lines).encode())
