import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from data_config import data_config, fill, made_row, split_config
from local_hub import LocalHub, local_hub, no_hub
from public_trees import fma_csv, fma_track, fma_tree, jamendo_tables, sound

from genreclf.data import archives, ballroom, fma
from genreclf.data.archives import Archive, Limits
from genreclf.data.data_config import DataConfig
from genreclf.data.data_folder import data_folder
from genreclf.data.datamodule import SpectrogramDataModule
from genreclf.data.gtzan import gtzan_folder
from genreclf.data.membership import Membership, membership
from genreclf.data.sources import Source, rows_of_public, sources_of
from genreclf.data.split import SplitConfig
from genreclf.errors import GenreclfError
from genreclf.frontend.segments import ViewConfig


def assigned(data: DataConfig, split: SplitConfig) -> tuple[list[str], Membership]:
    """Returns the paths of a data set's clips, and their membership."""
    rows = [made_row(source.path, label=source.label) for source in sources_of(data, data_folder(data))]
    found = membership(rows, data, split)
    return [rows[clip].path for clip in found.clips], found


def published(fold: int | None = None) -> SplitConfig:
    return SplitConfig("published", fold=fold, validation=True)


# FMA

FMA = [
    fma_track(2, "Hip-Hop", "training", "AWOL"),
    fma_track(5, "Hip-Hop", "training", "AWOL"),
    fma_track(10, "Pop", "validation", "Kurt Vile"),
    fma_track(140, "Folk", "test", "Alec K. Redfearn", license_name="Attribution-NonCommercial 3.0"),
    fma_track(141, "Folk", "training", "Alec K. Redfearn & the Eyesores"),
    fma_track(99134, "Hip-Hop", "training", "Empty"),
    fma_track(98565, "Folk", "validation", "Short"),
    fma_track(148, "Experimental", "training", "Contradiction", "medium"),
    fma_track(151, "", "test", "Of several roots", "large"),
    fma_track(152, "Rock", "test", "Arc and Sender", "large"),
]


@pytest.mark.parametrize(
    ("subset", "numbers"), [("small", (2, 5, 10, 140, 141)), ("medium", (2, 5, 10, 140, 141, 148)), ("large", ())]
)
def test_an_fma_subset_holds_the_smaller_ones_and_not_the_faulty_tracks(tmp_path, capsys, subset, numbers):
    fma_tree(tmp_path, FMA, subset)
    data = data_config("fma", path=tmp_path, cache=tmp_path, subset=subset)
    expected = numbers or (2, 5, 10, 140, 141, 148, 152)
    genre = {int(track["track_id"]): track["track genre_top"] for track in FMA}
    assert data_folder(data) == tmp_path / f"fma_{subset}"
    assert sources_of(data, data_folder(data)) == [Source(f"000/{n:06d}.mp3", genre[n]) for n in expected]
    told = capsys.readouterr().err
    assert "099/099134.mp3" in told and fma.NO_AUDIO in told and "098/098565.mp3" in told and fma.CUT_SHORT in told
    assert (fma.NO_TOP_GENRE in told) == (subset == "large")


def test_fmas_published_split_artists_titles_and_licences_are_those_of_its_table(tmp_path):
    data = data_config("fma", path=fma_tree(tmp_path, FMA), cache=tmp_path)
    paths, found = assigned(data, published())
    assert paths == [f"000/{n:06d}.mp3" for n in (2, 5, 10, 140, 141)]
    assert found.splits == ("train", "train", "val", "test", "train")
    assert found.groups[0] == found.groups[1] != found.groups[2]  # one artist
    assert found.metadata[3].artist == "Alec K. Redfearn" and found.metadata[3].title == "Song 140"
    assert [one.license for one in found.metadata] == ["Attribution 4.0"] * 3 + [
        "Attribution-NonCommercial 3.0",
        "Attribution 4.0",
    ]


