"""The configuration of a `GenreClassifier`."""

from dataclasses import dataclass
from typing import Annotated

from genreclf.config import BELOW_1, FROM_0, FROM_1, Limits, check_fields
from genreclf.errors import GenreclfError
from genreclf.frontend.log_mel import N_BANDS


@dataclass(frozen=True)
class ModelConfig:
    """Settings of a `GenreClassifier`. Plain data, stored in checkpoints and in a bundle's config.json.

    Raises GenreclfError for numbers out of range. `GenreClassifier` checks what depends on other settings.
    """

    backbone: str  # cnn (Model A) or efficientnet (Model B)
    num_classes: int
    # Mel bands that the backbone reads, from the lowest; 80 end at 3.1 kHz, which a telephone transmits
    bands: Annotated[int, Limits(at_least=1, at_most=N_BANDS)]
    standardize: bool  # the backbone reads a standardized segment (`SegmentStandardize`); false: levels in [0, 1]
    time_pool: int  # columns averaged into one before the backbone; with its halvings it must divide 256
    noise_std: Annotated[float, FROM_0]  # Gaussian noise in training, in units of the scaled input
    band_norm: bool  # batch norm over each band, before the backbone
    channels: tuple[int, ...]  # cnn: one number per block, of four; efficientnet: empty
    frequency_pools: tuple[int, ...]  # cnn: the factor by which each block reduces the bands; efficientnet: empty
    stem_stride: int  # of the first convolution, in both directions: 1 or 2; efficientnet: 2
    frequency_pooling: str  # features of a time step: "rows" (concatenated) or "mean_max" over the rows
    backbone_dropout: Annotated[tuple[float, ...], BELOW_1]  # cnn: by block; efficientnet: stochastic depth, dropout
    projection_units: Annotated[tuple[int, ...], FROM_1]  # dense layers between backbone and BiLSTMs; Model A has none
    projection_dropout: Annotated[float, BELOW_1]
    lstm_units: Annotated[tuple[int, ...], FROM_1]  # one BiLSTM each; per direction
    lstm_dropout: Annotated[float, BELOW_1]  # of a BiLSTM's input
    recurrent_dropout: Annotated[float, BELOW_1]  # of its hidden-to-hidden weights
    attention_heads: Annotated[int, FROM_1]  # must divide twice the last of lstm_units
    # Hidden layer of the branch on a segment's statistics (of all 128 bands); 0: no such branch
    statistics_units: Annotated[int, FROM_0]
    statistics_dropout: Annotated[float, BELOW_1]  # before and after that layer
    head_units: Annotated[tuple[int, ...], FROM_1]  # dense layers before the output layer
    head_dropout: Annotated[tuple[float, ...], BELOW_1]  # one rate per layer of head_units
    # Keras's penalties, l2 * sum of squares, of convolutions and first dense layers; only with optimizer=adam
    l2_backbone: Annotated[float, FROM_0]
    l2_projection: Annotated[float, FROM_0]
    l2_head: Annotated[float, FROM_0]
    last_time_stride: int = 2  # efficientnet: 1 skips the last halving of time. Has a default: older bundles lack it

    def __post_init__(self) -> None:
        check_fields(self, "model.net")


def require(holds: bool, config: ModelConfig, key: str, advice: str) -> None:
    """Raises GenreclfError with the value of `key` and the advice unless the condition holds."""
    if not holds:
        value = getattr(config, key)
        shown = list(value) if isinstance(value, tuple) else value
        raise GenreclfError(f"model.net.{key}={shown!r}: {advice}")
