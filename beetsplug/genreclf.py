"""The beets plugin `genreclf`: gives genres to songs without one, at import and with `beet genreclf`."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING

from beets.library import Album, Item, Library
from beets.plugins import BeetsPlugin
from beets.ui import Subcommand, UserError, should_write
from beets.util import displayable_path
from confuse import Optional

from genreclf.cores import cores
from genreclf.errors import GenreclfError
from genreclf.inference.library import predict_files
from genreclf.inference.predictor import Prediction, Predictor, load_predictor
from genreclf.inference.results import prediction_row
from genreclf.inference.task import MULTILABEL
from genreclf.progress import progress_bar
from genreclf.tags.choice import LEAST, answer, rules_for
from genreclf.tags.plan import join_genres
from genreclf.text import one_line

if TYPE_CHECKING:
    from beets.importer import ImportSession, ImportTask

GIVEN, KEPT, UNSURE, FAILED = "given a genre", "keep theirs", "without a sure answer", "not readable"


class GenreclfPlugin(BeetsPlugin):
    """Reads its settings from the section `genreclf` of beets' configuration."""

    def __init__(self) -> None:
        super().__init__("genreclf")
        self.config.add(
            {
                "auto": True,  # at import
                "model": "a",  # a pretrained model's name, a run or a bundle
                "min": None,  # genres of a lower probability are not used; null: 0.8, or 0 with task=multilabel
                "overwrite": False,  # also the genres that songs have
            }
        )
        if "genres" not in Item._fields:
            raise UserError("genreclf: this beets has no field genres; pip install --upgrade beets")
        if self.config["auto"].get(bool):
            self.import_stages = [self.imported]

    def commands(self) -> list[Subcommand]:
        """`beet genreclf`."""
        command = Subcommand("genreclf", help="find the genre of songs by their sound")
        option = command.parser.add_option
        option("-p", "--pretend", action="store_true", default=False, help="show what would happen, change nothing")
        option("-o", "--overwrite", action="store_true", default=None, help="also songs that have a genre")
        least = f"least probability of a genre that is used ({LEAST}; with task=multilabel: 0)"
        option("--min", type="float", metavar="P", help=least)
        option("--model", metavar="MODEL", help="a pretrained model's name, a run or a bundle (a)")
        command.func = self._command
        return [command]

    def imported(self, session: "ImportSession", task: "ImportTask") -> None:
        """Gives genres to the songs of an import, before beets writes them to the files."""
        try:
            self._give_genres(task.imported_items())
            if task.is_album:
                self._give_genre_to_album(task.album)
        except (GenreclfError, UserError) as error:  # of the model or a setting: the import goes on
            self._log.error("{}", error)

    def _command(self, library: Library, options: Values, arguments: list[str]) -> None:
        self.config.set_args({key: value for key, value in vars(options).items() if value is not None})
        try:
            items = list(library.items(arguments))
            counts = self._give_genres(items, pretend=options.pretend, write=should_write())
        except GenreclfError as error:
            raise UserError(str(error)) from error
        parts = [f"{counts[outcome]} {outcome}" for outcome in (GIVEN, KEPT, UNSURE, FAILED) if counts[outcome]]
        songs = f"{len(items)} song{'s' * (len(items) != 1)}"
        self._log.info("{}{}: {}", songs, ", nothing is changed" * options.pretend, ", ".join(parts))
        if not options.pretend:
            for album in {item.album_id: item.get_album() for item in items}.values():
                self._give_genre_to_album(album)

    def _give_genres(self, items: Sequence[Item], pretend: bool = False, write: bool = False) -> Counter[str]:
        """Stores the genres, and writes them to the files if asked; how many songs had each outcome."""
        least, overwrite = self._least, self.config["overwrite"].get(bool)
        without = [item for item in items if overwrite or not item.genres]
        counts = Counter({KEPT: len(items) - len(without)})
        for item, found in self._predictions(without):
            if isinstance(found, GenreclfError):
                counts[FAILED] += 1
                self._log.error("{}", found)
                continue
            name, (genres, probability, sure) = one_line(displayable_path(item.path)), self._answer(found, least)
            counts[GIVEN if sure else UNSURE] += 1
            if sure:
                self._log.info("{}: {} ({:.0%})", name, join_genres(genres), probability)
                if not pretend:
                    _store(item, genres, write)
            else:
                self._log.info("{}: {}", name, found.no_genre or f"{join_genres(genres)}? only {probability:.0%}")
        return counts

    def _answer(self, found: Prediction, least: float | None) -> tuple[tuple[str, ...], float, bool]:
        """The genres of a song, their probability, and whether that is high enough."""
        wanted = rules_for(least, overwrite=True, genres=None, multilabel=found.task == MULTILABEL)
        genres, probability = answer(prediction_row(found, self._predictor.info.classes, segments=False), wanted)
        return genres, probability, bool(genres) and probability >= wanted.least

    def _predictions(self, items: Sequence[Item]) -> Iterator[tuple[Item, Prediction | GenreclfError]]:
        if not items:
            return
        paths = [Path(os.fsdecode(item.path)) for item in items]
        found = predict_files(self._predictor, paths, cores())
        with progress_bar("finding genres", "songs") as report:
            for number, (item, (_, prediction)) in enumerate(zip(items, found, strict=True), 1):
                report(number, len(items))
                yield item, prediction

    @property
    def _least(self) -> float | None:
        least = self.config["min"].get(Optional(float))
        if least is not None and not 0 <= least <= 1:
            raise UserError(f"genreclf: min={least}: give a probability from 0 to 1")
        return least

    @cached_property
    def _predictor(self) -> Predictor:
        return load_predictor(self.config["model"].as_str())

    def _give_genre_to_album(self, album: Album | None) -> None:
        """An album without a genre gets the most frequent one of its songs; the songs keep theirs."""
        if album is None or (album.genres and not self.config["overwrite"].get(bool)):
            return
        counts = Counter(genre for item in album.items() for genre in item.genres or ())
        if counts:
            album.genres = [min(counts, key=lambda genre: (-counts[genre], genre))]
            album.store(inherit=False)


def _store(item: Item, genres: Sequence[str], write: bool) -> None:
    item.genres = list(genres)
    item.store()
    if write:
        item.try_write()
