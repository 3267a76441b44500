"""The LightningModule: loss, metrics, optimizer, schedule. The net itself is a plain nn.Module."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau

from genreclf.config import flatten
from genreclf.data.segment_batches import Batch
from genreclf.errors import GenreclfError
from genreclf.inference.task import MULTICLASS, MULTILABEL
from genreclf.nets.activation import probabilities
from genreclf.nets.batch_counts import counted_together
from genreclf.nets.classifier import GenreClassifier, gated_sum, parameter_groups
from genreclf.nets.config import ModelConfig
from genreclf.training.clip_metrics import BEST, CLIP_SCORES, SegmentAccuracy
from genreclf.training.losses import GenreLoss, MultilabelLoss, TeacherLoss, divergence, multilabel_divergence
from genreclf.training.optim_config import OptimConfig
from genreclf.training.processes import average_statistics
from genreclf.training.recorded_steps import RecordedStep, StepRecorder
from genreclf.training.resume import EPOCHS


class GenreModule(L.LightningModule):
    """Trains a `GenreClassifier`. The hyperparameters are plain data, so that a checkpoint loads with `weights_only`.

    `consistency` is the weight of the divergence between the predictions for a segment's views, in batches with views.
    `shares` are the shares of the classes in the training clips. `teacher` is (clips, K), the teachers' vectors for the
    clips of the store, NaN for clips without one. With the `task` MULTILABEL, clips may have several genres.
    """

    def __init__(
        self,
        net: ModelConfig,
        optim: OptimConfig,
        classes: Sequence[str],
        consistency: float,
        seed: int,
        shares: Sequence[float],
        teacher: Tensor | None = None,
        task: str = MULTICLASS,
    ) -> None:
        super().__init__()
        plain: dict[str, Any] = {"net": asdict(net), "optim": asdict(optim), "classes": list(classes)}
        plain |= {"consistency": consistency, "seed": seed, "shares": list(shares), "task": task}
        self.save_hyperparameters(plain, ignore="teacher")
        self.optim, self.consistency, self.seed, self.task = optim, consistency, seed, task
        self.net = GenreClassifier(net)
        self.loss = _loss(optim, shares, task)
        self.divergence = multilabel_divergence if task == MULTILABEL else divergence
        self.teacher = None if teacher is None else TeacherLoss(self.net.embedding_size, teacher)
        self.train_accuracy = SegmentAccuracy() if task == MULTICLASS else None
        self.val_clips = CLIP_SCORES[task]()
        self._losses: list[tuple[int, Tensor]] = []  # step numbers and losses of the epoch, on the device
        # Makes images from the segments of a training batch, as part of the step; None: batches have images
        self.images: Callable[[Batch], Batch] | None = None
        self.recorder: StepRecorder | None = None  # None: all steps are plain ones
        self._recorded: RecordedStep | None = None  # the step for the current batch

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the data, because copies of the module, such as the averaged weights, do not need it."""
        return {**super().__getstate__(), "images": None}

    def on_train_epoch_start(self) -> None:
        """Seeds the epoch only by seed, epoch and rank, so that a resumed run draws the same random numbers."""
        # Different for each (seed, epoch, rank) with fewer than 100,003 epochs and 1,009 devices.
        torch.manual_seed((self.seed * 100_003 + self.current_epoch) * 1_009 + self.global_rank)
        self._losses = []

    def on_train_start(self) -> None:  # noqa: D102
        if self.recorder is not None:
            self.recorder.start(self.trainer)

    def on_train_end(self) -> None:  # noqa: D102
        if self.recorder is not None:
            self.recorder.end()

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Chooses between a plain step and the replay of a recorded one."""
        if self.recorder is not None:
            self._recorded = self.recorder.step_for(batch, self.optimizers(use_pl_optimizer=False))  # type: ignore[arg-type]

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Steps the optimizer. A recorded step does this in `training_step`, which the closure calls."""
        if self._recorded is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        else:
            optimizer_closure()

    def backward(self, loss: Tensor, *arguments: Any, **more: Any) -> None:  # noqa: D102
        if self._recorded is None:
            super().backward(loss, *arguments, **more)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:  # noqa: D102
        if self._recorded is None:
            super().optimizer_zero_grad(epoch, batch_idx, optimizer)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Returns the loss of one batch. Nothing here waits for the device."""
        loss, logits, target = self.outputs(batch) if self._recorded is None else self._recorded(batch)
        self._losses.append((self.global_step, loss.detach().clone()))
        per_epoch: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": len(logits)}
        self.log("train/loss", loss, prog_bar=True, sync_dist=True, **per_epoch)
        if self.train_accuracy is not None:
            self.train_accuracy(logits, target)
            self.log("train/accuracy", self.train_accuracy, **per_epoch)
        return loss

    def outputs(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the loss of a batch, its (B, classes) logits and their targets.

        The loss is the cross-entropy, plus the weighted divergence between views and distance to the teachers' vectors.
        Each branch of the net has a separate loss. With a joint loss, the branch that learns faster would leave little
        for the other to learn (Wang et al. 2020, What Makes Training Multi-Modal Classification Networks Hard?).
        """
        if self.images is not None:
            batch = self.images(batch)
        with counted_together(self.net):
            branch_logits, gates, _, context = self.net.branches(batch["image"])
        logits, other, lam = torch.stack(branch_logits), batch.get("other"), batch.get("lam")
        loss: Tensor = self.loss(logits, batch["target"], other, lam)
        if self.teacher is not None:
            loss = loss + self.optim.teacher_weight * self.teacher(context, batch["clip"], other, lam)
        views = batch.get("views", 1)
        if views > 1:
            loss = loss + self.consistency * self.divergence(logits, views)
        return loss, gated_sum(branch_logits, gates), batch["target"]

    def on_train_batch_end(self, *_: Any) -> None:
        """Raises GenreclfError after the last step, before the validation, if a loss was not finite."""
        if self.trainer.is_last_batch:
            self._check_losses()
            average_statistics(self.net)

    def on_train_epoch_end(self) -> None:
        """Raises GenreclfError before the epoch's checkpoint if a loss or a weight is not finite."""
        self._check_losses()
        names, parameters = zip(*self.net.named_parameters(), strict=True)
        sums = torch.stack([parameter.detach().sum() for parameter in parameters])
        for name, value in zip(names, sums.tolist(), strict=True):
            self._check_finite(f"weight {name}", value, self.global_step)

    def _check_losses(self) -> None:
        """Reads all losses of the epoch at once, because a step that reads its loss waits for the device."""
        steps, losses = zip(*self._losses, strict=True) if self._losses else ((), ())
        self._losses = []
        for step, value in zip(steps, torch.stack(losses).tolist() if losses else (), strict=True):
            self._check_finite("loss", value, step)

    def _check_finite(self, what: str, value: float, step: int) -> None:
        if not math.isfinite(value):
            raise GenreclfError(
                f"the {what} is {value} at step {step}, epoch {self.current_epoch}; "
                "lower optim.learning_rate, or use trainer.precision=32-true"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Uses the rates of a cycle over all epochs from now on, if there are more epochs than before.

        Raises GenreclfError if the checkpoint was trained with other settings, because config.yaml was edited.
        """
        now, before = flatten(dict(self.hparams)), flatten(checkpoint.get(self.CHECKPOINT_HYPER_PARAMS_KEY, {}))
        for key in [key for key in before if key in now and before[key] != now[key]]:
            if key == EPOCHS and now[key] > before[key]:
                continue
            problem = f"has {key}={now[key]}, but the training began with {before[key]}"
            raise GenreclfError(f"config.yaml {problem}; restore it, or start a new run")
        for schedule in checkpoint["lr_schedulers"]:
            for key in ("total_steps", "_schedule_phases"):
                schedule.pop(key, None)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collects the segments. The clips are scored at the end of the epoch."""
        logits, _ = self.net(batch["image"])
        self.val_clips.update(probabilities(logits, self.task == MULTILABEL), batch["target"], batch["clip"])

    def on_validation_epoch_end(self) -> None:
        """Logs the scores and the log-loss of clips, and steps the plateau schedule.

        Lightning would step it after the epoch's checkpoint, but a resumed run needs the step in the checkpoint.
        """
        scores = self.val_clips.compute()
        self._check_finite("validation loss", scores["loss"], self.global_step)
        self.log_dict({f"val/{name}": value for name, value in scores.items()}, prog_bar=True)
        self.val_clips.reset()
        schedule = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau) and not self.trainer.sanity_checking:
            schedule.step(scores[BEST[self.task]])

    def lr_scheduler_step(self, scheduler: LRScheduler | ReduceLROnPlateau, metric: Any) -> None:
        """Steps schedules that count batches."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Returns the optimizer and its schedule."""
        optimizer, optim = self._optimizer(), self.optim
        if optim.schedule == "plateau":
            assert optim.factor is not None and optim.patience is not None  # OptimConfig checks it
            plateau = ReduceLROnPlateau(optimizer, "max", optim.factor, optim.patience)
            # It is stepped above. Lightning requires a metric that every epoch has.
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "interval": "epoch", "monitor": "train/loss"},
            }
        assert optim.warmup is not None  # OptimConfig checks it
        steps = max(1, int(self.trainer.estimated_stepping_batches))  # without any, `load_kept_weights` raises an error
        rates = [group["lr"] for group in optimizer.param_groups]
        cycle = OneCycleLR(optimizer, rates, steps, pct_start=optim.warmup, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def _optimizer(self) -> torch.optim.Optimizer:
        is_adam = self.optim.optimizer == "adam"
        groups = parameter_groups(self.net) if is_adam else _decayed(self, self.optim.weight_decay)
        groups = _with_learning_rates(groups, self.net.backbone, self.optim)
        if self.optim.optimizer != "muon":
            # Lightning cannot clip gradients for a fused optimizer in mixed precision.
            clips = self._trainer is not None and getattr(self._trainer, "gradient_clip_val", None) is not None
            kind = torch.optim.Adam if is_adam else torch.optim.AdamW
            return kind(groups, fused=not clips)
        from genreclf.training.muon import Muon  # here, because importing timm takes half a second

        return Muon(groups)


def _loss(optim: OptimConfig, shares: Sequence[float], task: str) -> GenreLoss | MultilabelLoss:
    if task == MULTILABEL:
        return MultilabelLoss(optim.label_smoothing, shares)
    mix = [share ** (1 - optim.prior_power) for share in shares]
    return GenreLoss(optim.label_smoothing, mix, optim.none_weight)


def _decayed(net: nn.Module, weight_decay: float | None) -> list[dict[str, Any]]:
    """Groups the parameters: matrices and convolutions decay; biases and the scales of batch norms do not."""
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _with_learning_rates(groups: list[dict[str, Any]], backbone: nn.Module, optim: OptimConfig) -> list[dict[str, Any]]:
    """Splits each group in two with separate learning rates; the backbone's groups come last."""
    slow = set(backbone.parameters())
    split = []
    for rate, is_backbone in ((1.0, False), (optim.backbone_rate, True)):
        for group in groups:
            params = [p for p in group["params"] if (p in slow) == is_backbone]
            if params:
                split.append({**group, "params": params, "lr": rate * optim.learning_rate})
    return split
