"""Typed keys that have no effect with the other settings."""

from typing import Any

import pytest

from genreclf.errors import GenreclfError
from genreclf.training.unread_keys import check_typed_keys

CONFIG: dict[str, Any] = {
    "task": "multiclass",
    "model": {
        **{"name": "a", "kind": "classifier", "epochs": 3},
        **{"optimizer": "muon", "learning_rate": 1e-3, "backbone_rate": 2.0},
    },
    "data": {"name": "folder", "none": None, "demo_clips_per_style": 0},
    "optim": {"optimizer": "muon", "learning_rate": 1e-3, "backbone_rate": 1.0},
    "augment": {"time_mask_probability": 0.0, "frequency_mask_probability": 0.0},
    "trainer": {"max_epochs": 3},
    "init": None,
    "teacher": None,
}
SVM = {"model": {"name": "svm", "kind": "svm"}}
WITH_ALL = {
    "data": {"name": "demo", "none": "speech", "demo_clips_per_style": 20},
    "optim": {"optimizer": "adam", "learning_rate": 1e-3, "backbone_rate": 2.0},
    "augment": {"time_mask_probability": 0.1, "frequency_mask_probability": 0.0},
    "teacher": "vectors.npz",
}


@pytest.mark.parametrize(
    ("changes", "words", "why"),
    [
        (SVM, ("optim.learning_rate=1e-3", "optim=original", "++trainer.max_epochs=3", "augment=music"), "model=svm"),
        (SVM, ("init=a", "teacher=x.npz", "cuda_graph=true"), "model=svm"),
        ({"trainer": {"max_epochs": 0}, "init": "a"}, ("optim.schedule=plateau", "augment.mixup=1"), "max_epochs=0"),
        ({"init": "a"}, ("model.weights=lite0",), "init=a"),
        ({}, ("optim.teacher_weight=2",), "teacher"),
        ({}, ("optim.none_weight=2",), "data.none"),
        ({}, ("model.backbone_rate=2",), "optim.backbone_rate is 1.0"),
        ({"trainer": {"max_epochs": 2}}, ("model.epochs=3",), "trainer.max_epochs is 2"),
        ({"task": "multilabel"}, ("optim.prior_power=1",), "task=multilabel"),
        ({}, ("model.net.l2_head=1e-3",), "optim.optimizer=adam"),
        ({}, ("augment.mask_fill=0.5", "augment.mask_share=[0,1]"), "masks"),
        ({}, ("data.demo_seed=1",), "data=folder"),
    ],
)
def test_a_key_without_effect_is_refused_with_the_reason_or_reported_in_a_sweep(changes, words, why, capsys):
    for word in words:
        with pytest.raises(GenreclfError, match=word.lstrip("+").split("=")[0]) as refused:
            check_typed_keys({**CONFIG, **changes}, ["seed=1", word], of_several=False)
        assert why in str(refused.value) and "leave it out" in str(refused.value)
        check_typed_keys({**CONFIG, **changes}, ["seed=1", word], of_several=True)
        errors = capsys.readouterr().err
        assert word in errors and why in errors


@pytest.mark.parametrize("word", ["trainer.devices=1", "trainer.accelerator=cpu", "++trainer.strategy=ddp"])
def test_where_to_run_is_reported_but_not_refused(word, capsys):
    check_typed_keys({**CONFIG, **SVM}, [word], of_several=False)
    errors = capsys.readouterr().err
    assert word in errors and "without effect" in errors and "model=svm" in errors and errors.count("\n") == 1


@pytest.mark.parametrize("off", ["null", "none", "false", "0", "0.0"])
def test_values_that_switch_something_off_are_not_refused(off):
    check_typed_keys({**CONFIG, **SVM}, [f"teacher={off}", f"optim.ema_decay={off}"], of_several=False)


def test_keys_with_an_effect_are_not_refused():
    words = ["optim.teacher_weight=2", "optim.none_weight=2", "optim.prior_power=1", "model.net.l2_head=1"]
    words += ["augment.mask_fill=0", "augment=music", "trainer.max_epochs=3", "data.demo_seed=1", "optimizer=1"]
    check_typed_keys({**CONFIG, **WITH_ALL}, words, of_several=False)
    check_typed_keys(CONFIG, ["model.epochs=3", "model.learning_rate=1e-3"], of_several=False)
    only_prior = ["optim.prior_power=0", "optim=original"]
    check_typed_keys({**CONFIG, "trainer": {"max_epochs": 0}, "init": "a"}, only_prior, of_several=False)