def test_another_split_keeps_fmas_artists_together_and_tells_of_the_published_one(tmp_path, capsys):
    parts = ("training", "test")
    tracks = [fma_track(n, ("Pop", "Folk")[n % 2], parts[n > 50], f"Artist {n // 4}") for n in range(2, 62)]
    data = data_config("fma", path=fma_tree(tmp_path, tracks), cache=tmp_path)
    paths, found = assigned(data, split_config("hashed"))
    assert not found.refusals and set(found.splits) == {"train", "val", "test"}
    of_artist: dict[str, set[str | None]] = {}
    for one, split in zip(found.metadata, found.splits, strict=True):
        of_artist.setdefault(one.artist, set()).add(split)
    assert all(len(splits) == 1 for splits in of_artist.values()) and len(of_artist) > 10
    assert "split=published" in capsys.readouterr().err
    assert found.published == tuple(("train", "test")[int(path[4:10]) > 50] for path in paths)


def test_fma_is_found_in_its_own_folder_and_in_a_larger_subsets(tmp_path):
    fma_tree(tmp_path, FMA, "large")
    small = data_config("fma", path=tmp_path, cache=tmp_path)
    assert data_folder(small) == tmp_path / "fma_large" and len(sources_of(small, tmp_path / "fma_large")) == 5
    inside = data_config("fma", path=tmp_path / "fma_large", cache=tmp_path)
    assert data_folder(inside) == tmp_path / "fma_large"


def test_tracks_without_a_file_and_files_without_a_track_are_told(tmp_path, capsys):
    fma_tree(tmp_path, FMA)
    (tmp_path / "fma_small" / "000" / "000005.mp3").unlink()
    (tmp_path / "fma_small" / "000" / "000007.mp3").touch()
    data = data_config("fma", path=tmp_path, cache=tmp_path)
    _, found = assigned(data, published())
    assert found.missing == {"train": ["000/000005.mp3"]}
    told = capsys.readouterr().err
    assert "000/000005.mp3" in told and "000/000007.mp3" in told


def test_blank_rows_do_not_matter_and_files_may_be_converted_or_in_one_folder(tmp_path):
    fma_tree(tmp_path, FMA)
    data = data_config("fma", path=tmp_path, cache=tmp_path)
    before = sorted((Path(one.path).stem, one.label) for one in sources_of(data, data_folder(data)))
    table, audio = tmp_path / "fma_metadata" / "tracks.csv", tmp_path / "fma_small"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes() + b"\n\n")
    for number, file in enumerate(sorted(audio.rglob("*.mp3"))):
        file.rename(audio / file.name if number % 2 else file.with_suffix(".wav"))
    assert sorted((Path(one.path).stem, one.label) for one in sources_of(data, data_folder(data))) == before


def test_a_table_of_the_user_overrides_fmas(tmp_path):
    fma_tree(tmp_path, FMA)
    (tmp_path / "mine.csv").write_text("track_id,genre,artist\n2,Rap,\n99134,Rap,Somebody\n10,,Someone\n")
    data = data_config("fma", path=tmp_path, cache=tmp_path, table=tmp_path / "mine.csv")
    labels = {source.path: source.label for source in sources_of(data, data_folder(data))}
    assert labels["000/000002.mp3"] == labels["099/099134.mp3"] == "Rap" and labels["000/000010.mp3"] == "Pop"
    metadata = rows_of_public(data, ["000/000002.mp3", "000/000010.mp3"]).metadata
    assert [one.artist for one in metadata] == ["AWOL", "Someone"]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"track_id,genre_top\n2,Rock\n", "header rows"),
        (b"", "header rows"),
        (fma_tree.__doc__.encode(), "header rows"),
        (b"\xff\xfe\x00", "tracks.csv"),
        (fma_csv(FMA).encode() + b"150,x\n", f"line {len(fma_csv(FMA).splitlines()) + 1} has 2 cells"),
        (fma_csv(FMA).replace("\n10,", "\nten,").encode(), "'ten' is not the number of a track"),
    ],
    ids=str,
)
def test_an_unreadable_fma_table_is_one_line(tmp_path, content, part):
    fma_tree(tmp_path, FMA)
    (tmp_path / "fma_metadata" / "tracks.csv").write_bytes(content)
    data = data_config("fma", path=tmp_path, cache=tmp_path)
    with pytest.raises(GenreclfError, match=r"tracks\.csv: ") as error:
        sources_of(data, data_folder(data))
    assert part in str(error.value)


