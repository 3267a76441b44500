import math
from pathlib import Path

import pytest
import torch
import yaml
from scipy.spatial.distance import jensenshannon

import genreclf.training.module as training
from genreclf.config import build, config_folder
from genreclf.errors import GenreclfError
from genreclf.nets.config import ModelConfig
from genreclf.training.module import GenreModule, OptimConfig, divergence, plain


def load(group: str, name: str) -> dict:
    return yaml.safe_load(Path(config_folder() / group / f"{name}.yaml").read_text())


def module(optim: str = "original", model: str = "b", **changes) -> GenreModule:
    own = load("model", model)
    settings = {**load("optim", optim), "learning_rate": 1e-3, "backbone_rate": 1.0}
    if optim == "onecycle":
        settings["optimizer"] = own["optimizer"]
    return GenreModule({**own["net"], "num_classes": 3}, {**settings, **changes}, ["x", "y", "z"], seed=0)


class OneStep:
    """What `configure_optimizers` asks of a Trainer."""

    estimated_stepping_batches = 20


def test_hyperparameters_are_plain_so_that_checkpoints_load_safely(tmp_path):
    net = module()
    torch.save({"hyper_parameters": dict(net.hparams)}, tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True)["hyper_parameters"]["classes"] == ["x", "y", "z"]


def test_plain_configs_build_the_same_dataclass_again():
    config = build(ModelConfig, {**load("model", "a")["net"], "num_classes": 7}, "model.net")
    assert build(ModelConfig, plain(config), "model.net") == config


def test_original_is_adam_with_the_nets_own_penalties():
    net = module(model="b_original")
    settings = net.configure_optimizers()
    optimizer = settings["optimizer"]
    assert type(optimizer) is torch.optim.Adam
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}
    # Adam's coupled decay d adds d * w to the gradient; the penalty l2 * w^2 adds 2 * l2 * w.
    first, last = net.net.head[0].weight, net.net.head[-1].weight
    assert decay[id(first)] == pytest.approx(2 * 1e-3) and decay[id(last)] == 0
    plateau = settings["lr_scheduler"]["scheduler"]
    assert (plateau.factor, plateau.patience, plateau.mode) == (0.5, 8, "max")


def test_muon_steps_are_the_gradients_made_orthogonal_in_the_size_of_an_adamw_step():
    net = module("onecycle", "a", weight_decay=0.0)
    net._trainer = OneStep()
    optimizer = net.configure_optimizers()["optimizer"]
    rate = optimizer.param_groups[0]["lr"]
    kernel, bias = net.net.backbone.blocks[1][0].weight, net.net.backbone.blocks[1][0].bias
    before = [kernel.detach().clone(), bias.detach().clone()]
    torch.manual_seed(0)
    kernel.grad, bias.grad = torch.randn_like(kernel), torch.randn_like(bias)
    optimizer.step()
    u, _, v = torch.linalg.svd(kernel.grad.flatten(1), full_matrices=False)  # the polar factor, by another road
    step = (before[0] - kernel.detach()).flatten(1) / rate
    assert torch.cosine_similarity(step.flatten(), (u @ v).flatten(), dim=0) > 0.97
    assert step.square().mean().sqrt() == pytest.approx(0.2, rel=0.2)  # what Adam's steps measure: Liu et al. 2025
    assert torch.equal((before[1] - bias.detach()).sign(), bias.grad.sign())  # Adam's first step is a sign
    assert optimizer.state[bias].keys() != optimizer.state[kernel].keys()


@pytest.mark.parametrize("name", ["original", "onecycle"])
def test_the_backbone_learns_at_its_share_of_the_rate(name):
    net = module(name, backbone_rate=0.25)
    net._trainer = OneStep()
    optimizer = net.configure_optimizers()["optimizer"]
    if name == "onecycle":  # begins at a share of the highest rate, which is what was set
        for group in optimizer.param_groups:
            group["lr"] = group["max_lr"]
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    backbone = {id(p) for p in net.net.backbone.parameters()}
    assert rates.keys() == {id(p) for p in net.parameters()}
    assert all(rate == pytest.approx(1e-3 * (0.25 if p in backbone else 1)) for p, rate in rates.items())
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)  # the log's


