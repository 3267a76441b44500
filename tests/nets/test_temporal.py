import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from genreclf.nets.temporal import BiLSTM, MultiHeadTemporalAttention


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(x: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Computes one direction over (T, features), step by step, with the gate order input, forget, candidate, output."""
    units = recurrent.shape[1]
    hidden, cell, steps = np.zeros(units), np.zeros(units), []
    for step in x:
        i, f, g, o = np.split(kernel @ step + recurrent @ hidden + bias, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(cell)
        steps.append(hidden)
    return np.stack(steps)


def bilstm_by_hand(module: BiLSTM, x: np.ndarray) -> np.ndarray:
    w = {name: p.detach().double().numpy() for name, p in module.lstm.named_parameters()}
    forward, backward = (
        (w[f"weight_ih_l0{suffix}"], w[f"weight_hh_l0{suffix}"], w[f"bias_ih_l0{suffix}"] + w[f"bias_hh_l0{suffix}"])
        for suffix in ("", "_reverse")
    )
    return np.stack(
        [np.concatenate([lstm_by_hand(c, *forward), lstm_by_hand(c[::-1], *backward)[::-1]], axis=1) for c in x]
    )


@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.4])
def test_bilstm_in_eval_agrees_with_one_written_by_hand(recurrent_dropout):
    torch.manual_seed(0)
    module = BiLSTM(units_in=5, units=3, dropout=0.3, recurrent_dropout=recurrent_dropout).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    nn.init.normal_(module.norm.running_mean)
    nn.init.uniform_(module.norm.running_var, 0.5, 2)
    x = torch.randn(2, 7, 5)
    norm = {name: value.double().numpy() for name, value in module.norm.state_dict().items()}
    expected = bilstm_by_hand(module, x.double().numpy())
    expected = (expected - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-3) * norm["weight"] + norm["bias"]
    np.testing.assert_allclose(module(x).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_batch_norm_is_over_batch_and_time():
    torch.manual_seed(0)
    module = BiLSTM(units_in=5, units=3, dropout=0.0, recurrent_dropout=0.0)
    y = module(torch.randn(4, 6, 5)).detach()
    assert y.mean(dim=(0, 1)).abs().max() < 1e-5


def test_input_dropout_has_one_mask_per_example_for_all_steps():
    torch.manual_seed(0)
    module = BiLSTM(units_in=200, units=8, dropout=0.25, recurrent_dropout=0.0)
    x = torch.randn(6, 4, 200, requires_grad=True)
    module(x).square().sum().backward()
    dropped = x.grad == 0  # (6, 4, 200): inputs that did not reach the net
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert 0.2 < dropped[:, 0].float().mean() < 0.3
    assert not torch.equal(dropped[0], dropped[1])


def test_recurrent_dropout_drops_hidden_weights_in_training_only():
    torch.manual_seed(0)
    module = BiLSTM(units_in=5, units=32, dropout=0.0, recurrent_dropout=0.25)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    module(torch.randn(3, 6, 5)).square().sum().backward()
    for weight in (module.lstm.weight_hh_l0, module.lstm.weight_hh_l0_reverse):
        assert 0.2 < (weight.grad == 0).float().mean() < 0.3
    assert all((p.grad != 0).all() for name, p in module.lstm.named_parameters() if "ih" in name)
    assert all(torch.equal(p, before[name]) for name, p in module.named_parameters())  # the weights are unchanged


def test_recurrent_dropout_keeps_the_expected_recurrent_sum():
    torch.manual_seed(0)
    module = BiLSTM(units_in=1, units=200, dropout=0.0, recurrent_dropout=0.25)
    with torch.no_grad():
        for parameter in module.lstm.parameters():
            parameter.zero_()
        module.lstm.weight_hh_l0.fill_(1e-3)
        module.lstm.bias_ih_l0.fill_(1.0)
        x = torch.zeros(1, 2, 1)
        in_training = module._recur(x)[0, 1, :200].mean()
        in_eval = module.eval()._recur(x)[0, 1, :200].mean()
        module.lstm.weight_hh_l0.zero_()
        without = module._recur(x)[0, 1, :200].mean()
    assert (in_eval - without).abs() > 1e-3  # the recurrent weights matter at the second step
    assert (in_training - in_eval).abs() < 0.05 * (in_eval - without).abs()


def test_lstm_weights_are_initialised_as_in_keras():
    torch.manual_seed(0)
    lstm = BiLSTM(units_in=40, units=16, dropout=0.0, recurrent_dropout=0.0).lstm
    for suffix in ("", "_reverse"):
        kernel, recurrent = getattr(lstm, f"weight_ih_l0{suffix}"), getattr(lstm, f"weight_hh_l0{suffix}")
        limit = (6 / (40 + 4 * 16)) ** 0.5
        assert 0.95 * limit < kernel.abs().max() <= limit
        torch.testing.assert_close(recurrent.T @ recurrent, torch.eye(16), rtol=0, atol=1e-5)
        bias = getattr(lstm, f"bias_ih_l0{suffix}") + getattr(lstm, f"bias_hh_l0{suffix}")
        assert bias.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32  # input, forget, candidate, output


def attention_by_hand(module: MultiHeadTemporalAttention, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, F) of one example -> (F,) and (heads, T), computed head by head."""
    w = {name: p.detach().double().numpy() for name, p in module.named_parameters()}
    size = x.shape[1] // module.heads
    contexts, weights = [], []
    for head in range(module.heads):
        rows = slice(head * size, (head + 1) * size)
        scores = [w["score"][head] @ np.tanh(w["hidden.weight"][rows] @ step + w["hidden.bias"][rows]) for step in x]
        weights.append(np.exp(scores) / np.exp(scores).sum())
        contexts.append(sum(weight * step for weight, step in zip(weights[-1], x, strict=True)))
    return np.maximum(w["mix.weight"] @ np.concatenate(contexts) + w["mix.bias"], 0), np.stack(weights)


@settings(max_examples=20, deadline=None)
@given(batch=st.integers(1, 3), steps=st.integers(1, 9), heads=st.integers(1, 4), size=st.integers(1, 5))
def test_attention_agrees_with_a_loop_over_heads(batch, steps, heads, size):
    module = MultiHeadTemporalAttention(heads * size, heads)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(batch, steps, heads * size)
    context, weights = (value.detach().numpy() for value in module(x))
    for example in range(batch):
        expected_context, expected_weights = attention_by_hand(module, x[example].double().numpy())
        np.testing.assert_allclose(context[example], expected_context, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(weights[example], expected_weights, rtol=1e-4, atol=1e-5)


def test_attention_weights_are_initialised_as_one_keras_layer_per_head():
    torch.manual_seed(0)
    module = MultiHeadTemporalAttention(features=64, heads=4)
    for weight, fans in ((module.hidden.weight, 64 + 16), (module.score, 16 + 1), (module.mix.weight, 4 * 64 + 64)):
        limit = (6 / fans) ** 0.5
        assert 0.9 * limit < weight.abs().max() <= limit
    assert not module.hidden.bias.any() and not module.mix.bias.any()
