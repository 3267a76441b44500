"""The configuration of a `GenreClassifier`."""

from dataclasses import dataclass

from genreclf.errors import GenreclfError


@dataclass(frozen=True)
class ModelConfig:
    """Settings of a `GenreClassifier`. Plain data, stored in checkpoints and in a bundle's config.json.

    `GenreClassifier` checks the values, because some of them depend on the backbone.
    """

    backbone: str  # cnn (Model A) or efficientnet (Model B)
    num_classes: int
    bands: int  # mel bands that the backbone reads, from the lowest; 80 end at 3.1 kHz, which a telephone transmits
    standardize: bool  # the backbone reads a standardized segment (`SegmentStandardize`); false: levels in [0, 1]
    time_pool: int  # columns averaged into one before the backbone; with its halvings it must divide 256
    noise_std: float  # Gaussian noise in training, in units of the scaled input
    band_norm: bool  # batch norm over each band, before the backbone
    channels: tuple[int, ...]  # cnn: one number per block, of four; efficientnet: empty
    frequency_pools: tuple[int, ...]  # cnn: the factor by which each block reduces the bands; efficientnet: empty
    stem_stride: int  # of the first convolution, in both directions: 1 or 2; efficientnet: 2
    frequency_pooling: str  # features of a time step: "rows" (concatenated) or "mean_max" over the rows
    backbone_dropout: tuple[float, ...]  # cnn: one rate per block; efficientnet: stochastic depth, then dropout
    projection_units: tuple[int, ...]  # dense layers between backbone and BiLSTMs; Model A has none
    projection_dropout: float
    lstm_units: tuple[int, ...]  # one BiLSTM each; per direction
    lstm_dropout: float  # of a BiLSTM's input
    recurrent_dropout: float  # of its hidden-to-hidden weights
    attention_heads: int  # must divide twice the last of lstm_units
    statistics_units: int  # hidden layer of the branch on a segment's statistics (all 128 bands); 0: no such branch
    statistics_dropout: float  # before and after that layer
    head_units: tuple[int, ...]  # dense layers before the output layer
    head_dropout: tuple[float, ...]  # one rate per layer of head_units
    l2_backbone: float  # Keras penalties, l2 * sum of squares, used with optimizer=adam only: backbone's convolutions
    l2_projection: float  # first projection layer
    l2_head: float  # first head layer
    last_time_stride: int = 2  # efficientnet: 1 skips the last halving of time. Has a default: older bundles lack it


def require(holds: bool, config: ModelConfig, key: str, advice: str) -> None:
    """Raises GenreclfError with the value of `key` and the advice unless the condition holds."""
    if not holds:
        value = getattr(config, key)
        shown = list(value) if isinstance(value, tuple) else value
        raise GenreclfError(f"model.net.{key}={shown!r}: {advice}")
