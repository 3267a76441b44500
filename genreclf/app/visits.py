"""Keeps the songs of each page in the browser on the server: they survive a change of page, Back and a reload."""

import hashlib
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from genreclf.errors import GenreclfError
from genreclf.inference.results import Row

MAX_SONGS = 200
MAX_VISIT_BYTES = 256 * 1024**2
KEPT_SECONDS = 15 * 60  # after the page is closed
_MAX_VISITS = 100
_MAX_BYTES = 1024**3  # all visits together
_CLOSED_BYTES = 32 * 1024**2  # all visits with a closed page together, apart from the last one


@dataclass(frozen=True)
class Song:
    """An upload, recording or demo."""

    name: str
    content: bytes = field(repr=False)
    synthetic: bool = False  # a demo, which is not music by people

    @cached_property
    def digest(self) -> str:
        """A digest of the content."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def id(self) -> str:
        """A digest of content and name."""
        return hashlib.sha256(self.digest.encode() + self.name.encode(errors="surrogatepass")).hexdigest()[:16]


@dataclass(eq=False)
class Visit:
    """The songs of a page in the browser, in the order of upload, and its settings and corrections."""

    key: str  # part of the page's address; impossible to guess
    songs: dict[str, Song] = field(default_factory=dict)  # by id
    wanted: list[str] = field(default_factory=list)  # ids; the first one that can be read is shown
    refusals: list[str] = field(default_factory=list)  # of the last upload
    rows: dict[tuple[str, ...], Row] = field(default_factory=dict)  # results, by the song's id and the settings
    settings: dict[str, Any] = field(default_factory=dict)
    corrections: dict[str, str] = field(default_factory=dict)  # genres by the song's id
    history: list[tuple[str, str | None]] = field(default_factory=list)  # for undo: songs and their former genres
    sessions: set[str] = field(default_factory=set, repr=False)
    seen: float = 0.0  # when its page was last known to be open
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def used(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self.songs or self.settings)

    @property
    def bytes(self) -> int:
        """The total size of the songs."""
        return sum(len(song.content) for song in list(self.songs.values()))

    @property
    def corrected(self) -> list[tuple[Song, str]]:
        """The songs with a correction, and their correct genres."""
        with self.lock:
            return [(self.songs[song], genre) for song, genre in self.corrections.items()]

    def add(self, songs: Iterable[Song]) -> None:
        """Adds the songs of an upload; the first will be shown. Songs beyond the limits are refused."""
        with self.lock:
            self.refusals, self.wanted = [], []
            for song in songs:
                try:
                    self._check_room(song)
                except GenreclfError as error:
                    self.refusals.append(str(error))
                else:
                    self.songs[song.id] = song
                    self.wanted.append(song.id)

    def _check_room(self, song: Song) -> None:
        if song.id in self.songs:
            return
        if len(self.songs) >= MAX_SONGS:
            raise GenreclfError(f"{song.name}: this page has {MAX_SONGS} songs already; remove some first")
        if self.bytes + len(song.content) > MAX_VISIT_BYTES:
            limit = MAX_VISIT_BYTES // 1024**2
            raise GenreclfError(f"{song.name}: the songs of this page may have {limit} MiB together; remove some first")

    def remove(self, song: str) -> None:
        """Removes a song, its results and its correction."""
        with self.lock:
            self.songs.pop(song, None)
            self.corrections.pop(song, None)
            self.history = [(other, before) for other, before in self.history if other != song]
            self.wanted = [other for other in self.wanted if other != song]
            self.rows = {key: row for key, row in self.rows.items() if key[0] != song}

    def correct(self, song: str, genre: str | None) -> None:
        """Sets the correct genre of a song; None removes it."""
        with self.lock:
            before = self.corrections.get(song)
            if song in self.songs and genre != before:
                self._set(song, genre)
                self.history.append((song, before))

    def undo(self) -> None:
        """Undoes the last change of a correction, if there is one."""
        with self.lock:
            if self.history:
                self._set(*self.history.pop())

    def _set(self, song: str, genre: str | None) -> None:
        if genre is None:
            self.corrections.pop(song, None)
        else:
            self.corrections[song] = genre


class Visits:
    """All visits, shared by all sessions, with limits on their number, size and age.

    `is_open` returns whether a session's page is open.
    """

    def __init__(self, is_open: Callable[[str], bool], now: Callable[[], float] = time.monotonic) -> None:
        self._is_open, self._now = is_open, now
        self._visits: dict[str, Visit] = {}  # the least recently used first
        self._lock = threading.Lock()

    def open(self, key: str | None, session: str) -> Visit:
        """Returns the visit with this key, or a new one, and adds the session to it."""
        with self._lock:
            visit = self._visits.pop(key or "", None) or Visit(secrets.token_urlsafe(16))
            self._visits[visit.key] = visit
            visit.sessions.add(session)
            visit.seen = self._now()
        self.sweep()
        return visit

    def has(self, key: str) -> bool:
        """Returns whether a visit is still kept."""
        with self._lock:
            return key in self._visits

    def sweep(self) -> None:
        """Drops expired visits and those beyond the limits: closed before open ones, least recently used first."""
        with self._lock:
            now, latest = self._now(), list(reversed(self._visits.values()))
            for visit in latest:
                visit.sessions = {session for session in visit.sessions if self._is_open(session)}
                visit.seen = now if visit.sessions else visit.seen
            opened = [visit for visit in latest if visit.sessions]
            closed = [visit for visit in latest if not visit.sessions and now - visit.seen <= KEPT_SECONDS]
            kept = _within(_MAX_BYTES, [*opened, *_within(_CLOSED_BYTES, closed, 1)])[:_MAX_VISITS]
            self._visits = {visit.key: visit for visit in self._visits.values() if visit in kept}


def _within(limit: int, visits: list[Visit], least: int = 0) -> list[Visit]:
    """Returns as many visits as `limit` allows in bytes, from the first on, and at least the first `least`."""
    totals = itertools.accumulate(visit.bytes for visit in visits)
    return visits[: max(least, sum(total <= limit for total in totals))]
