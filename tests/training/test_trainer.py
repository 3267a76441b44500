"""The arguments of Lightning's Trainer that a run accepts."""

from types import SimpleNamespace

import pytest
import yaml
from data_config import of_yaml
from hypothesis import given
from hypothesis import strategies as st
from lightning import Trainer

from genreclf.config import build, config_folder
from genreclf.errors import GenreclfError
from genreclf.training.optim_config import OptimConfig
from genreclf.training.trainer import check_trainer, check_validation, fit

DEFAULTS = {
    **yaml.safe_load((config_folder() / "trainer" / "default.yaml").read_text()),
    **{"max_epochs": 1, "precision": "32-true"},
}
VALID = {
    "accumulate_grad_batches": 2,
    "deterministic": "warn",
    "devices": [0],
    "gradient_clip_val": 1,
    "limit_train_batches": 0.5,
    "max_time": "00:01:00:00",
    "profiler": "simple",
    "strategy": "auto",
    "val_check_interval": 0.5,
}


@pytest.mark.parametrize("key", VALID)
def test_values_that_lightning_takes_are_accepted(key):
    check_trainer({**DEFAULTS, key: VALID[key]}, None)
    Trainer(**{**DEFAULTS, "accelerator": "cpu", "logger": False, key: 1 if key == "devices" else VALID[key]})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("deterministic", "foo"), ("benchmark", 1), ("sync_batchnorm", "yes"), ("enable_progress_bar", "no")),
        *(("max_steps", "many"), ("num_nodes", None), ("limit_train_batches", "half"), ("gradient_clip_val", True)),
        *(("gradient_clip_val", -1), ("gradient_clip_val", float("nan"))),
        *(("accumulate_grad_batches", 0), ("accumulate_grad_batches", 1.5), ("max_epochs", True)),
    ],
)
def test_a_value_of_another_type_is_refused(key, value):
    """Lightning accepts some of these, and then ignores them or fails during training."""
    with pytest.raises(GenreclfError, match=rf"^trainer\.{key}=.*(expected|give) "):
        check_trainer({**DEFAULTS, key: value}, None)


@pytest.mark.parametrize(
    ("key", "value", "remedy"),
    [
        *(("max_epochs", value, "whole number from 1") for value in ("many", 0)),
        ("check_val_every_n_epoch", 0, "whole number from 1"),
        *(("barebones", True, "leave it out"), ("logger", True, "logger=NAME")),
        *(("default_root_dir", "x", "run=FOLDER"), ("precision", "bf16-true", "bf16-mixed")),
    ],
)
def test_a_value_with_which_no_run_is_made_is_refused_with_the_remedy(key, value, remedy):
    with pytest.raises(GenreclfError, match=rf"^trainer\.{key}=.*{remedy}"):
        check_trainer({**DEFAULTS, key: value}, None)


@pytest.mark.parametrize(
    ("changes", "checkpoint", "parts"),
    [
        ({"limit_val_batches": 0}, "best", ("optim.checkpoint=best", "limit_val_batches=0", "optim.checkpoint=last")),
        (
            {"max_epochs": 2, "check_val_every_n_epoch": 3},
            "last",
            ("optim.schedule=plateau", "check_val_every_n_epoch=3", "optim.schedule=onecycle"),
        ),
    ],
)
def test_settings_that_need_a_validation_are_refused_without_one(changes, checkpoint, parts):
    values = {**of_yaml("optim", "original"), "learning_rate": 1e-3, "backbone_rate": 1.0, "checkpoint": checkpoint}
    optim = build(OptimConfig, values, "optim")
    check_validation({**DEFAULTS, "max_epochs": 3}, optim, 3)
    with pytest.raises(GenreclfError) as refused:
        check_validation({**DEFAULTS, **changes}, optim, 3)
    assert all(part in str(refused.value) for part in parts)


@given(st.dictionaries(st.sampled_from(sorted(VALID)), st.none() | st.booleans() | st.integers() | st.text(max_size=3)))
def test_whatever_the_values_are_a_mistake_names_its_key(values):
    try:
        check_trainer({**DEFAULTS, **values}, None)
    except GenreclfError as error:
        assert str(error).partition("=")[0].removeprefix("trainer.") in values


def test_a_resumed_run_without_a_checkpoint_says_that_it_starts_anew(tmp_path, capsys):
    run = SimpleNamespace(batch_size=2)
    settings = SimpleNamespace(folder=tmp_path, before=object(), checkpoint=None, first=True, run=run)
    trainer = SimpleNamespace(fit=lambda *_, **__: None)
    fit(settings, trainer, None, None)
    assert str(tmp_path / "last.ckpt") in capsys.readouterr().out
    settings.checkpoint = tmp_path / "last.ckpt"
    fit(settings, trainer, None, None)
    assert capsys.readouterr().out == ""
