"""A run folder that is lost while its run trains."""

from pathlib import Path

import pytest

from genreclf.errors import GenreclfError
from genreclf.inference.run_folder import CONFIG_YAML
from genreclf.training.folder import InPlace, locked


@pytest.mark.parametrize("change", ["moved", "replaced", "emptied"])
def test_a_training_whose_folder_is_lost_ends(change: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / CONFIG_YAML).touch()
    with locked(run):
        callback = InPlace(run)
        callback.on_train_epoch_end(None, None)
        if change == "emptied":
            (run / CONFIG_YAML).unlink()
        else:
            run.rename(tmp_path / "elsewhere")
        if change == "replaced":
            run.mkdir()
            (run / CONFIG_YAML).touch()
            with locked(run):  # another run trains there
                pass
        for hook, *error in (
            (callback.on_validation_end,),
            (callback.on_train_epoch_end,),
            (callback.on_exception, OSError()),
        ):
            with pytest.raises(GenreclfError, match=f"run={run}: deleted, moved or replaced"):
                hook(None, None, *error)
