"""The settings of a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from genreclf.config import Limits, check_choice, check_fields
from genreclf.data.genre_map import GenreMap, load_genre_map
from genreclf.data.public_sets import HUB, PUBLIC_SETS, public_set
from genreclf.errors import GenreclfError
from genreclf.frontend.band_axis import FigureAxis
from genreclf.frontend.object_store import Location
from genreclf.inference.task import MULTICLASS, MULTILABEL, TASKS

DEMO = "demo"
GTZAN = "gtzan"  # a public data set without tables


@dataclass(frozen=True)
class DataConfig:
    """Settings of a data set. Raises GenreclfError for values that are out of range, unknown or contradictory."""

    name: str
    path: Location  # contains one folder per class, or the files that `table` names
    cache: Path  # for spectrograms and demo music
    picture_seconds: Annotated[float, Limits(above=0, at_most=100_000)]  # what a whole picture shows
    figure: str  # frequency axis of figures: bands, mel, linear, log, or auto, which detects it
    figure_hz: float  # the end of that axis, for figures that do not show it
    # A public data set, in `path` in one of its usual layouts, or downloaded to it
    fetch: Annotated[str | None, (GTZAN, *PUBLIC_SETS, HUB, None)]
    subset: str | None  # of that data set
    table: Path | None  # a CSV of genres (instead of folders), artists, titles, groups and folds
    tags: bool  # take genres, artists, albums and titles from the files' tags, unless `table` gives others
    genre_map: str | None  # maps genres in tags: gtzan, a CSV with the columns tag and genre; null: unchanged
    none: str | None  # the genre of clips that are of none of the classes; they train, but are not scored
    drop: Path | None  # a list of paths, relative to the clips' folder, of clips to leave out
    # stem: clips whose names number the pieces of one clip are a group; null: only reported
    group: Annotated[str | None, (None, "stem")]
    # single: each clip without an artist is a separate group; together: one group per class
    unknown_artists: Annotated[str, ("single", "together")]
    label_conflicts: Annotated[str, ("keep", "drop")]  # duplicate recordings in several classes
    rare_classes: Annotated[str, ("refuse", "drop")]  # classes with too few clips for the split
    demo_clips_per_style: int  # 0: `path` is the user's data
    demo_seconds: float
    demo_seed: int
    task: str = MULTICLASS  # or multilabel; has a default because runs of earlier versions lack it

    def __post_init__(self) -> None:
        if not self.name:
            raise GenreclfError("data.name: is empty; give a name")
        check_fields(self, "data")
        try:
            _ = self.figure_axis  # refuses unknown kinds
        except GenreclfError as error:
            raise GenreclfError(f"data.{error}") from error
        if self.demo_clips_per_style and self.name != DEMO:
            where = f"data.demo_clips_per_style={self.demo_clips_per_style}"
            raise GenreclfError(f"{where}: data={self.name} is not demo music; leave it out, or give data={DEMO}")
        self._check_task()
        self._check_public()
        if self.genre_map is not None and not self.tags:
            raise GenreclfError(f"data.genre_map={self.genre_map}: needs genres from tags; also give data=tags")

    def _check_task(self) -> None:
        check_choice("task", self.task, TASKS)
        if self.task == MULTILABEL and self.none is not None:
            remedy = "leave out data.none, because each genre is distinguished from all other music anyway"
            raise GenreclfError(f"data.none={self.none}: not used with task=multilabel; {remedy}")

    def _check_public(self) -> None:
        subsets = public_set(self.fetch, self.name).subsets if self.fetch not in (None, GTZAN) else ()
        if subsets is not None and (self.subset or "") not in (subsets or ("",)):
            hint = f"known: {', '.join(subsets)}" if subsets else "this data set has no subsets; remove it"
            raise GenreclfError(f"data.subset={self.subset or 'null'}: unknown; {hint}")
        if self.tags and self.public:
            raise GenreclfError(f"data.tags={self.tags}: data={self.fetch} has tables of genres; remove data.tags")

    @property
    def figure_axis(self) -> FigureAxis:
        """The frequency axis of figures."""
        return FigureAxis(self.figure, self.figure_hz)

    @property
    def public(self) -> bool:
        """Whether the clips come from a public data set with tables of genres."""
        return self.fetch not in (None, GTZAN)

    @property
    def names_artists(self) -> bool:
        """Whether the clips' artists may be known, from a table, tags or a public data set."""
        return self.table is not None or self.tags or self.public

    @property
    def tag_genres(self) -> GenreMap | None:
        """The map from genres in the files' tags, or None if tags are not read."""
        return load_genre_map(self.genre_map, self.none, self.task) if self.tags else None