def test_identical_files_of_fma_are_one_group_and_the_licences_are_recorded(tmp_path):
    """In fma_full, 1,532 files are in groups of identical files."""
    tracks = [
        fma_track(n, ("Pop", "Folk")[n % 2], ("training", "validation", "test")[n % 3], f"A{n}") for n in range(12)
    ]
    fma_tree(tmp_path, tracks)
    for n in range(12):
        sound(tmp_path / "fma_small" / "000" / f"{n:06d}.mp3", seed=n)
    folder = tmp_path / "fma_small" / "000"
    (folder / "000006.mp3").write_bytes((folder / "000000.mp3").read_bytes())
    data = data_config("fma", path=tmp_path, cache=tmp_path / "cache")
    view = ViewConfig("crop", segment_frames=128, hop_frames=64, tolerance=0.0)
    module = SpectrogramDataModule(data, published(), view, None, 2, 0, 0)
    module.prepare_data()
    module.setup()
    number = {row.path: clip for clip, row in enumerate(module.store.rows)}
    assert module.group_of[number["000/000000.mp3"]] == module.group_of[number["000/000006.mp3"]]
    assert {name: len(clips) for name, clips in module.clips.items()} == {"train": 4, "val": 4, "test": 4}
    licenses = module.summary()["licenses"]
    assert licenses == {"Attribution 4.0": sorted(number)}


# MTG-Jamendo

JAMENDO = {
    "train": [("214", "14", "31", ["genre---punkrock"]), ("215", "14", "31", ["genre---metal", "genre---rock"])],
    "validation": [("7400", "5", "40", ["genre---rock"])],
    "test": [("1085", "87", "106", ["genre---metal"]), ("1086", "88", "107", ["genre---rock"])],
}
LICENSE = "http://creativecommons.org/licenses/by-nc/3.0/"


@pytest.fixture
def jamendo(tmp_path) -> Path:
    """The repository beside the audio with a low bit rate. The third split exchanges training and test clips."""
    clone = tmp_path / "mtg-jamendo-dataset"
    for split in range(5):
        parts = {**JAMENDO, "train": JAMENDO["test"], "test": JAMENDO["train"]} if split == 2 else JAMENDO
        jamendo_tables(clone, split, parts)
    lines = ["00/7400.mp3", "Song by Artist from Jamendo: http://www.jamendo.com/track/7400"]
    (clone / "audio_licenses.txt").write_text("\n".join([*lines, f"Available under a CC license: {LICENSE}", "", ""]))
    return fill(tmp_path, *(f"audio-low/{n % 100:02d}/{n}.low.mp3" for n in (214, 215, 7400, 1085, 1086)))


def test_jamendo_has_five_splits_and_clips_of_one_genre(jamendo, capsys):
    data = data_config("jamendo", path=jamendo, cache=jamendo)
    assert data_folder(data) == jamendo / "audio-low"
    paths, first = assigned(data, published())
    assert paths == ["00/7400.low.mp3", "14/214.low.mp3", "85/1085.low.mp3", "86/1086.low.mp3"]
    assert first.splits == ("val", "train", "test", "test")
    _, third = assigned(data, published(2))
    exchanged = {"train": "test", "test": "train", "val": "val"}
    assert list(third.splits) == [exchanged[split] for split in first.splits]
    assert [one.license for one in first.metadata] == [LICENSE, "", "", ""]
    assert "several genres" in capsys.readouterr().err
    for fold in (5, 9):
        with pytest.raises(GenreclfError, match=f"split.fold={fold}: .*5 published splits"):
            assigned(data, published(fold))


