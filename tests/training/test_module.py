import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from data_config import of_yaml

from genreclf.config import build
from genreclf.errors import GenreclfError
from genreclf.nets.config import ModelConfig
from genreclf.training.losses import divergence
from genreclf.training.module import GenreModule
from genreclf.training.optim_config import OptimConfig


def optim_config(name: str, **changes) -> OptimConfig:
    """Returns a recipe as composed for a model that uses muon."""
    values = {**of_yaml("optim", name), "learning_rate": 1e-3, "backbone_rate": 1.0}
    if name == "onecycle":
        values["optimizer"] = "muon"
    return build(OptimConfig, {**values, **changes}, "optim")


# Creating a full net takes longer than most of these tests.
SMALL = {"channels": [8, 8, 16, 16], "lstm_units": [8], "statistics_units": 8}


def module(
    optim: str = "original", model: str = "small", consistency: float = 0.0, teacher=None, **changes
) -> GenreModule:
    """Returns a module with a net of `model`, or with a narrow Model A that is trained like Model B."""
    values = of_yaml("model", "a" if model == "small" else model)
    if model == "small":
        values |= {"net": {**values["net"], **SMALL}, "optimizer": "adamw"}
    if optim == "onecycle":
        changes.setdefault("optimizer", values["optimizer"])
    net = build(ModelConfig, {**values["net"], "num_classes": 3}, "model.net")
    shares = [0.5, 0.3, 0.2]
    return GenreModule(net, optim_config(optim, **changes), ["x", "y", "z"], consistency, 0, shares, teacher)


class Steps:
    """The part of a Trainer that `configure_optimizers` needs."""

    estimated_stepping_batches = 20


def test_configs_are_built_from_plain_hyperparameters(tmp_path):
    net = module(consistency=2.0)
    torch.save({"hyper_parameters": dict(net.hparams)}, tmp_path / "x.ckpt")
    saved = torch.load(tmp_path / "x.ckpt", weights_only=True)["hyper_parameters"]
    assert saved["classes"] == ["x", "y", "z"] and (saved["consistency"], saved["seed"]) == (2.0, 0)
    assert build(ModelConfig, saved["net"], "net") == net.net.config
    assert build(OptimConfig, saved["optim"], "optim") == net.optim


def test_original_is_adam_with_the_nets_l2_penalties():
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


def test_muon_steps_are_orthogonal_gradients_of_the_size_of_an_adamw_step():
    net = module("onecycle", "a", weight_decay=0.0)
    net._trainer = Steps()
    optimizer = net.configure_optimizers()["optimizer"]
    rate = optimizer.param_groups[0]["lr"]
    kernel, bias = net.net.backbone.blocks[1][0].weight, net.net.backbone.blocks[1][0].bias
    before = [kernel.detach().clone(), bias.detach().clone()]
    torch.manual_seed(0)
    kernel.grad, bias.grad = torch.randn_like(kernel), torch.randn_like(bias)
    optimizer.step()
    u, _, v = torch.linalg.svd(kernel.grad.flatten(1), full_matrices=False)  # the polar factor
    step = (before[0] - kernel.detach()).flatten(1) / rate
    assert torch.cosine_similarity(step.flatten(), (u @ v).flatten(), dim=0) > 0.97
    assert step.square().mean().sqrt() == pytest.approx(0.2, rel=0.2)  # the size of Adam's steps: Liu et al. 2025
    assert torch.equal((before[1] - bias.detach()).sign(), bias.grad.sign())  # Adam's first step is a sign
    assert optimizer.state[bias].keys() != optimizer.state[kernel].keys()


@pytest.mark.parametrize("name", ["original", "onecycle"])
def test_the_backbone_has_its_learning_rate(name):
    net = module(name, "b", backbone_rate=0.25)
    net._trainer = Steps()
    optimizer = net.configure_optimizers()["optimizer"]
    if name == "onecycle":  # starts below the highest rate, which is the setting
        for group in optimizer.param_groups:
            group["lr"] = group["max_lr"]
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    backbone = {id(p) for p in net.net.backbone.parameters()}
    assert rates.keys() == {id(p) for p in net.parameters()}
    assert all(rate == pytest.approx(1e-3 * (0.25 if p in backbone else 1)) for p, rate in rates.items())
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)  # the rate in the log


