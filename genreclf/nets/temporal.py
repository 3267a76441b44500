"""The temporal layers after either backbone: a bidirectional LSTM, and attention over the time steps."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class BiLSTM(nn.Module):
    """A bidirectional LSTM, then batch norm over its features.

    `dropout` drops input features, with one mask per example for all steps, as in Keras (where each direction has its
    own mask). `recurrent_dropout` differs from Keras, whose form no fused kernel supports: it drops hidden-to-hidden
    weights, with one mask per batch (Merity et al. 2018). Weights are initialised as in Keras.
    """

    def __init__(self, units_in: int, units: int, dropout: float, recurrent_dropout: float) -> None:
        super().__init__()
        self.units = units
        self.recurrent_dropout = recurrent_dropout
        self.dropout = nn.Dropout1d(dropout)
        self.lstm: Any = nn.LSTM(units_in, units, batch_first=True, bidirectional=True)
        self.norm = nn.BatchNorm1d(2 * units, eps=1e-3)  # Keras's epsilon
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, units_in) -> (B, T, 2 * units)."""
        x = self.dropout(x.transpose(1, 2)).transpose(1, 2)  # Dropout1d drops whole rows of (B, units_in, T)
        x = self._recur(x)
        return self.norm(x.flatten(0, 1)).view_as(x)  # (B * T, 2 * units) -> (B, T, 2 * units)

    def _recur(self, x: Tensor) -> Tensor:
        # The call that nn.LSTM makes, except for the dropout of two weights. In eval mode, and at rate 0, dropout
        # returns the same tensor, so cuDNN finds the weights in one block, as nn.LSTM stores them.
        start = torch.zeros(2, x.shape[0], self.units, dtype=x.dtype, device=x.device)
        weights = [
            self.lstm.weight_ih_l0,
            functional.dropout(self.lstm.weight_hh_l0, self.recurrent_dropout, self.training),
            self.lstm.bias_ih_l0,
            self.lstm.bias_hh_l0,
            self.lstm.weight_ih_l0_reverse,
            functional.dropout(self.lstm.weight_hh_l0_reverse, self.recurrent_dropout, self.training),
            self.lstm.bias_ih_l0_reverse,
            self.lstm.bias_hh_l0_reverse,
        ]
        return torch.lstm(x, [start, start], weights, True, 1, 0.0, self.training, True, True)[0]

    def _initialise(self) -> None:
        if self.lstm.weight_hh_l0.is_meta:
            return  # no memory to initialise, and torch would import its compiler, which takes two seconds
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(parameter)
            else:
                nn.init.zeros_(parameter)
        for bias in (self.lstm.bias_ih_l0, self.lstm.bias_ih_l0_reverse):  # PyTorch adds a second bias, which stays 0
            nn.init.ones_(bias[self.units : 2 * self.units])  # the forget gate's bias


class MultiHeadTemporalAttention(nn.Module):
    """Additive attention over time: each head computes a weighted sum, a dense layer mixes them (Bahdanau et al. 2015).

    `heads` must divide `features`. Weights are initialised as in Keras, with one dense layer per head.
    """

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.hidden = nn.Linear(features, features)  # the dense layers of all heads, stacked
        self.score = nn.Parameter(torch.empty(heads, features // heads))  # row i projects head i to a score
        self.mix = nn.Linear(heads * features, features)
        self._initialise()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, features) -> context (B, features) and weights (B, heads, T) that sum to 1 over time."""
        hidden = torch.tanh(self.hidden(x)).unflatten(-1, [self.heads, -1])  # (B, T, F) -> (B, T, heads, F / heads)
        weights = (hidden * self.score).sum(-1).softmax(dim=1).transpose(1, 2)  # (B, heads, T)
        contexts = (weights @ x).flatten(1)  # (B, heads, features) -> (B, heads * features)
        return functional.relu(self.mix(contexts)), weights

    def _initialise(self) -> None:
        for weight in (*self.hidden.weight.chunk(self.heads), *self.score.split(1), self.mix.weight):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.hidden.bias)
        nn.init.zeros_(self.mix.bias)