def test_jamendos_repository_may_be_the_folder_itself(jamendo):
    (jamendo / "audio-low").rename(jamendo / "mtg-jamendo-dataset" / "raw_30s")
    data = data_config("jamendo", path=jamendo / "mtg-jamendo-dataset", cache=jamendo)
    assert data_folder(data) == jamendo / "mtg-jamendo-dataset" / "raw_30s"
    assert [source.label for source in sources_of(data, data_folder(data))] == ["rock", "punkrock", "metal", "rock"]


def test_without_jamendo_the_message_says_how_to_get_it(tmp_path):
    with pytest.raises(GenreclfError, match=r"data\.path=.*mtg-jamendo-dataset.*download\.py"):
        data_folder(data_config("jamendo", path=tmp_path, cache=tmp_path))


# Ballroom


def ballroom_tree(folder: Path) -> Path:
    for dance in ballroom.DANCES:
        for name in ("Media-105901", f"Albums-{dance}_Hits-01", f"Albums-{dance}_Hits-02"):
            within = "Rumba-American" if dance == "Rumba" and name == "Media-105901" else dance
            fill(folder / "BallroomData" / within, f"{name.replace('105901', str(len(dance)))}.wav")
    (folder / "BallroomData" / "nada").mkdir()
    (folder / "BallroomData" / "allBallroomFiles").touch()
    return folder


def test_ballrooms_folders_may_be_in_any_case(tmp_path):
    fill(tmp_path, *(f"{dance.lower()}/x.wav" for dance in ballroom.DANCES))
    data = data_config("ballroom", path=tmp_path, cache=tmp_path)
    assert {source.label for source in sources_of(data, data_folder(data))} == set(ballroom.DANCES)


@pytest.mark.parametrize("inside", ["", "BallroomData"])
def test_ballrooms_dances_are_its_folders_and_its_cds_are_groups(tmp_path, inside):
    data = data_config("ballroom", path=ballroom_tree(tmp_path) / inside, cache=tmp_path)
    paths, found = assigned(data, SplitConfig("all"))
    labels = {source.path: source.label for source in sources_of(data, data_folder(data))}
    assert set(labels.values()) == set(ballroom.DANCES)
    assert labels["Rumba-American/Media-5.wav"] == labels["Rumba/Albums-Rumba_Hits-01.wav"] == "Rumba"
    groups = dict(zip(paths, found.groups, strict=True))
    assert groups["Waltz/Albums-Waltz_Hits-01.wav"] == groups["Waltz/Albums-Waltz_Hits-02.wav"]
    assert len(set(groups.values())) == 16 and len(groups) == 24
    with pytest.raises(GenreclfError, match=r"split=published: .*no published split; use split=hashed"):
        assigned(data, published())


# ISMIR04


def ismir_tree(folder: Path) -> Path:
    """Folders of the original genres, and tables of six classes without a header. Evaluation has one more column."""
    rows = {
        "training": [
            ("classical", "bach", "suites", "air", "16", "classical/bach/the_suites/16-l'air.mp3"),
            ("metal_punk", "spinecar", "autophile", "push", "8", "metal/spinecar/autophile/8-push.mp3"),
        ],
        "development": [
            ("classical", "artist_1", "album_1", "track_1", "1", "artist_1_album_1_track_1.mp3"),
            ("metal_punk", "artist_2", "album_1", "track_1", "1", "artist_2_album_1_track_1.mp3"),
        ],
        "evaluation": [
            ("classical", "bach", "suites", "gigue", "2", "classical/bach/the_suites/2-gigue.mp3", "57578"),
            ("metal_punk", "pizzle", "party", "punch", "4", "punk/pizzle/party/4-punch.mp3", "57579"),
        ],
    }
    for part, songs in rows.items():
        table = folder / "metadata" / part / "tracklist.csv"
        table.parent.mkdir(parents=True)
        table.write_text("".join(",".join(f'"{cell}"' for cell in song) + "\n" for song in songs))
        fill(folder / "audio" / part, *(song[5] for song in songs))
    (folder / "metadata" / "development" / "ground_truth.csv").touch()
    return folder