def test_one_cycle_rises_to_the_rate_and_falls_to_zero():
    net = module("onecycle", "b")
    net._trainer = Steps()
    settings = net.configure_optimizers()
    optimizer, schedule = settings["optimizer"], settings["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    # A warm-up of 0.15 of 20 steps: the highest rate is at step 2.
    assert max(rates) == pytest.approx(1e-3) and rates.index(max(rates)) == 2 and rates[-1] < 1e-6
    for group in optimizer.param_groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


def test_a_cycle_extended_to_more_steps_has_the_rates_of_the_longer_cycle():
    def rates(steps: int, start: int, end: int, saved: dict | None = None) -> tuple[list[float], dict]:
        net = module("onecycle")
        net._trainer = SimpleNamespace(estimated_stepping_batches=steps)
        settings = net.configure_optimizers()
        optimizer, schedule = settings["optimizer"], settings["lr_scheduler"]["scheduler"]
        if saved:
            net.on_load_checkpoint({"lr_schedulers": [saved]})
            schedule.load_state_dict(saved)
        seen = []
        for _ in range(start, end):
            optimizer.step()
            schedule.step()
            seen.append(optimizer.param_groups[0]["lr"])
        return seen, schedule.state_dict()

    short, state = rates(20, 0, 19)
    longer, _ = rates(30, 19, 29, state)
    whole, _ = rates(30, 0, 29)
    assert short[-1] < 1e-6 and longer == pytest.approx(whole[19:])
    assert longer[0] > 100 * short[-1] and longer[-1] < 1e-6


def test_a_checkpoint_of_other_settings_is_refused():
    saved = {**module().hparams, "optim": {**module().hparams["optim"], "label_smoothing": 0.2}}
    with pytest.raises(GenreclfError, match=r"config.yaml has optim.label_smoothing=0.1.*began with 0.2.*restore"):
        module().on_load_checkpoint({"lr_schedulers": [], "hyper_parameters": saved})


def test_a_checkpoint_may_be_of_fewer_epochs_but_not_of_more():
    net = module()
    net.hparams["trainer"] = {"max_epochs": 3}
    for epochs in (2, 3):
        net.on_load_checkpoint({"lr_schedulers": [], "hyper_parameters": {"trainer": {"max_epochs": epochs}}})
    with pytest.raises(GenreclfError, match=r"config.yaml has trainer.max_epochs=3.*began with 4"):
        net.on_load_checkpoint({"lr_schedulers": [], "hyper_parameters": {"trainer": {"max_epochs": 4}}})


def fix_logits(net: GenreModule, monkeypatch: pytest.MonkeyPatch, *parts: torch.Tensor, context=None) -> None:
    """Makes each branch return fixed logits for every input, and the module log nothing."""
    gates = [torch.ones(len(part), 1) for part in parts]
    monkeypatch.setattr(net.net, "branches", lambda levels: (parts, gates, None, context))
    monkeypatch.setattr(net, "log", lambda *_, **__: None)


def test_the_first_loss_that_is_not_finite_stops_the_training_at_the_epochs_end(monkeypatch):
    net, batch = module(), {"image": None, "target": torch.tensor([0, 1])}
    monkeypatch.setattr(GenreModule, "current_epoch", 1)
    for step, logit in ((4, 0.0), (5, math.nan), (6, math.inf)):
        fix_logits(net, monkeypatch, torch.full((2, 3), logit))
        monkeypatch.setattr(GenreModule, "global_step", step)
        net.training_step(batch, 0)
    net._trainer = SimpleNamespace(is_last_batch=False)
    net.on_train_batch_end(None, batch, 2)
    net._trainer = SimpleNamespace(is_last_batch=True)
    with pytest.raises(GenreclfError, match=r"loss is nan.*step 5, epoch 1.*optim.learning_rate"):
        net.on_train_batch_end(None, batch, 2)
    net.on_train_epoch_end()  # reported only once


def test_losses_of_an_epoch_that_ends_early_are_checked(monkeypatch):
    """With trainer.max_steps, an epoch ends without a last batch."""
    net = module()
    monkeypatch.setattr(GenreModule, "global_step", 2)
    monkeypatch.setattr(GenreModule, "current_epoch", 0)
    fix_logits(net, monkeypatch, torch.full((2, 3), math.nan))
    net.training_step({"image": None, "target": torch.tensor([0, 1])}, 0)
    with pytest.raises(GenreclfError, match=r"step 2, epoch 0"):
        net.on_train_epoch_end()


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_weights_that_are_not_finite_stop_the_training_before_the_checkpoint(weight, monkeypatch):
    net = module()
    monkeypatch.setattr(GenreModule, "global_step", 5)
    monkeypatch.setattr(GenreModule, "current_epoch", 1)
    net.on_train_epoch_end()
    with torch.no_grad():
        next(net.net.parameters())[0].fill_(weight)
    with pytest.raises(GenreclfError, match=r"weight .*optim.learning_rate"):
        net.on_train_epoch_end()


def test_each_branch_has_a_separate_loss(monkeypatch):
    net = module()
    parts = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]]), torch.tensor([[-1.0, 0.0, 0.5], [1.0, 1.0, -2.0]])
    fix_logits(net, monkeypatch, *parts)
    batch = {"image": None, "target": torch.tensor([0, 2])}
    expected = torch.nn.functional.cross_entropy(torch.cat(parts), torch.tensor([0, 2, 0, 2]), label_smoothing=0.1)
    assert net.training_step(batch, 0).item() == pytest.approx(expected.item())
    assert net.train_accuracy.compute() == 0.5  # from the sums: [1, 0.5, -0.5] is correct, [1.1, 1.2, -1.7] is not


