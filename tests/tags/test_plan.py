"""The plan as CSV: it is read back as written, also after a spreadsheet has saved it."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genreclf.errors import GenreclfError
from genreclf.tags.genre_log import read_log
from genreclf.tags.plan import ACTIONS, COLUMNS, PlanRow, append_rows, read_plan, split_genres, write_plan
from genreclf.text import escape_bytes, unescape_bytes

# File names: any bytes but NUL, as Python decodes them.
NAMES = st.one_of(
    st.binary(min_size=1, max_size=30).map(lambda name: name.replace(b"\0", b"x").decode(errors="surrogateescape")),
    st.sampled_from(
        [
            *("=cmd()", "+1", "-x", "@a", "'=a", "''-a", "'a", 'a"b', "a,b;c\td", "a\nb", "a\r\nb", " a "),
            *("\\udce9", "\udce9", "\\\udce9"),
        ]
    ),
    st.text(st.sampled_from('\\udce9a\udce9\x1b,;"\n'), min_size=1),
)
WORDS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)


def row(path: str, **changes: object) -> PlanRow:
    return replace(PlanRow(path, "write", "jazz", 0.91, 0.5, "", modified="1795965414"), **changes)


def as_read(one: PlanRow) -> PlanRow:
    return replace(one, probability=None, known=None, reason="")


@given(name=NAMES)
def test_any_file_name_is_escaped_to_text_and_back(name):
    text = escape_bytes(name)
    text.encode()
    assert unescape_bytes(text) == name
    if "udc" not in name and name.isprintable():
        assert text == name


@given(text=WORDS | st.text("'=+-@a", max_size=4))
def test_a_spreadsheet_finds_no_formula_in_a_plan(text, tmp_path_factory):
    file = tmp_path_factory.getbasetemp() / "plan.csv"
    write_plan([row(text or "a", present=text, note=text)], file)
    _, line = csv.reader(io.StringIO(file.read_text(), newline=""))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in line)
    assert read_plan(file)[0].present == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, max_size=4), words=st.tuples(WORDS, WORDS, WORDS), action=st.sampled_from(ACTIONS))
def test_a_plan_is_read_as_it_was_written(names, words, action, tmp_path):
    present, correct, note = words
    rows = [row(name, action=action, present=present, correct=correct, note=note) for name in names]
    write_plan(rows, tmp_path / "plan.csv")
    assert read_plan(tmp_path / "plan.csv") == list(map(as_read, rows))
    write_plan([], tmp_path / "other.csv")
    append_rows(rows, tmp_path / "other.csv")
    assert read_plan(tmp_path / "other.csv") == list(map(as_read, rows))


def edited(file: Path, encoding: str, columns: list[str], **form: object) -> None:
    """Saves a plan as a spreadsheet might, with more columns in another order."""
    rows = list(csv.DictReader(io.StringIO(file.read_text(), newline="")))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="mine", extrasaction="ignore", **form)
    writer.writeheader()
    writer.writerows(rows)
    file.write_bytes(text.getvalue().encode(encoding))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_a_plan_survives_a_spreadsheet(delimiter, encoding, line_end, quoting, tmp_path):
    rows = [
        row("a é.mp3", present="Jazz; Funk"),
        row("=cmd().mp3", correct="ska; dub"),
        row("b\udce9.mp3", action="skip"),
    ]
    file = tmp_path / "plan.csv"
    write_plan(rows, file)
    columns = ["mine", *reversed(COLUMNS), "more"]
    edited(file, encoding, columns, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    assert read_plan(file) == list(map(as_read, rows))
    if encoding == "utf-16":
        with pytest.raises(GenreclfError, match="UTF-8"):
            append_rows([row("new.mp3")], file)
        assert read_plan(file) == list(map(as_read, rows))
    else:
        append_rows([row("new, file; x.mp3")], file)
        assert read_plan(file) == list(map(as_read, [*rows, row("new, file; x.mp3")]))


def test_a_plan_in_windows_1252_is_read_and_reported(tmp_path, capsys):
    file = tmp_path / "plan.csv"
    write_plan([row("é.mp3")], file)
    edited(file, "cp1252", list(COLUMNS), delimiter=";")
    assert read_plan(file) == [as_read(row("é.mp3"))] and "UTF-8" in capsys.readouterr().err


def test_what_a_row_wants():
    assert row("x").wanted == ("jazz",)
    assert row("x", genre="pop; rock").wanted == ("pop", "rock")
    assert row("x", action="keep").wanted == row("x", action="skip").wanted == ()
    assert row("x", action="skip", correct=" ska ;; dub;").wanted == ("ska", "dub")
    assert split_genres("R&B/Soul") == ("R&B/Soul",) and split_genres(" ; ") == ()


@pytest.mark.parametrize(
    ("content", "key", "remedy"),
    [
        (b"", "path", "--plan"),
        (b"path,genre\nx,jazz\n", "action", "--plan"),
        (b"path,action,genre,present\nx,wrote,jazz,\n", "line 2", "correct"),
        (b"path,action,genre,present\nx\n", "line 2", "correct"),
        (b"\xff\xfe\0", "cannot be read", "UTF-8"),
        (None, "no such file", "give"),
    ],
)
def test_a_file_that_is_not_a_plan_is_one_line(content, key, remedy, tmp_path):
    file = tmp_path / "plan.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(GenreclfError) as error:
        read_plan(file)
    assert str(file) in str(error.value) and key in str(error.value) and remedy in str(error.value)


@pytest.mark.parametrize("content", [b"my notes\n", b'{"path": "x"}\n', b"[1]\n", b"\xff\n", None])
def test_a_file_that_is_not_a_log_is_one_line(content, tmp_path):
    file = tmp_path / "log"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(GenreclfError, match=f"{file}.*--apply"):
        read_log(file)
