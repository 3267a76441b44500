"""Recorded steps without a GPU: a function that runs the step again replaces the recording."""

from types import SimpleNamespace

import lightning as L
import pytest
import torch
from data_config import of_yaml
from torch.utils.data import DataLoader

from genreclf.config import build
from genreclf.nets.config import ModelConfig
from genreclf.training.module import GenreModule
from genreclf.training.optim_config import OptimConfig
from genreclf.training.recorded_steps import PLAIN_STEPS, StepRecorder, obstacle

CLASSES, STEPS, EPOCHS = ["x", "y", "z"], 4, 3
SMALL = {"channels": [8, 8, 16, 16], "lstm_units": [8], "statistics_units": 0}


def module_of(**optim) -> GenreModule:
    torch.manual_seed(0)
    net = build(ModelConfig, {**of_yaml("model", "a")["net"], **SMALL, "num_classes": 3}, "model.net")
    recipe = {**of_yaml("optim", "onecycle"), "optimizer": "muon", "learning_rate": 1e-2, "backbone_rate": 0.5}
    return GenreModule(net, build(OptimConfig, {**recipe, **optim}, "optim"), CLASSES, 1.0, 0, [1 / 3] * 3)


def batches() -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (STEPS, 6, 3, 128, 256), dtype=torch.uint8, generator=generator)
    return [{"image": x, "target": torch.arange(6) % 3, "clip": torch.arange(6), "views": 2} for x in images]


class Again(StepRecorder):
    """Records on any device. Learning rates and inputs come from the recording's memory, as in a CUDA graph."""

    def __init__(self, module: GenreModule, fails: bool = False) -> None:
        super().__init__(module.outputs, self.run_again)
        self.module, self.fails, self.repeated = module, fails, 0

    def start(self, trainer) -> None:
        self.on = True

    def run_again(self, step):
        if self.fails:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore lines")
        optimizer = self.module.optimizers(use_pl_optimizer=False)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert all(isinstance(rate, torch.Tensor) for rate in rates)
        outputs = torch.zeros(()), torch.zeros(6, 3), torch.zeros(6, dtype=torch.int64)

        def repeat() -> None:
            self.repeated += 1
            numbers = [group["lr"] for group in optimizer.param_groups]
            optimizer.zero_grad()
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate
            for kept, new in zip(outputs, step(), strict=True):
                kept.copy_(new)
            for group, number in zip(optimizer.param_groups, numbers, strict=True):
                group["lr"] = number

        return outputs, repeat


def trained(module: GenreModule) -> tuple[dict, dict, int]:
    """Returns the state, the metrics and the number of steps after a short training run."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = L.Trainer(accelerator="cpu", max_epochs=EPOCHS, **quiet)
    trainer.fit(module, DataLoader(batches(), batch_size=None))
    metrics = {key: value.item() for key, value in trainer.callback_metrics.items()}
    return module.state_dict(), metrics, trainer.global_step


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*isinstance.treespec.*")
def test_recorded_steps_train_like_plain_ones(capsys):
    plain, recorded, failing = module_of(), module_of(), module_of()
    recorded.recorder, failing.recorder = Again(recorded), Again(failing, fails=True)
    expected = trained(plain)
    for module in (recorded, failing):
        state, metrics, steps = trained(module)
        assert steps == expected[2] == STEPS * EPOCHS and metrics == pytest.approx(expected[1], rel=1e-4)
        for name, value in state.items():
            torch.testing.assert_close(value, expected[0][name], rtol=1e-3, atol=1e-5, msg=name)
    assert recorded.recorder.repeated == STEPS * EPOCHS - PLAIN_STEPS
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "CUDA" in line)
    assert "not permitted" in line and "more lines" not in line


def test_a_batch_of_another_shape_is_a_plain_step():
    module = module_of()
    optimizer = module._optimizer()
    module.optimizers = lambda use_pl_optimizer: optimizer
    recorder, (usual, *_) = Again(module), batches()
    recorder.start(None)
    assert [recorder.step_for(usual, optimizer) for _ in range(PLAIN_STEPS)] == [None] * PLAIN_STEPS
    recorded = recorder.step_for(usual, optimizer)
    smaller = {key: value[:4] if isinstance(value, torch.Tensor) else value for key, value in usual.items()}
    assert recorded is not None and recorder.step_for(smaller, optimizer) is None
    assert (
        recorder.step_for({**usual, "views": 1}, optimizer) is None and recorder.step_for(usual, optimizer) is recorded
    )


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("world_size", 2, "device"),
        ("gradient_clip_val", 1.0, "gradient_clip_val"),
        ("accumulate_grad_batches", 2, "accumulate_grad_batches"),
        ("precision", "bf16-mixed", "bf16-mixed"),
        (None, None, None),
    ],
)
def test_the_reason_against_recording_is_reported(key, value, named):
    usual = {"world_size": 1, "gradient_clip_val": None, "accumulate_grad_batches": 1, "precision": "32-true"}
    found = obstacle(SimpleNamespace(**{**usual, key: value} if key else usual))
    assert found is None if named is None else named in found


def test_nothing_is_recorded_or_reported_on_a_cpu(capsys):
    module = module_of()
    recorder = StepRecorder(module.outputs)
    recorder.start(SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu"))))
    assert recorder.step_for(batches()[0], module._optimizer()) is None and not capsys.readouterr().err
    recorder.end()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_recorded_step_on_a_gpu_is_a_plain_one():
    for optimizer in ("muon", "adamw"):
        plain, recorded = (module_of(optimizer=optimizer) for _ in range(2))
        recorded.recorder = StepRecorder(recorded.outputs)
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        for module in (plain, recorded):
            trainer = L.Trainer(accelerator="gpu", devices=1, max_epochs=EPOCHS, **quiet)
            trainer.fit(module, DataLoader(batches(), batch_size=None))
        for name, value in recorded.cpu().state_dict().items():
            torch.testing.assert_close(value, plain.cpu().state_dict()[name], rtol=1e-2, atol=1e-3, msg=name)
