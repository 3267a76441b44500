"""The LightningModule: loss, metrics, optimizer, schedule. The net itself is a plain nn.Module and knows none of it."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, ReduceLROnPlateau
from torchmetrics.classification import MulticlassAccuracy

from genreclf.config import build
from genreclf.errors import GenreclfError
from genreclf.nets.classifier import GenreClassifier, gated_sum, parameter_groups
from genreclf.nets.config import ModelConfig
from genreclf.training.clips import ClipScores


@dataclass(frozen=True)
class OptimConfig:
    """`optimizer` is adam (the net's own L2 terms), adamw (`weight_decay` on all matrices instead) or muon: as adamw,
    but a matrix's or convolution's step is made orthogonal first, so that no direction of it is left behind (Jordan
    2024, https://kellerjordan.github.io/posts/muon), in the size of an AdamW step (Liu et al. 2025, arXiv:2502.16982).

    The backbone learns at `backbone_rate` times `learning_rate`: below 1, pretrained layers keep more of what they know
    (Howard and Ruder 2018). `schedule` is plateau (on validation accuracy: `factor`, `patience` in epochs) or onecycle
    (`warmup` is the share of steps that the rate rises). `consistency` weighs how far the answers to a segment's forms
    lie apart, where the augmentation shows it in several: 0 or more. `ema_decay` is the share that a running average of
    the weights keeps at each step; that average is what is validated and kept; None: the weights themselves.
    `early_stopping` is a patience in epochs, None to train to the end. `keep` is best (on validation accuracy) or last.
    """

    name: str
    optimizer: str
    learning_rate: float
    backbone_rate: float
    weight_decay: float
    label_smoothing: float
    schedule: str
    factor: float
    patience: int
    warmup: float
    consistency: float
    ema_decay: float | None
    early_stopping: int | None
    keep: str

    def __post_init__(self) -> None:
        for key, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("keep", ("best", "last"))):
            if getattr(self, key) not in known:
                raise GenreclfError(f"optim.{key}={getattr(self, key)!r}: unknown; known: {', '.join(known)}")
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            raise GenreclfError(f"optim.ema_decay={self.ema_decay}: give a share from 0 to below 1, or null")
        if not self.consistency >= 0:
            raise GenreclfError(f"optim.consistency={self.consistency}: give 0 or more")
        if not self.backbone_rate > 0:
            raise GenreclfError(f"optim.backbone_rate={self.backbone_rate}: give a share above 0")


OPTIMIZERS = ("adam", "adamw", "muon")
SCHEDULES = ("plateau", "onecycle")


class GenreModule(L.LightningModule):
    """Trains a `GenreClassifier`. All arguments are plain data, so a checkpoint loads with `weights_only`."""

    def __init__(self, net: dict[str, Any], optim: dict[str, Any], classes: Sequence[str], seed: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.optim = build(OptimConfig, optim, "optim")
        self.net = GenreClassifier(build(ModelConfig, net, "model.net"))
        self.loss = nn.CrossEntropyLoss(label_smoothing=self.optim.label_smoothing, reduction="none")
        # Validated, each step would wait for the device to sort its targets.
        self.train_accuracy = MulticlassAccuracy(len(classes), average="micro", validate_args=False)
        self.val_clips = ClipScores()

    def on_train_epoch_start(self) -> None:
        """Seeds the epoch by seed, epoch and rank alone: a resumed run draws what an unbroken one would have drawn."""
        torch.manual_seed((self.hparams.seed * 100_003 + self.current_epoch) * 1_009 + self.global_rank)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """The label-smoothed cross-entropy of one batch, and how far the answers to a segment's forms lie apart; raises
        GenreclfError where it is not finite.

        Each branch of the net has a loss of its own: under a common one the quicker learner leaves the slower with next
        to nothing to learn (Wang et al. 2020, What Makes Training Multi-Modal Classification Networks Hard?).
        """
        parts, gates, _ = self.net.branches(batch["image"])
        loss = torch.stack([self._loss(part, batch) for part in parts]).mean()
        if batch.get("forms", 1) > 1:
            apart = torch.stack([divergence(part, batch["forms"]) for part in parts]).mean()
            loss = loss + self.optim.consistency * apart
        logits = gated_sum(parts, gates)  # (B, classes); the loss knows no gates, so that each branch learns of all
        if not torch.isfinite(loss):
            raise GenreclfError(
                f"the loss is {loss.item()} at step {self.global_step}, epoch {self.current_epoch}; "
                "lower optim.learning_rate, or use trainer.precision=32-true"
            )
        self.train_accuracy(logits, batch["target"])
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(logits))
        self.log("train/accuracy", self.train_accuracy, on_step=False, on_epoch=True, batch_size=len(logits))
        return loss

    def _loss(self, logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The mean over the batch; of blended examples each part counts by its share."""
        own = self.loss(logits, batch["target"])  # (B,)
        if "other_target" not in batch:
            return own.mean()
        share = batch["lam"]
        return (share * own + (1 - share) * self.loss(logits, batch["other_target"])).mean()

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> None:
        """Collects segments; the figures are of clips, at the end of the epoch."""
        logits, _ = self.net(batch["image"])
        self.val_clips.update(logits.softmax(1), batch["target"], batch["clip"])

    def on_validation_epoch_end(self) -> None:
        """Logs clip-level accuracy and log-loss.

        Steps the plateau schedule before the epoch's checkpoint, not after as Lightning does: a resumed run needs it.
        """
        figures = self.val_clips.compute()
        self.log_dict({f"val/{name}": value for name, value in figures.items()}, prog_bar=True)
        self.val_clips.reset()
        schedule = self.lr_schedulers()
        if isinstance(schedule, ReduceLROnPlateau) and not self.trainer.sanity_checking:
            schedule.step(figures["accuracy"])

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: Tensor | None) -> None:
        """Steps what goes by batches."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()

    def configure_optimizers(self) -> dict[str, Any]:
        """The optimizer with its schedule."""
        optim = self.optim
        if optim.optimizer == "adam":
            optimizer = torch.optim.Adam(_with_learning_rates(parameter_groups(self.net), self.net.backbone, optim))
        else:
            groups = _with_learning_rates(_decayed(self.net, optim.weight_decay), self.net.backbone, optim)
            optimizer = torch.optim.AdamW(groups) if optim.optimizer == "adamw" else _muon(groups)
        if optim.schedule == "plateau":
            plateau = ReduceLROnPlateau(optimizer, "max", optim.factor, optim.patience)
            # Stepped at each validation, above; Lightning wants to see a figure that every epoch has.
            schedule = {"scheduler": plateau, "interval": "epoch", "monitor": "train/loss"}
        else:
            steps = int(self.trainer.estimated_stepping_batches)
            rates = [group["lr"] for group in optimizer.param_groups]
            cycle = OneCycleLR(optimizer, rates, steps, pct_start=optim.warmup, cycle_momentum=False)
            schedule = {"scheduler": cycle, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def divergence(logits: Tensor, forms: int) -> Tensor:
    """The mean Jensen-Shannon divergence, in nats, of the answers to each segment's `forms`.

    `logits` is (forms * B, classes), one form of all segments after the other (as in AugMix: Hendrycks et al. 2020).
    """
    own = logits.unflatten(0, (forms, -1)).log_softmax(2)  # (forms * B, classes) -> (forms, B, classes)
    middle = own.logsumexp(0) - math.log(forms)  # (B, classes)
    return (own.exp() * (own - middle)).sum(2).mean()


def plain(config: ModelConfig | OptimConfig) -> dict[str, Any]:
    """A config as JSON-like data: tuples become lists."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(config).items()}


def _decayed(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels decay; biases and the scales of batch norms do not."""
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _muon(groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    from timm.optim import Muon  # here, as timm takes half a second to import; torch's own Muon knows no convolutions

    return Muon(groups, nesterov=True, betas=(0.9, 0.999))


def _with_learning_rates(groups: list[dict[str, Any]], backbone: nn.Module, optim: OptimConfig) -> list[dict[str, Any]]:
    """Each group in two, the backbone's behind the others', with their learning rates."""
    slow = set(backbone.parameters())
    paced = []
    for rate, chosen in ((1.0, lambda p: p not in slow), (optim.backbone_rate, lambda p: p in slow)):
        for group in groups:
            params = [p for p in group["params"] if chosen(p)]
            if params:
                paced.append({**group, "params": params, "lr": rate * optim.learning_rate})
    return paced