def test_ismir04s_classes_and_parts(tmp_path):
    data = data_config("ismir04", path=ismir_tree(tmp_path), cache=tmp_path)
    paths, found = assigned(data, published())
    assert paths == sorted(path.relative_to(tmp_path / "audio").as_posix() for path in tmp_path.rglob("*.mp3"))
    assert found.splits == ("val", "val", "test", "test", "train", "train")
    labels = [source.label for source in sources_of(data, data_folder(data))]
    assert labels == ["classical", "metal_punk"] * 3
    assert found.groups[2] == found.groups[4] != found.groups[0]  # one artist, whom its parts divide
    assert {one.license for one in found.metadata} == {"CC BY-NC-SA 1.0"}


def test_ismir04s_paths_may_be_written_otherwise(tmp_path):
    table = ismir_tree(tmp_path) / "metadata" / "training" / "tracklist.csv"
    table.write_text(table.read_text().replace('"classical/bach/', '"./classical\\bach\\') + "\n")
    data = data_config("ismir04", path=tmp_path, cache=tmp_path)
    assert len(sources_of(data, data_folder(data))) == 6


def test_without_ismir04_the_message_names_its_folders(tmp_path):
    with pytest.raises(GenreclfError, match=r"data\.path=.*audio/ and metadata/"):
        data_folder(data_config("ismir04", path=tmp_path, cache=tmp_path))


# Configuration


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("fma", {"subset": "full"}, r"data\.subset=full: .*small, medium, large"),
        ("fma", {"subset": None}, r"data\.subset=null: .*small, medium, large"),
        ("ballroom", {"subset": "small"}, r"data\.subset=small: .*remove it"),
        ("folder", {"subset": "small", "path": Path()}, r"data\.subset=small: .*remove it"),
        (
            "folder",
            {"fetch": "gtzam", "path": Path()},
            r"data\.fetch=gtzam: .*gtzan, fma, jamendo, ballroom, ismir04",
        ),
        ("fma", {"tags": True}, r"data\.tags=True: .*remove data\.tags"),
    ],
)
def test_an_unusable_configuration_is_one_line(tmp_path, name, values, message):
    with pytest.raises(GenreclfError, match=message):
        data_config(name, **{"path": tmp_path, "cache": tmp_path, **values})


def test_gtzan_has_one_published_split():
    with pytest.raises(GenreclfError, match=r"split\.fold: .*remove it"):
        membership([made_row("blues/blues.00029.wav")], data_config(path=Path(), cache=Path()), published(0))


# Archives


def zip_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members.items():
            content.writestr(name, data)
    return file.getvalue()


def tar_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as content:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            content.addfile(info, io.BytesIO(data))
    return file.getvalue()


def on_server(hub: LocalHub, name: str, **values: object) -> Archive:
    digest = hashlib.sha1(hub.content, usedforsecurity=False).hexdigest()
    known = {"algorithm": "sha1", "digest": digest, "size": len(hub.content), "limits": Limits(100, 10**6)}
    return Archive(url=f"http://127.0.0.1:{hub.server_port}/{name}", **{**known, **values})  # type: ignore[arg-type]


@pytest.fixture
def no_wait(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client waits between its tries
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1_000)


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_archive_is_fetched_checked_and_unpacked(tmp_path, monkeypatch, no_wait, pack):
    noise = np.random.default_rng(0).bytes(10_000)
    content = pack({"BallroomData/Waltz/a.wav": noise, "BallroomData/._x": b"x", "BallroomData/list": b""})
    with local_hub(monkeypatch, content) as hub:
        hub.faults.append("drop")
        archives.obtain(on_server(hub, "x"), tmp_path / "new" / "BallroomData", "data=x", "get it")
        assert len(hub.ranges) == 2 and hub.ranges[1] > 0  # resumed
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"new/BallroomData/Waltz/a.wav", "new/BallroomData/list"}
    assert (tmp_path / "new/BallroomData/Waltz/a.wav").read_bytes() == noise


