"""The training precision on different machines."""

import pytest
import torch

from genreclf.training.precision import with_precision


@pytest.fixture
def machine(monkeypatch):
    def become(has_gpu: bool, **units: bool) -> None:
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: has_gpu)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)

    return become


@pytest.mark.parametrize(
    ("has_gpu", "units", "accelerator", "backbone", "expected"),
    [
        (False, {"avx512_bf16": True}, "auto", "cnn", "bf16-mixed"),
        (False, {"avx512_bf16": False, "amx_bf16": True}, "cpu", "cnn", "bf16-mixed"),
        (True, {"avx512_bf16": True}, "cpu", "cnn", "bf16-mixed"),
        (False, {"avx512_bf16": False, "avx2": True}, "auto", "cnn", "32-true"),
        (False, {}, "auto", "cnn", "32-true"),  # another architecture
        (True, {"avx512_bf16": True}, "auto", "cnn", "32-true"),
        (True, {"avx512_bf16": True}, "gpu", "cnn", "32-true"),
        (False, {"avx512_bf16": True}, "auto", "efficientnet", "32-true"),
    ],
)
def test_auto_is_bf16_only_on_a_cpu_with_bf16_units(has_gpu, units, accelerator, backbone, expected, machine):
    machine(has_gpu, **units)
    config = {
        "model": {"net": {"backbone": backbone}},
        "trainer": {"precision": "auto", "accelerator": accelerator, "devices": 1},
    }
    chosen = with_precision(config)
    assert chosen == {**config, "trainer": {**config["trainer"], "precision": expected}}
    assert config["trainer"]["precision"] == "auto"  # as it was typed


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", 32])
def test_a_given_precision_is_kept(precision, machine):
    machine(False, avx512_bf16=True)
    config = {"trainer": {"precision": precision, "accelerator": "auto"}}
    assert with_precision(config) == config
