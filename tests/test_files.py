import os
import threading
from pathlib import Path

import pytest

from genreclf import files
from genreclf.csv_text import read_csv_text
from genreclf.data.path_list import read_paths
from genreclf.errors import GenreclfError
from genreclf.files import user_path, write_atomically, write_once
from genreclf.inference.journal import Journal
from genreclf.tags.genre_log import read_log


@pytest.mark.parametrize(
    ("word", "meant"),
    [("~", "/home/me"), ("~/a", "/home/me/a"), ("./~", "~"), ("a/~", "a/~"), ("~$a.mp3", "~$a.mp3"), ("./~a", "~a")],
)
def test_only_a_tilde_for_a_home_folder_is_replaced(monkeypatch, word, meant):
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path(word) == Path(meant)


def test_a_missing_home_folder_is_one_line(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", os.fspath)
    with pytest.raises(GenreclfError, match=r"^~/a: .*HOME"):
        user_path("~/a")


@pytest.mark.parametrize("content", ["text: ä\n", b"\x00\xff", "name \udcff in Latin-1"])
def test_content_is_written_unchanged(tmp_path, content):
    write_atomically(tmp_path / "file", content)
    expected = content if isinstance(content, bytes) else os.fsencode(content)
    assert (tmp_path / "file").read_bytes() == expected
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_permissions_of_a_file_are_kept(tmp_path):
    write_atomically(tmp_path / "file", "old")
    (tmp_path / "file").chmod(0o640)
    write_atomically(tmp_path / "file", "new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("write", [write_atomically, write_once])
def test_an_error_names_the_users_file(tmp_path, write):
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "missing" / "file", "")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "missing" / "file"), None)


def test_a_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/file")
    for content in ("old", "new"):
        write_atomically(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "elsewhere" / "file").read_text() == content


def test_a_pipe_takes_the_content_and_stays_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    found = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_atomically(tmp_path / "pipe", "content")
    reader.join()
    assert (found, (tmp_path / "pipe").is_fifo()) == ([b"content"], True)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(Path("/dev/full"), "content")
    assert Path("/dev/full").is_char_device()


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_atomically(tmp_path / "file", "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(tmp_path / "file", "new")
    assert caught.value.filename == str(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_of_killed_processes_are_removed_but_not_those_of_running_ones(tmp_path, monkeypatch):
    def killed(descriptor: int) -> None:
        os._exit(9)

    child = os.fork()
    if not child:
        os.fsync = killed
        write_atomically(tmp_path / "file", "cut short")
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()

    def other_writes(descriptor: int) -> None:
        monkeypatch.undo()
        (own,) = tmp_path.iterdir()
        assert own != left
        files._tidied.clear()  # as in another process
        write_atomically(tmp_path / "other", "whole")

    monkeypatch.setattr(os, "fsync", other_writes)
    write_atomically(tmp_path / "file", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "new", "other": "whole"}


@pytest.mark.parametrize(
    "read",
    [
        lambda file: read_csv_text(file, f"table {file}"),
        lambda file: read_paths(file, f"list {file}"),
        lambda file: read_log(file),
        lambda file: Journal(file, "model"),
    ],
)
def test_a_device_without_an_end_is_one_line(read):
    with pytest.raises(GenreclfError, match=r"/dev/zero: .*a device, not a file"):
        read(Path("/dev/zero"))


def test_a_pipe_is_read_to_its_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("path\nx.wav\n"))
    writer.start()
    assert read_csv_text(tmp_path / "pipe", "table").text == "path\nx.wav\n"
    writer.join()


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"PK\x03\x04x", "spreadsheet"), (b"PAR1x", "Parquet"), (b"\x1f\x8bx", "gzip"), (b'[{"path": "x"}]', "JSON")],
)
def test_tables_in_other_formats_are_named(tmp_path, content, kind):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(GenreclfError, match=rf"^table: .*{kind}.*export it as CSV"):
        read_csv_text(tmp_path / "table.csv", "table")


def test_blank_lines_before_the_header_count_as_lines(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"\r\n \r\nsep=;\r\na;b\r\n\r\n1;" + b"2" * 200_000 + b"\r\n")
    table = read_csv_text(tmp_path / "table.csv", "table")
    assert table.header(";") == ("a", "b") and list(table.rows(";")) == [(6, ["1", "2" * 200_000])]


def test_an_unclosed_quote_does_not_swallow_the_following_rows(tmp_path):
    (tmp_path / "table.csv").write_text('a,b\n1,"2\n3,4\n')
    with pytest.raises(GenreclfError, match=r"^table: line 2 has a quote that is not closed"):
        list(read_csv_text(tmp_path / "table.csv", "table").rows(","))


def test_a_journal_on_a_full_disk_is_named():
    with pytest.raises(GenreclfError, match=r"--journal /dev/full: No space left on device; "):
        journal = Journal.__new__(Journal)
        journal.file = Path("/dev/full")
        journal._append(b"{}")