def test_a_complete_download_of_a_killed_command_is_used(tmp_path, monkeypatch):
    with local_hub(monkeypatch, zip_of({"top/a": b"1"})) as hub:
        (tmp_path / "x.zip.partial").write_bytes(hub.content)
        archives.obtain(on_server(hub, "x.zip"), tmp_path / "top", "data=x", "get it")
    assert (tmp_path / "top" / "a").read_bytes() == b"1" and len(list(tmp_path.iterdir())) == 1


def test_files_beside_a_data_set_stay_as_they_are(tmp_path, monkeypatch, capsys):
    (tmp_path / "x.zip").write_bytes(b"of the user")
    (tmp_path / "song.wav").write_bytes(b"a song")
    with local_hub(monkeypatch, zip_of({"top/a": b"1"})) as hub:
        archives.obtain(on_server(hub, "x.zip"), tmp_path / "top", "data=x", "get it")
    assert (tmp_path / "top" / "a").read_bytes() == b"1"
    assert (tmp_path / "x.zip").read_bytes() == b"of the user" and (tmp_path / "song.wav").read_bytes() == b"a song"
    assert len(list(tmp_path.iterdir())) == 3
    told = capsys.readouterr().err
    assert "x.zip" in told and str(tmp_path / "top") in told


def test_the_users_own_archive_is_used_and_stays(tmp_path, monkeypatch):
    with local_hub(monkeypatch, zip_of({"top/a": b"1"})) as hub:
        (tmp_path / "x.zip").write_bytes(hub.content)
        archives.obtain(on_server(hub, "x.zip"), tmp_path / "top", "data=x", "get it")
        assert not hub.ranges and (tmp_path / "x.zip").read_bytes() == hub.content
    assert (tmp_path / "top" / "a").read_bytes() == b"1"


def test_another_archive_is_deleted_and_refused(tmp_path, monkeypatch):
    with local_hub(monkeypatch, zip_of({"top/a": b"1"})) as hub:
        archive = on_server(hub, "x.zip", digest="0" * 40)
        with pytest.raises(GenreclfError, match=r"x\.zip: sha1 .*differs.*run the same command again, or get it"):
            archives.obtain(archive, tmp_path / "top", "data=x", "get it")
    assert not list(tmp_path.iterdir())


def test_an_incomplete_data_set_is_told_before_the_download(tmp_path, monkeypatch):
    (tmp_path / "top" / "Waltz").mkdir(parents=True)
    with local_hub(monkeypatch, zip_of({"top/a": b"1"})) as hub:
        with pytest.raises(GenreclfError, match=r"data=x: .*/top exists, but not in the usual layout"):
            archives.obtain(on_server(hub, "x.zip"), tmp_path / "top", "data=x", "get it")
        assert not hub.ranges
    (tmp_path / "genres" / "blues").mkdir(parents=True)
    with pytest.raises(GenreclfError, match=r"^data=gtzan: .*/genres exists"):
        gtzan_folder(tmp_path)


def test_too_little_space_is_told_before_the_download(tmp_path, monkeypatch):
    with local_hub(monkeypatch, b"") as hub:
        with pytest.raises(GenreclfError, match=r"data=x: .*GiB of space for x\.zip"):
            archives.obtain(on_server(hub, "x.zip", size=2**60), tmp_path / "top", "data=x", "get it")
        assert not hub.ranges


def test_without_a_network_the_message_gives_both_remedies(tmp_path, monkeypatch, no_wait):
    no_hub(monkeypatch)
    monkeypatch.setattr(fma, "SERVER", "http://127.0.0.1:9")
    with pytest.raises(GenreclfError, match=r"data=fma: .*fma_metadata.zip .*run the same command again.*data\.path"):
        data_folder(data_config("fma", path=tmp_path, cache=tmp_path))


