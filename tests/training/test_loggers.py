"""The loggers that a configuration may name. Their records are tested with the services."""

import pytest
from lightning.pytorch.loggers import CSVLogger

from genreclf.errors import GenreclfError
from genreclf.training.loggers import new_loggers


def test_a_lightning_logger_gets_its_arguments(tmp_path):
    group = {"csv": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path), "name": "log"}}
    (made,) = new_loggers(group, tmp_path).lightning
    assert isinstance(made, CSVLogger) and made.name == "log"


@pytest.mark.parametrize(
    "target",
    ["os.system", "lightning.pytorch.loggers.tensorboard.os.system", "genreclf.training.record.subprocess.run", None],
)
def test_a_run_folder_from_elsewhere_starts_no_other_code(target, tmp_path):
    made = tmp_path / "made"
    with pytest.raises(GenreclfError, match=r"^logger\.x: .*logger=NAME"):
        new_loggers({"x": {"_target_": target, "command": f"touch {made}"}}, tmp_path)
    assert not made.exists()


@pytest.mark.parametrize("arguments", [{}, {"save_dir": ".", "nmae": "x"}])
def test_an_error_in_a_library_names_the_logger(arguments, tmp_path):
    with pytest.raises(GenreclfError, match=r"^logger\.x: .*(save_dir|nmae)"):
        new_loggers({"x": {"_target_": "lightning.pytorch.loggers.CSVLogger", **arguments}}, tmp_path)
