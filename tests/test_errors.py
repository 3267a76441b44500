from hypothesis import given
from hypothesis import strategies as st

from genreclf.errors import GenreclfError
from genreclf.text import one_line


@given(st.text(st.characters()))
def test_any_text_becomes_one_line(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line == str(GenreclfError(text))


def test_printable_text_is_unchanged():
    assert one_line("Música d'été 歌 \\ \udcff") == "Música d'été 歌 \\ \udcff"
    assert one_line("a\nb\x1b[2J\u2028") == r"a\nb\x1b[2J\u2028"
