"""Writes and reads checkpoints."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from genreclf.errors import GenreclfError, reason
from genreclf.files import check_ends, write_atomically


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoint files that survive a kill or a full disk, in a folder that may be moved."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint, and replaces an older file only when the new one is complete.

        Lightning would write to the system's temporary folder and move the file from there. If that is another file
        system, the file would be copied over the old one.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint, also one from a GPU, and moves the paths in the callbacks' state to its folder.

        If its folder had another name, ModelCheckpoint would forget the best accuracy and write a worse best.ckpt.
        Raises GenreclfError for a damaged file.
        """
        folder = Path(path).parent.resolve()  # as ModelCheckpoint has it
        try:
            checkpoint = read_checkpoint_file(Path(path), map_location)
            for state in checkpoint["callbacks"].values():
                if "dirpath" in state:
                    state.update(_in_folder(state, folder))
                    check_kept(state["best_model_path"])
        except (OSError, GenreclfError):
            raise
        except Exception as error:  # of many classes
            raise GenreclfError(f"{path}: damaged ({reason(error)}); copy it again, or start a new run") from error
        return checkpoint


def check_kept(file: str | Path) -> None:
    """Raises GenreclfError if the checkpoint that is kept is missing; an empty text means that there is none yet."""
    if file and not Path(file).is_file():
        raise GenreclfError(f"{file}: missing; copy the run again, or start a new one")


def read_checkpoint_file(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads the content of a checkpoint; only tensors and plain data are unpickled.

    Raises OSError if the file cannot be read, and ValueError or torch's exceptions if it is not a checkpoint.
    """
    with check_ends(path).open("rb") as file:
        if not zipfile.is_zipfile(file):  # torch would read it as a file of its early versions
            raise ValueError("not an archive of tensors")
    content: dict[str, Any] = torch.load(path, map_location, weights_only=True)
    return content


def _in_folder(state: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the entries of ModelCheckpoint's state that contain its folder, changed to `folder`."""

    def moved(path: str) -> str:
        return str(folder / Path(path).name) if path else path

    names = ("best_model_path", "kth_best_model_path", "last_model_path")
    best = {moved(path): score for path, score in state["best_k_models"].items()}
    return {"dirpath": str(folder), "best_k_models": best, **{name: moved(state[name]) for name in names}}
