"""Reading tags, and writing the genre without changing anything else."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("mutagen")
import av
import mutagen
from av_files import av_encoded
from mutagen.apev2 import APEv2
from mutagen.id3 import ID3, TCON, ID3v1SaveOptions
from tag_files import SUFFIXES, encoded, other_tags, packets, samples, song

from genreclf.errors import GenreclfError
from genreclf.tags import file_tags, formats
from genreclf.tags.file_tags import check_writable, read_genre_tag, read_tags, write_genre_tag, write_genres

WHEN = (1_000_000_000_123_456_789, 1_100_000_000_987_654_321)
# Characters that tags may contain: NUL separates values in some formats.
GENRES = st.lists(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=12),
    max_size=3,
    unique=True,
)


@pytest.mark.parametrize("content", [b"hello", b"", b"ID3", b"RIFF\xff\xff\xff\xffAVI ", b"OggS"])
def test_a_file_without_tags_is_one_line_and_nothing_is_printed(tmp_path, content, capfd):
    (tmp_path / "song.mp3").write_bytes(content)
    with pytest.raises(GenreclfError, match=r"^\S+song.mp3: "):
        read_tags(tmp_path / "song.mp3")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_the_genre_changes(suffix, tmp_path):
    path = song(tmp_path / f"song{suffix}", "Old")
    before = samples(path), packets(path), other_tags(path)
    path.chmod(0o640)
    os.utime(path, ns=WHEN)
    assert read_tags(path) == (("Old",), "Ann; Bo", "Album", "Lied é")
    for genres in (("jazz",), ("ska", "raï", "日本"), ()):
        write_genres(path, genres)
        status = path.stat()
        assert (status.st_mtime_ns, status.st_mode & 0o777) == (WHEN[1], 0o640)
        assert read_tags(path) == (genres, "Ann; Bo", "Album", "Lied é")
        assert np.array_equal(samples(path), before[0])
        assert (packets(path), other_tags(path)) == before[1:]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_without_tags_gets_a_genre(suffix, tmp_path):
    path = tmp_path / f"song{suffix}"
    path.write_bytes(encoded(suffix))
    before = packets(path)
    assert read_tags(path) == ((), "", "", "") and read_genre_tag(path).values == ()
    write_genres(path, ["jazz"])
    assert read_tags(path).genres == ("jazz",) and packets(path) == before


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".m4a", ".wma", ".wv"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=GENRES, after=GENRES)
def test_any_genre_is_restored_as_read(suffix, before, after, tmp_path):
    path = song(tmp_path / f"song{suffix}", *before)
    stored = read_genre_tag(path)
    assert stored.values == tuple(before)
    write_genres(path, after)
    assert read_genre_tag(path).values == tuple(after)
    write_genre_tag(path, stored)
    assert read_genre_tag(path) == stored


@pytest.mark.parametrize("version", [3, 4])
def test_the_version_of_id3_stays(version, tmp_path):
    path = song(tmp_path / "song.mp3", "Old", id3=version)
    write_genres(path, ["jazz", "日本"])
    assert ID3(path).version == (2, version, 0) and read_tags(path).genres == ("jazz", "日本")


def id3_song(path: Path, version: int, frames: dict[bytes, bytes]) -> Path:
    """Writes an MP3 file with ID3 frames of any content."""
    size_bytes, flags = (3, b"") if version == 2 else (4, bytes(2))
    tag = b"".join(name + len(text).to_bytes(size_bytes, "big") + flags + text for name, text in frames.items())
    path.write_bytes(b"ID3" + bytes([version, 0, 0, 0, 0, 0, len(tag)]) + tag + encoded(".mp3"))
    return path


def test_id3_2_2_becomes_2_3(tmp_path):
    """mutagen writes 2.3, and every player reads it."""
    path = id3_song(tmp_path / "song.mp3", 2, {b"TT2": b"\0Old song", b"TCO": b"\0(17)"})
    before = packets(path)
    assert read_tags(path) == (("Rock",), "", "", "Old song")
    write_genres(path, ["jazz"])
    assert ID3(path, translate=False).version == (2, 3, 0) and read_tags(path) == (("jazz",), "", "", "Old song")
    assert packets(path) == before


@pytest.mark.parametrize(
    ("stored", "names"),
    [
        (["(17)"], ["Rock"]),
        (["17"], ["Rock"]),
        (["(4)Eurodisco"], ["Disco", "Eurodisco"]),
        (["(52)(39)"], ["Electronic", "Noise"]),
        (["Jazz", "Funk"], ["Jazz", "Funk"]),
        (["((Foo)"], ["(Foo)"]),
    ],
)
def test_numbers_of_id3_are_read_as_names_and_restored_as_numbers(stored, names, tmp_path):
    path = song(tmp_path / "song.mp3", *stored)
    assert read_tags(path).genres == tuple(names)
    before = read_genre_tag(path)
    assert before.values == tuple(stored)
    write_genres(path, ["ska"])
    write_genre_tag(path, before)
    assert ID3(path, translate=False)["TCON"].text == stored


@pytest.mark.parametrize(("genre", "number"), [("hiphop", 7), ("Hip-Hop", 7), ("rock", 17), ("raï", 255), (None, 255)])
def test_id3v1_stays_except_for_the_genres_number(genre, number, tmp_path):
    path = song(tmp_path / "song.mp3", "Jazz")
    ID3(path).save(path, v1=ID3v1SaveOptions.CREATE)
    content = path.read_bytes()
    v1 = bytearray(content[-128:])
    v1[97:127] = b"A comment that ID3v2 lacks    "  # mutagen would drop it
    path.write_bytes(content[:-128] + v1)
    assert v1[127] == 8
    before = read_genre_tag(path)
    write_genres(path, [genre] if genre else [])
    assert path.read_bytes()[-128:] == bytes(v1[:127]) + bytes([number])
    write_genre_tag(path, before)
    assert path.read_bytes()[-128:] == v1


def test_sound_that_looks_like_id3v1_stays(tmp_path):
    path = song(tmp_path / "song.wav")
    content = path.read_bytes()
    start = content.index(b"data") + 8
    end = start + int.from_bytes(content[start - 4 : start], "little")
    alike = content[: end - 128] + b"TAG" + bytes(125) + content[end:]
    path.write_bytes(alike[:end] if end < len(alike) else alike)  # without the tags behind the sound
    before = samples(path)
    write_genres(path, ["rock"])
    assert read_tags(path).genres == ("rock",) and np.array_equal(samples(path), before)
    assert read_genre_tag(path).id3v1 is None


def test_a_file_with_id3v1_alone_loses_nothing(tmp_path):
    path = tmp_path / "song.mp3"
    tag = b"TAG" + b"Title".ljust(30, b"\0") + b"Artist".ljust(30, b"\0") + bytes(64) + bytes([17])
    path.write_bytes(encoded(".mp3") + tag)
    assert read_tags(path) == (("Rock",), "Artist", "", "Title")
    before = read_genre_tag(path)
    write_genres(path, ["jazz"])
    assert read_tags(path) == (("jazz",), "Artist", "", "Title") and path.read_bytes()[-1] == 8
    write_genre_tag(path, before)
    assert read_tags(path) == (("Rock",), "Artist", "", "Title") and path.read_bytes()[-128:] == tag


def test_entries_of_vorbis_comments_keep_their_order_and_spelling(tmp_path):
    path = song(tmp_path / "song.flac")
    file = mutagen.File(path)
    file.tags[:] = [("TITLE", "a"), ("Genre", "x"), ("ARTIST", "b"), ("GENRE", "y"), ("artist", "c")]
    file.save()
    write_genres(path, ["ska", "dub"])
    entries = [("TITLE", "a"), ("Genre", "ska"), ("Genre", "dub"), ("ARTIST", "b"), ("artist", "c")]
    assert list(mutagen.File(path).tags) == entries


def test_behind_a_link_the_file_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    target = song(tmp_path / "real" / "song.mp3")
    link = tmp_path / "link.mp3"
    link.symlink_to("real/song.mp3")
    write_genres(link, ["jazz"])
    assert link.is_symlink() and read_tags(target).genres == ("jazz",)
    assert [path.name for path in tmp_path.rglob("*")].count("song.mp3") == 1


def _refused(path: Path, *words: str) -> None:
    """Checks that writing is refused in one line with these words and changes nothing."""
    before, folder = path.read_bytes(), sorted(path.parent.iterdir())
    with pytest.raises(GenreclfError) as error:
        write_genres(path, ["jazz"])
    assert all(word in str(error.value) for word in (str(path), *words)) and "\n" not in str(error.value)
    assert path.read_bytes() == before and sorted(path.parent.iterdir()) == folder


def test_a_file_that_must_not_be_replaced_is_not_written(tmp_path, monkeypatch):
    path = song(tmp_path / "song.mp3")
    path.chmod(0o444)
    _refused(path, "read-only", "permissions")
    path.chmod(0o644)
    os.link(path, tmp_path / "other.mp3")
    _refused(path, "hard links", "copy")
    (tmp_path / "other.mp3").unlink()
    access = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path and access(place, mode))
    _refused(path, "folder", "read-only")


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    path = song(tmp_path / "song.mp3")

    def full(source, copy):
        Path(copy).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copy))

    monkeypatch.setattr(shutil, "copyfile", full)
    _refused(path, "No space left", "free some space")


@pytest.mark.parametrize("fault", ["audio", "tag"])
def test_a_copy_that_is_not_the_same_never_replaces_the_file(fault, tmp_path, monkeypatch):
    path = song(tmp_path / "song.flac")
    editable = formats.editable_tags

    def faulty(path, kind=None):
        found = editable(path, kind)
        save = found.save

        def spoil(copy):
            if fault == "tag":
                found.tags.pop("title")
            save(copy)
            if fault == "audio":
                with copy.open("r+b") as file:
                    file.seek(-40, os.SEEK_END)
                    file.write(b"\0\1\2\3")
            else:
                found.tags["title"] = "Lied é"

        found.save = spoil
        return found

    monkeypatch.setattr(formats, "editable_tags", faulty)
    _refused(path, fault, "report")


def test_files_without_tags_are_one_line(tmp_path):
    contents = {
        "text.mp3": b"no sound",
        "empty.flac": b"",
        "cut.m4a": encoded(".m4a")[:200],
        "x.mka": av_encoded("matroska", "flac"),
        "x.aac": av_encoded("adts", "aac"),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        _refused(tmp_path / name)
    with pytest.raises(GenreclfError, match=r"gone\.mp3"):
        read_tags(tmp_path / "gone.mp3")
    assert read_tags(tmp_path / "x.aac") == ((), "", "", "")


@pytest.mark.parametrize(("suffix", "options"), [(".wav", {}), (".mka", {}), (".wav", {"rf64": "always"})])
def test_tags_that_only_ffmpeg_reads_are_read(suffix, options, tmp_path):
    """RIFF tags in a WAV file and its variant for more than 4 GB, and Matroska tags."""
    path, source = tmp_path / f"song{suffix}", tmp_path / "source.wav"
    source.write_bytes(encoded(".wav"))
    with av.open(str(source)) as before, av.open(str(path), "w", options=options) as after:
        after.metadata.update({"genre": "Rock", "artist": "Ann", "title": "Lied é"})
        stream = after.add_stream_from_template(before.streams.audio[0])
        for packet in before.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                after.mux(packet)
    assert read_tags(path) == (("Rock",), "Ann", "", "Lied é")
    if suffix == ".mka":
        _refused(path, "not supported")
    elif options:
        _refused(path, "RF64")
    else:
        path.write_bytes(path.read_bytes().replace("Lied é".encode(), b"Lied \xe9\0"))
        write_genres(path, ["jazz"])
        assert read_tags(path) == (("jazz",), "Ann", "", "Lied é")


@pytest.mark.parametrize("suffix", [".wav", ".aiff"])
@pytest.mark.parametrize("at", ["file", "samples"])
@pytest.mark.parametrize("size", [0, 1_000, 2**31 - 1, 2**32 - 1])
def test_a_file_whose_sizes_are_wrong_is_refused_before_it_is_planned(suffix, at, size, tmp_path):
    """As written to a pipe, where a program cannot go back to fill in the sizes."""
    path, content = tmp_path / f"song{suffix}", bytearray(encoded(suffix))
    order = "little" if suffix == ".wav" else "big"
    place = 4 if at == "file" else content.index(b"data" if suffix == ".wav" else b"SSND") + 4
    content[place : place + 4] = size.to_bytes(4, order)
    path.write_bytes(content)
    for call in (check_writable, lambda path: write_genres(path, ["x"])):
        if at == "file" and size == 2**31 - 1:  # the chunks are right, so tags after them are found
            call(path)
            continue
        with pytest.raises(GenreclfError, match=r"song\.(wav|aiff): .+"):
            call(path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_refused_and_not_opened(kind, tmp_path):
    path = tmp_path / "song.mp3"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for call in (read_tags, read_genre_tag, check_writable, lambda path: write_genres(path, ["x"])):
        with pytest.raises(GenreclfError, match=r"song\.mp3: not a regular file"):
            call(path)


def test_a_frame_that_cannot_be_decoded_is_not_lost(tmp_path):
    """Latin-1 marked as UTF-8: mutagen drops such frames."""
    path = id3_song(tmp_path / "song.mp3", 4, {b"TIT2": b"\3\xff\xfe", b"TCON": b"\3Old"})
    assert read_tags(path).genres == ("Old",)
    _refused(path, "tags", "damaged")


def test_lyrics_behind_the_sound_are_not_taken_for_it(tmp_path):
    path, tag = tmp_path / "song.mp3", b"TAG" + bytes(124) + b"\x11"
    path.write_bytes(encoded(".mp3") + b"LYRICSBEGININD0000210000021LYRICS200" + tag)
    write_genres(path, ["jazz"])
    assert read_tags(path).genres == ("jazz",) and path.read_bytes()[-1] == 8


def test_what_another_program_writes_at_the_same_time_is_kept(tmp_path):
    path = song(tmp_path / "song.flac")

    def save(file: Path, _: Path) -> None:
        file.write_bytes(b"of another program")

    with pytest.raises(GenreclfError, match="another program"):
        write_genres(path, ["jazz"], save)
    assert path.read_bytes() == b"of another program" and list(tmp_path.iterdir()) == [path]


def test_without_mutagen_the_line_names_the_packages(tmp_path, monkeypatch):
    path = song(tmp_path / "song.mp3")
    monkeypatch.setitem(sys.modules, "mutagen", None)
    monkeypatch.delitem(sys.modules, "genreclf.tags.formats")
    monkeypatch.delattr("genreclf.tags.formats")
    for call in (lambda: read_tags(path), lambda: write_genres(path, ["x"]), file_tags.check_installed):
        with pytest.raises(GenreclfError, match=r"pip install 'mutagen>="):
            call()


@pytest.mark.slow
def test_killed_at_any_moment_the_file_is_whole(tmp_path):
    path = song(tmp_path / "song.mp3", "g0")
    before, others = packets(path), other_tags(path)
    script = (
        "import itertools, sys\nfrom pathlib import Path\nfrom genreclf.tags.file_tags import write_genres\n"
        "write_genres(Path(sys.argv[1]), ['g0'])\nprint('ready', flush=True)\n"
        "for n in itertools.count():\n    write_genres(Path(sys.argv[1]), [f'g{n}'] * (1 + 999 * (n % 3)))\n"
    )
    seed = random.Random(0)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        time.sleep(seed.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        genres = read_tags(path).genres
        assert len(set(genres)) == 1 and genres[0][1:].isdecimal()
        assert (packets(path), other_tags(path)) == (before, others)
    write_genres(path, ["jazz"])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".opus", ".m4a", ".wv"])
@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_genre_is_none(suffix, blank, tmp_path):
    path = song(tmp_path / f"song{suffix}", blank)
    assert read_tags(path) == ((), "Ann; Bo", "Album", "Lied é")
    before = read_genre_tag(path)
    write_genres(path, ["jazz"])
    write_genre_tag(path, before)
    assert read_genre_tag(path) == before


def test_the_ape_tag_of_an_mp3_is_read_where_id3_has_no_genre(tmp_path):
    path = song(tmp_path / "song.mp3")
    ape = APEv2()
    ape["Genre"], ape["Artist"] = ["Ska", "Dub"], "Cy"
    ape.save(path)
    assert read_tags(path) == (("Ska", "Dub"), "Ann; Bo", "Album", "Lied é")
    write_genres(path, ["jazz"])
    assert read_tags(path).genres == ("jazz",)
    assert dict(APEv2(path)) == dict(ape)
    ID3(path).delete()
    write_genres(path, ["ska"])
    assert read_tags(path) == (("ska",), "Cy", "", "")


def test_an_id3v2_tag_at_the_end_of_an_mp3_is_read(tmp_path):
    path, tags = song(tmp_path / "song.mp3"), ID3()
    tags.add(TCON(text=["Ska", "(17)"]))
    tags.save(tmp_path / "tag", padding=lambda _: 0)
    size = (tmp_path / "tag").read_bytes()[6:]
    footed = b"ID3\4\0\x10" + size + b"3DI\4\0\x10" + size[:4]
    path.write_bytes(path.read_bytes() + footed + b"TAG" + bytes(124) + b"\xff")  # ID3v1 comes last
    assert read_tags(path) == (("Ska", "Rock"), "Ann; Bo", "Album", "Lied é")
    write_genres(path, ["jazz"])
    assert read_tags(path).genres == ("jazz",)


@pytest.mark.parametrize("suffix", [".flac", ".opus", ".m4a", ".wav", ".mp3"])
def test_tags_are_read_and_written_whatever_the_name(suffix, tmp_path):
    other = ".m4a" if suffix == ".mp3" else ".mp3"
    path = song(tmp_path / f"song{suffix}", "Old").rename(tmp_path / f"song{other}")
    assert read_tags(path).genres == ("Old",)
    write_genres(path, ["new"])
    assert read_tags(path).genres == ("new",)


def test_a_video_of_avi_is_not_called_damaged(tmp_path):
    path = tmp_path / "song.avi"
    path.write_bytes(av_encoded("avi", "libmp3lame"))
    assert read_tags(path).genres == ()
    with pytest.raises(GenreclfError, match="not supported"):
        write_genres(path, ["jazz"])


def test_a_file_that_ends_inside_its_tags_is_reported(tmp_path):
    path = song(tmp_path / "song.mp3", "Old")
    os.truncate(path, 1_000)
    with pytest.raises(GenreclfError, match=r"tags cannot be read .*copy"):
        read_tags(path)