@pytest.mark.parametrize(
    "members",
    [
        {"top/a": b"1", "top/../../out": b"x"},
        {"top/a": b"1" * 2_000_000},
        {f"top/{number}": b"" for number in range(101)},
    ],
    ids=["outside", "bytes", "files"],
)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_hostile_archive_writes_nothing(tmp_path, pack, members):
    archive = tmp_path / "in" / "x"
    archive.parent.mkdir()
    archive.write_bytes(pack(members))
    with pytest.raises(GenreclfError, match="x: cannot be unpacked"):
        archives.unpack(archive, tmp_path / "in" / "top", Limits(100, 10**6), "get it")
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "x"]


def test_a_link_in_a_zip_file_is_refused(tmp_path):
    link = zipfile.ZipInfo("top/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as content:
        content.writestr(link, "/etc")
    with pytest.raises(GenreclfError, match=r"x\.zip: cannot be unpacked"):
        archives.unpack(tmp_path / "x.zip", tmp_path / "top", Limits(100, 10**6), "get it")


@pytest.mark.parametrize(
    ("name", "kind", "link"),
    [
        ("link", tarfile.SYMTYPE, "/etc"),
        ("hard", tarfile.LNKTYPE, "top/a"),
        ("sub/escape", tarfile.SYMTYPE, "../../../out"),
        ("pipe", tarfile.FIFOTYPE, ""),
        ("device", tarfile.CHRTYPE, ""),
    ],
)
def test_a_link_or_device_in_a_tar_file_is_refused(tmp_path, name, kind, link):
    member = tarfile.TarInfo(f"top/{name}")
    member.type, member.linkname = kind, link
    with tarfile.open(tmp_path / "x", "w:gz") as content:
        content.addfile(tarfile.TarInfo("top/a"))
        content.addfile(member)
    with pytest.raises(GenreclfError, match=r"x: cannot be unpacked"):
        archives.unpack(tmp_path / "x", tmp_path / "top", Limits(100, 10**6), "get it")
    assert [path.name for path in tmp_path.rglob("*")] == ["x"]


def test_an_absolute_name_is_unpacked_inside_the_folder(tmp_path):
    (tmp_path / "x").write_bytes(tar_of({"/top/outside": b"x"}))
    archives.unpack(tmp_path / "x", tmp_path / "top", Limits(100, 10**6), "get it")
    assert (tmp_path / "top" / "top" / "outside").read_bytes() == b"x"


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_cut_or_damaged_archive_is_refused(tmp_path, pack):
    content = bytearray(pack({"top/a": bytes(range(256)) * 200, "top/b": b"2" * 1000}))
    cuts = [bytes(content[:size]) for size in (0, 50, len(content) // 2)]
    for number, fault in enumerate((*cuts, bytes(content[:60]) + b"\0" * 40 + content[100:])):
        archive = tmp_path / f"{number}"
        archive.write_bytes(fault)
        with pytest.raises(GenreclfError, match="cannot be unpacked"):
            archives.unpack(archive, tmp_path / "top", Limits(100, 10**6), "get it")
        assert not (tmp_path / "top").exists()


def test_ballroom_is_downloaded_where_it_is_missing(tmp_path, monkeypatch, capsys):
    members = {f"BallroomData/{dance}/Media-{n}.wav": b"" for n, dance in enumerate(ballroom.DANCES)}
    with local_hub(monkeypatch, tar_of(members)) as hub:
        monkeypatch.setattr(ballroom, "ARCHIVE", on_server(hub, "data1.tar.gz"))
        data = data_config("ballroom", path=tmp_path / "new", cache=tmp_path)
        assert data_folder(data) == tmp_path / "new" / "BallroomData"
        assert len(sources_of(data, data_folder(data))) == 8 and len(hub.ranges) == 1
    assert "research only" in capsys.readouterr().err
