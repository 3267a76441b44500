"""Names from outside as text: on one line, in Markdown, in a shell, in a table."""

import functools
import io
import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from genreclf.errors import GenreclfError
from genreclf.terminal import print_table
from genreclf.text import markdown_text, one_line, shell_command, utf8


@given(st.text(st.characters()))
def test_any_text_becomes_one_line(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1 and line == utf8(line) and not set(line) & set("\u202e\u200f\u2066\x1b\x9b")
    assert one_line(line) == line == str(GenreclfError(text))


def test_printable_text_is_unchanged():
    assert (
        one_line("Música d'été 歌 שלום می\u200cخواهم 👩\u200d🎤 \\")
        == "Música d'été 歌 שלום می\u200cخواهم 👩\u200d🎤 \\"
    )
    assert one_line("a\nb\x1b[2J\u2028\u202e\udcff") == r"a\nb\x1b[2J\u2028\u202e\udcff"
    assert utf8("a\n\x1b\udcff歌") == "a\n\x1b\\udcff歌"


@pytest.mark.parametrize(
    "word", ["a b", "it's", "$x `y` \\", "~/x", "two\nlines'", "caf\udce9 \x9b\u202e\\", "歌", "", "\x1b7f\u20281"]
)
def test_a_printed_command_can_be_pasted(word):
    line = shell_command("printf", "%s", word)
    assert len(line.splitlines()) == 1
    done = subprocess.run(["bash", "-c", os.fsencode(line)], capture_output=True, check=True)
    assert done.stdout == os.fsencode(word)


@settings(max_examples=60)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_a_name_in_markdown_is_text(name):
    reader = MarkdownIt("commonmark", {"linkify": False}).enable("table")
    (inline,) = [token for token in reader.parse(f"a {markdown_text(name)} b\n") if token.type == "inline"]
    assert {child.type for child in inline.children} <= {"text", "text_special"}
    assert "".join(child.content for child in inline.children) == f"a {one_line(' '.join(name.split()))} b"
    table = reader.parse(f"| x | y |\n|---|---|\n| {markdown_text(name)} | 1 |\n")
    assert [token.type for token in table].count("td_open") == 2


@pytest.fixture
def printed(monkeypatch):
    """Returns the output of print_table in a terminal of some width or in a pipe."""

    def show(*arguments, width: int | None = None) -> str:
        file = io.StringIO()
        console = functools.partial(
            Console, file=file, force_terminal=width is not None, width=width, color_system=None
        )
        monkeypatch.setattr("rich.console.Console", console)
        print_table(*arguments)
        return file.getvalue()

    return show


COLUMNS = [("system", "text"), ("other", "text"), *((f"number {place}", "number") for place in range(4))]
NAMES = ("x" * 255, "歌" * 60, "[red]:smile:[/x] $y$", "two\nlines \u202e")


@pytest.mark.parametrize("width", [20, 80])
def test_in_a_terminal_names_wrap_and_numbers_do_not(printed, width):
    text = printed(COLUMNS, [[name, name, *["-100.0 to 100.0"] * 4] for name in NAMES], "a title", width=width)
    assert text.count("-100.0 to 100.0") == 4 * len(NAMES) and "…" not in text
    column = "".join(line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│"))
    assert all(one_line(name).replace(" ", "") in column.replace(" ", "") for name in NAMES)


def test_in_a_pipe_a_row_is_a_line(printed):
    lines = printed(COLUMNS, [[name, "y", *["1.0"] * 4] for name in NAMES], "a title").splitlines()
    assert len(lines) == 5 + len(NAMES)
    assert all(sum(one_line(name) in line for line in lines) == 1 for name in NAMES)


def test_at_80_columns_the_tables_of_numbers_fit(printed):
    text = printed(
        [("TTA", "text"), *((f"{place}", "number") for place in range(6))], [["none", *["99.9%"] * 6]], width=80
    )
    assert max(map(len, text.splitlines())) <= 80
