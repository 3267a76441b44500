"""The folder of a data set's clips: where it is, and what puts the clips there."""

from pathlib import Path

from genreclf.data.data_config import GTZAN, DataConfig
from genreclf.data.demo import write_demo
from genreclf.data.gtzan import find_genres, gtzan_folder
from genreclf.data.layouts import kaggle_folder
from genreclf.data.public_sets import public_layout, public_set
from genreclf.errors import GenreclfError
from genreclf.frontend.object_store import Location, StorePath
from genreclf.progress import progress_bar


def on_disk(folder: Location) -> Path:
    """Returns the folder unchanged if it is on a disk. Raises GenreclfError for an object store."""
    if isinstance(folder, StorePath):
        reads = "an object store is read with data=folder, with its genres as folders or in data.table"
        raise GenreclfError(f"data.path={folder}: {reads}; copy it to a disk for anything else")
    return folder


def data_folder(config: DataConfig) -> Location:
    """Returns the folder of the clips. Downloads public data sets and renders demo music if they are missing."""
    if config.fetch == GTZAN:
        return gtzan_folder(on_disk(config.path))
    if config.fetch is not None:
        return public_layout(public_set(config.fetch, config.name), on_disk(config.path), config.subset or "").audio
    if config.demo_clips_per_style == 0:
        return config.path if isinstance(config.path, StorePath) else kaggle_folder(config.path) or config.path
    folder = _demo_folder(config)
    with progress_bar("rendering demo music", "clips") as report:
        write_demo(folder, config.demo_clips_per_style, config.demo_seconds, config.demo_seed, report)
    return folder


def check_in_place(config: DataConfig) -> None:
    """Raises GenreclfError if `data_folder` would download the data set or render the demo music."""
    if config.fetch == GTZAN:
        found = find_genres(on_disk(config.path)) is not None
    elif config.fetch is not None:
        public = public_set(config.fetch, config.name)
        found = public.find(on_disk(config.path), config.subset or "") is not None
    else:
        found = config.demo_clips_per_style == 0 or _demo_folder(config).is_dir()
    if not found:
        raise GenreclfError(f"data.path={config.path}: does not contain data={config.name}; give the folder that does")


def _demo_folder(config: DataConfig) -> Path:
    """Returns the folder of the demo music, which has one for each of its settings."""
    name = f"{config.demo_clips_per_style}x{config.demo_seconds:g}s-seed{config.demo_seed}"
    return on_disk(config.path) / name
