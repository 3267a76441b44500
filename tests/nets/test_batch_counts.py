"""Batch counters are updated as batch norms update them."""

from copy import deepcopy

import torch
from torch import nn

from genreclf.nets.batch_counts import counted_together


def test_the_counters_are_as_if_each_norm_had_counted():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False), nn.BatchNorm1d(3).eval())
    other, x = deepcopy(net), torch.randn(4, 3)
    for _ in range(2):
        expected = net(x)
        with counted_together(other):
            found = other(x)
    assert torch.equal(found, expected)
    state = other.state_dict()
    assert list(state) == list(net.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert state["0.num_batches_tracked"] == 2 and state["2.num_batches_tracked"] == 0
