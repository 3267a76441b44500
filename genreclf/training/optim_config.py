"""Optimization settings: the keys of the group `optim`."""

from dataclasses import dataclass
from typing import Annotated

from genreclf.config import ABOVE_0, BELOW_1, FROM_0, SHARE, Limits, check_fields
from genreclf.errors import GenreclfError

# The choices that use a key; with other choices it must be null.
_USED_BY = {
    "weight_decay": ("optimizer", ("adamw", "muon")),
    "factor": ("schedule", ("plateau",)),
    "patience": ("schedule", ("plateau",)),
    "warmup": ("schedule", ("onecycle",)),
}


@dataclass(frozen=True)
class OptimConfig:
    """Optimization settings. Raises GenreclfError for unknown choices, and for keys that the choices do not use."""

    optimizer: Annotated[str, ("adam", "adamw", "muon")]  # adam has L2 penalties; muon: NAdamW for vectors
    learning_rate: Annotated[float, ABOVE_0]  # with onecycle, the highest
    backbone_rate: Annotated[float, ABOVE_0]  # the backbone's factor; below 1 if pretrained (Howard and Ruder 2018)
    weight_decay: Annotated[float | None, FROM_0]  # of matrices and convolutions; adamw and muon
    # The share of the target that is spread over all classes; with task=multilabel, mixed with the genre's share
    label_smoothing: Annotated[float, BELOW_1]
    # task=multiclass only: probabilities assume the mix shares ** prior_power: 0 uniform, 1 as in training
    prior_power: Annotated[float, SHARE]
    none_weight: Annotated[float, FROM_0]  # task=multiclass only: the weight of the loss of out-of-scope clips
    teacher_weight: Annotated[float, FROM_0]  # of the squared error of teachers' vectors, in units of their variance
    # plateau reduces the rate when validation accuracy stagnates; onecycle: Smith and Topin 2018
    schedule: Annotated[str, ("plateau", "onecycle")]
    factor: Annotated[float | None, Limits(above=0, below=1)]  # plateau: the factor that reduces the rate
    patience: Annotated[int | None, FROM_0]  # plateau: epochs without improvement before a reduction
    warmup: Annotated[float | None, BELOW_1]  # onecycle: the share of the steps in which the rate rises
    ema_decay: Annotated[float | None, BELOW_1]  # of the running average of weights, which is kept; null: no average
    early_stopping: Annotated[int | None, ABOVE_0]  # epochs without improvement before training stops; null: never
    checkpoint: Annotated[str, ("best", "last")]  # the epoch to keep; best by validation accuracy

    def __post_init__(self) -> None:
        check_fields(self, "optim")
        for key, (choice, users) in _USED_BY.items():
            chosen = f"optim.{choice}={getattr(self, choice)}"
            if getattr(self, choice) in users and getattr(self, key) is None:
                raise GenreclfError(f"optim.{key}=null: {chosen} needs a number")
            if getattr(self, choice) not in users and getattr(self, key) is not None:
                raise GenreclfError(f"optim.{key}={getattr(self, key)}: not used with {chosen}; give optim.{key}=null")
