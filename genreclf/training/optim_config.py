"""Optimization settings: the keys of the group `optim`."""

import math
from dataclasses import dataclass

from genreclf.errors import GenreclfError

OPTIMIZERS = ("adam", "adamw", "muon")
SCHEDULES = ("plateau", "onecycle")
CHECKPOINTS = ("best", "last")
# The choices that use a key; with other choices it must be null.
_USED_BY = {
    "weight_decay": ("optimizer", ("adamw", "muon")),
    "factor": ("schedule", ("plateau",)),
    "patience": ("schedule", ("plateau",)),
    "warmup": ("schedule", ("onecycle",)),
}
# Numbers, and their exclusive upper bounds
_ABOVE_0 = {"learning_rate": math.inf, "backbone_rate": math.inf, "factor": 1, "early_stopping": math.inf}
_FROM_0 = {
    "teacher_weight": math.inf,
    "none_weight": math.inf,
    "weight_decay": math.inf,
    "patience": math.inf,
    "label_smoothing": 1,
    "warmup": 1,
    "ema_decay": 1,
}


@dataclass(frozen=True)
class OptimConfig:
    """Optimization settings. Raises GenreclfError for unknown choices, and for keys that the choices do not use."""

    optimizer: str  # adam (with the net's L2 penalties), adamw, or muon (NAdamW for vectors)
    learning_rate: float  # with onecycle, the highest
    backbone_rate: float  # the backbone's factor on it; below 1 for pretrained layers (Howard and Ruder 2018)
    weight_decay: float | None  # of matrices and convolutions; adamw and muon
    label_smoothing: float  # the share of the target spread over all classes; multilabel: mixed with the genre's share
    # task=multiclass only: probabilities assume the mix shares ** prior_power: 0 uniform, 1 as in training
    prior_power: float
    none_weight: float  # task=multiclass only: the weight of the loss of out-of-scope clips
    teacher_weight: float  # the weight of the squared error of teachers' vectors, in units of their variance
    schedule: str  # plateau (reduces the rate when validation accuracy stagnates) or onecycle (Smith and Topin 2018)
    factor: float | None  # plateau: the factor that reduces the rate
    patience: int | None  # plateau: epochs without improvement before a reduction
    warmup: float | None  # onecycle: the share of the steps in which the rate rises
    ema_decay: float | None  # of the running average of weights, which is validated and kept; null: no average
    early_stopping: int | None  # epochs without improvement before training stops; null: never
    checkpoint: str  # the epoch to keep: best (by validation accuracy) or last

    def __post_init__(self) -> None:
        choices = (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("checkpoint", CHECKPOINTS))
        for key, known in choices:
            if getattr(self, key) not in known:
                raise GenreclfError(f"optim.{key}={getattr(self, key)!r}: unknown; known: {', '.join(known)}")
        if not 0 <= self.prior_power <= 1:
            mixes = "0 (a uniform mix of classes) to 1 (the mix in training)"
            raise GenreclfError(f"optim.prior_power={self.prior_power}: give {mixes}")
        for key, (choice, users) in _USED_BY.items():
            chosen = f"optim.{choice}={getattr(self, choice)}"
            if getattr(self, choice) in users and getattr(self, key) is None:
                raise GenreclfError(f"optim.{key}=null: {chosen} needs a number")
            if getattr(self, choice) not in users and getattr(self, key) is not None:
                raise GenreclfError(f"optim.{key}={getattr(self, key)}: not used with {chosen}; give optim.{key}=null")
        for limits, least in ((_ABOVE_0, "above 0"), (_FROM_0, "from 0")):
            for key, below in limits.items():
                value = getattr(self, key)
                if value is None or 0 < value < below or (value == 0 and limits is _FROM_0):
                    continue
                most = "" if below == math.inf else f" and below {below}"
                null = ", or null" if key in ("ema_decay", "early_stopping") else ""
                raise GenreclfError(f"optim.{key}={value}: give a number {least}{most}{null}")