def test_the_divergence_between_views_has_the_weight_consistency(monkeypatch):
    net = module(consistency=3.0)
    parts = torch.randn(4, 3), torch.randn(4, 3)
    fix_logits(net, monkeypatch, *parts)
    one_view = {"image": None, "target": torch.tensor([0, 2, 0, 2])}
    between = (divergence(parts[0], 2) + divergence(parts[1], 2)) / 2
    expected = net.training_step(one_view, 0) + 3 * between
    assert net.training_step({**one_view, "views": 2}, 0).item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("original", {"optimizer": "sgdx"}, "optim.optimizer=sgdx.*adam, adamw, muon"),
        ("original", {"schedule": "sgdx"}, "optim.schedule=sgdx.*plateau, onecycle"),
        ("original", {"checkpoint": "first"}, "optim.checkpoint=first.*best, last"),
        ("onecycle", {"prior_power": 1.5}, "optim.prior_power=1.5.*0 or more, at most 1"),
        ("onecycle", {"teacher_weight": -1.0}, "optim.teacher_weight=-1.0.*0 or more"),
        ("onecycle", {"none_weight": math.nan}, "optim.none_weight=nan.*0 or more"),
        ("original", {"keep": "best"}, "optim.keep.*optim.checkpoint"),
        ("original", {"consistency": 1.0}, "optim.consistency.*augment.consistency"),
        ("original", {"weight_decay": 0.1}, "optim.weight_decay=0.1.*optimizer=adam.*weight_decay=null"),
        ("original", {"warmup": 0.1}, "optim.warmup=0.1.*schedule=plateau.*warmup=null"),
        ("original", {"patience": None}, "optim.patience=null.*schedule=plateau"),
        ("onecycle", {"patience": 3}, "optim.patience=3.*schedule=onecycle.*patience=null"),
        ("onecycle", {"factor": 0.5}, "optim.factor=0.5.*schedule=onecycle.*factor=null"),
        ("onecycle", {"weight_decay": None}, "optim.weight_decay=null.*optimizer=muon"),
        ("onecycle", {"optimizer": "adam"}, "optim.weight_decay=0.05.*optimizer=adam.*weight_decay=null"),
        ("onecycle", {"ema_decay": 1.0}, "optim.ema_decay=1.0.*null"),
        ("onecycle", {"backbone_rate": 0.0}, "optim.backbone_rate=0.0.*more than 0"),
        ("onecycle", {"learning_rate": -1.0}, "optim.learning_rate=-1.0.*more than 0"),
        ("onecycle", {"learning_rate": 0.0}, "optim.learning_rate=0.0.*more than 0"),
        ("onecycle", {"learning_rate": math.inf}, "optim.learning_rate=inf.*more than 0"),
        ("onecycle", {"learning_rate": math.nan}, "optim.learning_rate=nan.*more than 0"),
        ("onecycle", {"weight_decay": -0.1}, "optim.weight_decay=-0.1.*0 or more"),
        ("onecycle", {"label_smoothing": 1.0}, "optim.label_smoothing=1.0.*less than 1"),
        ("onecycle", {"warmup": math.nan}, "optim.warmup=nan.*0 or more"),
        ("original", {"factor": 0.0}, "optim.factor=0.0.*more than 0, less than 1"),
        ("original", {"early_stopping": 0}, "optim.early_stopping=0.*null"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(recipe, changes, message):
    with pytest.raises(GenreclfError, match=message):
        optim_config(recipe, **changes)


def test_mixup_weights_both_classes_by_lam(monkeypatch):
    net = module(label_smoothing=0.0)
    logits = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]])
    fix_logits(net, monkeypatch, logits)
    plain = {"image": None, "target": torch.tensor([0, 2])}
    mixed = {**plain, "other": torch.tensor([1, 1]), "lam": torch.tensor([0.75, 0.6])}
    logs = logits.log_softmax(1)
    expected = -(0.75 * logs[0, 0] + 0.25 * logs[0, 2] + logs[1, 2]) / 2
    assert net.training_step(mixed, 0).item() == pytest.approx(expected.item())
    assert net.training_step(plain, 0).item() == pytest.approx(-(logs[0, 0] + logs[1, 2]).item() / 2)