def test_one_cycle_rises_to_the_rate_and_falls_to_nothing():
    net = module("onecycle")
    net._trainer = OneStep()
    settings = net.configure_optimizers()
    optimizer, schedule = settings["optimizer"], settings["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    # A warm-up of 0.15 of 20 steps: the highest rate stands at step 2.
    assert max(rates) == pytest.approx(1e-3) and rates.index(max(rates)) == 2 and rates[-1] < 1e-6
    for group in optimizer.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


def test_the_loss_is_cross_entropy_with_smoothed_labels():
    net = module()
    logits, target = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([1])
    log_p = logits[0] - math.log(sum(math.exp(v) for v in (2, 0, -1)))
    by_hand = -(log_p * torch.tensor([0.1 / 3, 0.9 + 0.1 / 3, 0.1 / 3])).sum()
    assert float(net.loss(logits, target)) == pytest.approx(float(by_hand), rel=1e-5)


def says(net: GenreModule, monkeypatch: pytest.MonkeyPatch, *parts: torch.Tensor) -> None:
    """From now on, each branch answers with its logits, whatever it hears."""
    gates = [torch.ones(len(part), 1) for part in parts]
    monkeypatch.setattr(net.net, "branches", lambda levels: (parts, gates, None))


def test_a_loss_that_is_no_number_stops_with_one_line(monkeypatch):
    net = module()
    says(net, monkeypatch, torch.full((2, 3), math.nan))
    batch = {"image": None, "target": torch.tensor([0, 1])}
    monkeypatch.setattr(training.GenreModule, "global_step", 5)
    monkeypatch.setattr(training.GenreModule, "current_epoch", 1)
    with pytest.raises(GenreclfError, match=r"the loss is nan at step 5, epoch 1; lower optim.learning_rate"):
        net.training_step(batch, 0)


def test_each_branch_has_a_loss_of_its_own(monkeypatch):
    net = module()
    parts = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]]), torch.tensor([[-1.0, 0.0, 0.5], [1.0, 1.0, -2.0]])
    says(net, monkeypatch, *parts)
    batch = {"image": None, "target": torch.tensor([0, 2])}
    monkeypatch.setattr(net, "log", lambda *_, **__: None)
    expected = torch.nn.functional.cross_entropy(torch.cat(parts), torch.tensor([0, 2, 0, 2]), label_smoothing=0.1)
    assert net.training_step(batch, 0).item() == pytest.approx(expected.item())
    assert net.train_accuracy.compute() == 0.5  # of the sums: [1, 0.5, -0.5] is right, [1.1, 1.2, -1.7] is not


def test_the_divergence_of_forms_is_that_of_jensen_and_shannon():
    torch.manual_seed(0)
    logits = 3 * torch.randn(2 * 5, 4)
    p, q = logits.double().softmax(1).numpy().reshape(2, 5, 4)
    # SciPy's distance is the root, with the same natural logarithm.
    assert divergence(logits, 2).item() == pytest.approx((jensenshannon(p, q, axis=1) ** 2).mean(), rel=1e-5)
    assert divergence(torch.cat([logits[:5], logits[:5]]), 2).item() == pytest.approx(0, abs=1e-6)
    assert divergence(torch.tensor([[50.0, 0], [0, 50.0]]), 2).item() == pytest.approx(math.log(2))


def test_answers_to_the_forms_of_a_segment_are_drawn_together(monkeypatch):
    net = module(consistency=3.0)
    parts = torch.randn(4, 3), torch.randn(4, 3)
    says(net, monkeypatch, *parts)
    monkeypatch.setattr(net, "log", lambda *_, **__: None)
    alone = {"image": None, "target": torch.tensor([0, 2, 0, 2])}
    apart = (divergence(parts[0], 2) + divergence(parts[1], 2)) / 2
    expected = net.training_step(alone, 0) + 3 * apart
    assert net.training_step({**alone, "forms": 2}, 0).item() == pytest.approx(expected.item())


def test_a_consistency_below_0_is_refused():
    with pytest.raises(GenreclfError, match=r"optim.consistency=-1.0: give 0 or more"):
        module(consistency=-1.0)


@pytest.mark.parametrize("key", ["optimizer", "schedule", "keep"])
def test_unknown_choices_are_refused_by_name(key):
    with pytest.raises(GenreclfError, match=f"optim.{key}='sgdx': unknown; known: "):
        build(OptimConfig, {**load("optim", "original"), "learning_rate": 1e-3, key: "sgdx"}, "optim")


def test_a_blended_example_counts_for_both_classes_by_its_share():
    net = module(label_smoothing=0.0)
    logits = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]])
    plain_batch = {"target": torch.tensor([0, 2])}
    blended = {**plain_batch, "other_target": torch.tensor([1, 2]), "lam": torch.tensor([0.75, 0.6])}
    logs = logits.log_softmax(1)
    expected = -(0.75 * logs[0, 0] + 0.25 * logs[0, 1] + logs[1, 2]) / 2
    assert net._loss(logits, blended).item() == pytest.approx(expected.item())
    assert net._loss(logits, plain_batch).item() == pytest.approx(-(logs[0, 0] + logs[1, 2]).item() / 2)
