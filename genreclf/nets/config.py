"""The net's only argument."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelConfig:
    """Everything that shapes a `GenreClassifier`; plain data, kept in checkpoints and in a bundle's config.json.

    `bands` is how many of the 128, from the lowest, the backbone hears: of 80 the last ends at 3.1 kHz, which
    telephones and all rates from 8 kHz on carry. With `standardize` the backbone, too, gets the segment on its own scale
    (`SegmentStandardize`), else levels scaled to [0, 1] or as its authors did. `time_pool` is how many columns are averaged into
    one before that. `noise_std` is in units of the scaled input. `band_norm` puts a batch norm over each band in front
    of the backbone. `channels`, `frequency_pools` (how much each block thins the bands) and `stem_stride` (1 or 2, both
    ways) shape "cnn"; "efficientnet" has its own, none to give and 2. A `last_time_stride` of 1, "efficientnet"'s
    alone, leaves out the last of its five halvings of time. `frequency_pooling` is how a step's features come of the
    rows that the backbone leaves: "rows", one after the other, or "mean_max" of each channel. `backbone_dropout` has
    one rate a block for "cnn"; for "efficientnet" that of stochastic depth, part of EfficientNet-B0 as published and in
    Keras, and of dropout behind it. `projection_*` are the dense layers between backbone and BiLSTMs (none for Model
    A). `lstm_units` are per direction. Beside them, `statistics_units` read the statistics of all 128 bands (0: none
    do), with `statistics_dropout` before and after. `l2_*` are Keras penalties (l2 * sum of squares, added to the
    loss).
    """

    backbone: str
    num_classes: int
    bands: int
    standardize: bool
    time_pool: int
    noise_std: float
    band_norm: bool
    channels: tuple[int, ...]
    frequency_pools: tuple[int, ...]
    stem_stride: int
    frequency_pooling: str
    backbone_dropout: tuple[float, ...]
    projection_units: tuple[int, ...]
    projection_dropout: float
    lstm_units: tuple[int, ...]
    lstm_dropout: float
    recurrent_dropout: float
    attention_heads: int
    statistics_units: int
    statistics_dropout: float
    head_units: tuple[int, ...]
    head_dropout: tuple[float, ...]
    l2_backbone: float
    l2_projection: float
    l2_head: float
    last_time_stride: int = 2  # a default, as bundles of before do not name it
