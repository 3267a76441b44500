"""The songs that the server keeps: for whom, for how long, and how many."""

from hypothesis import given
from hypothesis import strategies as st

from genreclf.app import visits
from genreclf.app.visits import KEPT_SECONDS, Song, Visit, Visits

MIB = 1024**2


class Server:
    """Visits with a clock, and pages that open and close."""

    def __init__(self) -> None:
        self.time, self.open_pages = 0.0, set[str]()
        self.visits = Visits(self.open_pages.__contains__, lambda: self.time)

    def page(self, session: str, key: str | None = None, mib: int = 0) -> Visit:
        self.open_pages.add(session)
        visit = self.visits.open(key, session)
        if mib:
            visit.add([Song(f"{session}.wav", bytes(mib * MIB))])
        return visit


def test_a_page_that_is_loaded_again_has_its_songs():
    server = Server()
    first = server.page("one", mib=1)
    server.open_pages.remove("one")
    server.time += KEPT_SECONDS - 1
    again = server.page("two", first.key)
    assert again is first and [song.name for song in again.songs.values()] == ["one.wav"]


def test_a_closed_page_loses_them_after_its_time_and_an_open_one_does_not():
    server = Server()
    closed, opened = server.page("one", mib=1), server.page("two", mib=1)
    server.open_pages.remove("one")
    server.time += 10
    server.visits.sweep()
    server.time += KEPT_SECONDS + 1
    server.visits.sweep()
    assert not server.visits.has(closed.key) and server.visits.has(opened.key)
    assert not server.page("three", closed.key).songs


def test_nobody_can_choose_or_guess_a_key():
    server = Server()
    visit = server.page("one", "chosen by someone")
    assert visit.key != "chosen by someone" and len(visit.key) >= 20
    assert server.page("two").key != visit.key


def test_closed_pages_keep_few_bytes_and_the_last_one_whole():
    server = Server()
    visits = []
    for number in range(5):
        visits.append(server.page(str(number), mib=12))
        server.open_pages.clear()
    server.visits.sweep()
    assert [server.visits.has(visit.key) for visit in visits] == [False, False, False, True, True]
    large = server.page("large", mib=40)
    server.open_pages.clear()
    server.visits.sweep()
    assert server.visits.has(large.key) and not server.visits.has(visits[-1].key)


def test_the_server_keeps_a_limited_number_of_pages(monkeypatch):
    monkeypatch.setattr(visits, "_MAX_VISITS", 3)
    server = Server()
    keys = [server.page(str(number)).key for number in range(5)]
    assert [server.visits.has(key) for key in keys] == [False, False, True, True, True]


def test_the_server_keeps_a_limited_number_of_bytes(monkeypatch):
    monkeypatch.setattr(visits, "_MAX_BYTES", 5 * MIB)
    server = Server()
    keys = [server.page(str(number), mib=2).key for number in range(4)]
    server.visits.sweep()
    assert [server.visits.has(key) for key in keys] == [False, False, True, True]


def test_an_upload_shows_its_first_song_and_refuses_what_is_too_much(monkeypatch):
    monkeypatch.setattr(visits, "MAX_SONGS", 3)
    visit = Visit("key")
    visit.add([Song("a", b"1")])
    visit.add([Song("b", b"2"), Song("c", b"3"), Song("d", b"4")])
    assert visit.songs[visit.wanted[0]].name == "b" and len(visit.songs) == 3
    assert len(visit.refusals) == 1 and visit.refusals[0].startswith("d: ")
    visit.add([Song("a", b"1")])  # again
    assert visit.songs[visit.wanted[0]].name == "a" and len(visit.songs) == 3 and not visit.refusals
    monkeypatch.setattr(visits, "MAX_VISIT_BYTES", 10)
    monkeypatch.setattr(visits, "MAX_SONGS", 9)
    visit.add([Song("large", bytes(8))])
    assert visit.refusals and visit.bytes == 3


def test_songs_of_one_name_or_one_content_are_two():
    visit = Visit("key")
    visit.add([Song("a", b"1"), Song("a", b"2"), Song("b", b"1")])
    assert len(visit.songs) == 3


def test_what_is_removed_is_gone_everywhere():
    visit = Visit("key")
    visit.add([Song("a", b"1"), Song("b", b"2")])
    first, second = visit.songs
    visit.rows[first, "model"] = visit.rows[second, "model"] = {}
    visit.correct(first, "jazz")
    visit.remove(first)
    assert [*visit.songs] == [second] == visit.wanted and [*visit.rows] == [(second, "model")]
    assert not visit.corrections and not visit.history


GENRES = st.one_of(st.none(), st.sampled_from(["jazz", "dub", "own"]))


@given(st.lists(st.tuples(st.integers(0, 2), GENRES), max_size=12))
def test_each_undo_goes_one_step_back(steps):
    visit = Visit("key")
    visit.add([Song(str(number), b"") for number in range(3)])
    states = [{}]
    for number, genre in steps:
        visit.correct(list(visit.songs)[number], genre)
        if visit.corrections != states[-1]:
            states.append(dict(visit.corrections))
    while len(states) > 1:
        assert visit.corrections == states.pop()
        visit.undo()
    assert visit.corrections == {} and not visit.history