@pytest.mark.parametrize(
    ("power", "mix"), [(0.0, [0.5, 0.3, 0.2]), (0.5, np.sqrt([0.5, 0.3, 0.2])), (1.0, [1.0, 1.0, 1.0])]
)
def test_prior_power_sets_the_mix_that_the_logits_assume(power, mix):
    assert module("onecycle", prior_power=power).loss.log_mix.exp().tolist() == pytest.approx(list(mix))


def test_the_original_recipe_assumes_the_training_mix():
    assert module("original").optim.prior_power == 1


def test_the_teachers_vectors_are_learnt_from_the_context_with_their_weight(monkeypatch):
    vectors = torch.tensor([[1.0, -1.0], [math.nan, math.nan], [0.5, 2.0]])
    net = module(teacher=vectors, teacher_weight=3.0)
    parts, context = (torch.randn(2, 3), torch.randn(2, 3)), torch.randn(2, net.net.embedding_size)
    fix_logits(net, monkeypatch, *parts, context=context)
    batch = {"image": None, "target": torch.tensor([0, 2]), "clip": torch.tensor([2, 1])}
    total = net.training_step(batch, 0)
    errors = (net.teacher.head(context)[0] - vectors[2]).square().mean() / 2  # clip 1 has no vector
    teacher, net.teacher = net.teacher, None
    assert total.item() == pytest.approx((net.training_step(batch, 0) + 3 * errors).item(), rel=1e-5)
    assert not any(key.startswith("teacher") and "head" not in key for key in teacher.state_dict(prefix="teacher."))


def test_the_optimizer_steps_the_teachers_head():
    net = module("onecycle", teacher=torch.zeros(4, 2))
    optimizer = net._optimizer()
    stepped = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert {id(parameter) for parameter in net.parameters()} == stepped
