from hypothesis import given
from hypothesis import strategies as st

from genreclf.errors import GenreclfError, one_line


@given(st.text(st.characters()))
def test_any_text_is_one_line_and_stays_it(text):
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line == str(GenreclfError(text))


def test_what_a_terminal_shows_is_left_alone():
    assert one_line("Música d'été 歌 \\ \udcff") == "Música d'été 歌 \\ \udcff"
    assert one_line("a\nb\x1b[2J\u2028") == r"a\nb\x1b[2J\u2028"
