"""The contract of all nets, and the behaviour of the whole net beyond that of its parts."""

import copy
import dataclasses
import io
import math

import pytest
import torch
from bundles import net_config
from torch import nn

from genreclf.errors import GenreclfError
from genreclf.nets.classifier import ALONE, FREQUENCY_POOLINGS, GenreClassifier, InputScaling, parameter_groups

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),  # TorchScript is used on purpose
    pytest.mark.usefixtures("one_thread"),
]

MODELS = ("a", "b", pytest.param("a_original", marks=pytest.mark.slow))
ORIGINALS = ("a_original", "b_original")
TIME_STEP = {"a": 32, "b": 64, "a_original": 16}


def levels(batch: int, width: int = 128, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 3, 128, width), dtype=torch.uint8, generator=random)


def warm_up(net: GenreClassifier) -> None:
    """Gives the batch norms the statistics of a few batches, because a new net's logits in eval mode are nearly 0."""
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the plain mean over batches
    with torch.no_grad():
        for seed in range(2):
            net.train()(levels(6, seed=seed))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@pytest.fixture(scope="module", params=MODELS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def warm(name) -> GenreClassifier:
    torch.manual_seed(0)
    net = GenreClassifier(net_config(name))
    warm_up(net)
    return net


@pytest.fixture
def net(warm) -> GenreClassifier:
    """The net in eval mode, with logits that differ from segment to segment."""
    return warm.eval()


@torch.no_grad()
def predict(net: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return net(x)


def assert_same(left: tuple[torch.Tensor, ...], right: tuple[torch.Tensor, ...], tolerance: float = 1e-5) -> None:
    for one, other in zip(left, right, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def test_logits_differ_from_segment_to_segment(net):
    """Otherwise the tests of equality below would pass for a constant net."""
    logits, attention = predict(net, levels(4))
    assert logits.std(dim=0).min() > 0.01 and attention.std(dim=0).max() > 1e-3


@pytest.mark.parametrize("width", [128, 256, 512])
def test_shapes_at_any_width(net, name, width):
    logits, attention = predict(net, levels(1, width))
    assert logits.shape == (1, 10) and logits.dtype == torch.float32
    assert attention.shape == (1, 4, width // TIME_STEP[name]) and attention.dtype == torch.float32
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(1, 4))


def test_uint8_and_float_give_equal_logits(net):
    x = levels(2)
    assert_same(predict(net, x), predict(net, x.float()), tolerance=0)


def test_logits_do_not_depend_on_the_batch(net):
    # In float64: a net with random weights amplifies float32's rounding, which does depend on the batch.
    net, x = copy.deepcopy(net).double(), levels(3)
    together = predict(net, x)
    for clip in range(3):
        assert_same(predict(net, x[clip : clip + 1]), tuple(value[clip : clip + 1] for value in together), 1e-6)


def test_every_parameter_gets_a_finite_gradient(warm):
    net = copy.deepcopy(warm).train()
    net(levels(4))[0].square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.isfinite().all()] == []
    assert {name.split(".")[0] for name, gradient in gradients.items() if gradient.any()} == {
        name.split(".")[0] for name in gradients
    }


def test_a_scripted_net_is_saved_loaded_and_agrees(net):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(net), buffer)
    buffer.seek(0)
    loaded = torch.jit.load(buffer)
    for x in (levels(2), levels(3, width=96)):
        assert_same(predict(net, x), predict(loaded, x))
        assert_same(net.outputs(x), loaded.outputs(x))


def test_bfloat16_autocast_on_the_cpu(net):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, attention = predict(net, levels(2, 64))
    assert logits.dtype == attention.dtype == torch.float32
    exact, _ = predict(net, levels(2, 64))
    # not equal to float32's, but similar
    assert not torch.equal(logits, exact) and torch.cosine_similarity(logits, exact).min() > 0.8


def test_bfloat16_autocast_trains_on_the_cpu(warm):
    net = copy.deepcopy(warm).train()
    # Wide enough for each column of every kernel to meet the input: otherwise oneDNN leaves its gradient uninitialised.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, _ = net(levels(2))
    logits.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_convolutions_run_in_channels_last(warm):
    def is_channels_last(x: torch.Tensor) -> bool:
        return x.is_contiguous(memory_format=torch.channels_last)

    net = copy.deepcopy(warm).eval()
    net.load_state_dict({key: value.clone().contiguous() for key, value in net.state_dict().items()})
    net.to(torch.float64).to(torch.float32)
    seen = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _, inputs, output: seen.extend([inputs[0], output]))
    predict(net, levels(2).contiguous())
    assert len(seen) > 10 and all(is_channels_last(x) for x in seen)


def scaling(mean, std, **changes: object) -> InputScaling:
    plain = {"bands": 128, "standardize": False, "time_pool": 1, "noise_std": 0.0, "band_norm": False}
    return InputScaling(net_config("a", **plain | changes), mean, std)


def test_input_scaling_follows_its_formula():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    scaled = scaling(mean, std, noise_std=0.1).eval()(levels(2))
    for channel in range(3):
        expected = (levels(2)[:, channel].double() / 255 - mean[channel]) / std[channel]
        torch.testing.assert_close(scaled[:, channel].double(), expected, rtol=1e-5, atol=1e-5)


def test_pooled_columns_are_the_means_of_their_neighbours():
    scaled = scaling((0.0,) * 3, (1.0,) * 3, time_pool=2)(levels(2))
    expected = (levels(2)[..., 0::2].double() + levels(2)[..., 1::2].double()) / 2 / 255
    torch.testing.assert_close(scaled.double(), expected, rtol=1e-5, atol=1e-6)


def test_a_standardized_segment_does_not_depend_on_its_clips_level_and_range():
    standardizing = scaling((0.0,) * 3, (1.0,) * 3, bands=80, standardize=True, time_pool=2)
    x = levels(2)[:, :1, :80].double().expand(-1, 3, -1, -1)
    low = x.mean(dim=(2, 3), keepdim=True)
    expected = ((x - low) / x.std(dim=(2, 3), correction=0, keepdim=True)).clamp(-4, 4)
    expected = (expected[..., 0::2] + expected[..., 1::2]) / 2
    torch.testing.assert_close(standardizing(x).double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(standardizing(60 + x * 0.7), standardizing(x), rtol=1e-4, atol=1e-4)


def test_bands_above_its_range_do_not_change_a_nets_logits():
    net = GenreClassifier(net_config("a", bands=80, statistics_units=0)).eval()
    other = levels(2)
    other[:, :, 80:] = 255 - other[:, :, 80:]
    assert_same(predict(net, other), predict(net, levels(2)))
    other[:, :, 79] = 255 - other[:, :, 79]
    assert not torch.equal(net(other)[0], net(levels(2))[0])


def test_the_statistics_read_all_bands_when_the_backbone_does_not():
    net = GenreClassifier(net_config("b_scratch", bands=72)).eval()
    other = levels(2)
    other[:, :, 72:] = 255 - other[:, :, 72:]
    (backbone, statistics), *_ = net.branches(levels(2))
    (backbone_after, statistics_after), *_ = net.branches(other)
    assert_same(backbone, backbone_after)
    assert not torch.allclose(statistics, statistics_after)
    torch.testing.assert_close(statistics_after, net.statistics(other)[0])


@pytest.mark.parametrize(("silent", "gate"), [(0, 1.0), (7, 1.0), (12, 5 / 6), (30, 5 / 24), (36, 0.0), (48, 0.0)])
def test_silent_bands_that_the_backbone_does_not_read_close_the_gate(silent, gate):
    net = GenreClassifier(net_config("b_scratch")).eval()
    x = levels(4).float()
    net.statistics.norm.running_mean.copy_(net.statistics.statistics(x).mean(0))  # as after training on these segments
    x[:, :, 128 - silent :] = 0
    (backbone, statistics), gates, *_ = net.branches(x)
    assert gates[0].flatten().tolist() == [1.0] * 4
    assert gates[1].flatten().tolist() == pytest.approx([gate] * 4, abs=1e-6)
    torch.testing.assert_close(net(x)[0], (backbone + gate * statistics) * (1 + (ALONE - 1) * (1 - gate)))


def test_bands_that_were_silent_in_training_do_not_close_the_gate():
    net = GenreClassifier(net_config("b_scratch")).eval()
    x = levels(4).float()
    x[:, :, 90:] = 0
    masked = x.clone()
    masked[:, :, :, 100:112] = 128  # a mask in time, the same over all bands
    net.statistics.norm.running_mean.copy_(net.statistics.statistics(masked).mean(0))
    assert net.branches(x)[1][1].flatten().tolist() == [1.0] * 4
    x[:, :, 85:] = 0  # five of the ten that were not silent
    assert net.branches(x)[1][1].flatten().tolist() == pytest.approx([5 / 12] * 4)


def test_the_gate_is_open_where_the_backbone_reads_all_bands():
    net = GenreClassifier(net_config("b_scratch", bands=128)).eval()
    x = levels(4).float()
    net.statistics.norm.running_mean.copy_(net.statistics.statistics(x).mean(0))
    x[:, :, 60:] = 0
    assert net.branches(x)[1][1].flatten().tolist() == [1.0] * 4


def test_each_band_is_normalised_separately():
    normalising = scaling((0.5,) * 3, (0.25,) * 3, band_norm=True).train()
    x = levels(4)
    x[:, :, 7] //= 4  # a quiet band
    scaled, plain = normalising(x), x.double() / 255 / 0.25
    mean = plain.mean(dim=(0, 1, 3), keepdim=True)
    deviation = plain.std(dim=(0, 1, 3), keepdim=True, correction=0)
    torch.testing.assert_close(scaled.double(), (plain - mean) / deviation, rtol=1e-3, atol=1e-3)
    assert normalising.norm.running_mean.shape == (128,)


@pytest.mark.parametrize("name", ["rows", "mean_max"])
def test_frequency_pooling_agrees_with_a_loop(name):
    maps = torch.rand(2, 5, 3, 4)  # (B, C, H, T)
    features = FREQUENCY_POOLINGS[name]()(maps)
    for b in range(2):
        for t in range(4):
            rows = [maps[b, :, row, t] for row in range(3)]
            stacked = torch.stack(rows)
            expected = torch.cat(rows if name == "rows" else [stacked.mean(0), stacked.max(0).values])
            torch.testing.assert_close(features[b, t], expected)


def test_the_branches_logits_are_added_and_each_has_separate_parameters(net, name):
    x = levels(3)
    parts, gates, attention, context = net.branches(x)
    assert len(parts) == len(gates) == (1 if name == "a_original" else 2)
    logits = sum(gate * part for gate, part in zip(gates, parts, strict=True)) * (1 + (ALONE - 1) * (1 - gates[-1]))
    assert_same(net.outputs(x), (logits, attention, context))
    for part in parts:
        part.square().sum().backward(retain_graph=True)
        of_statistics = [n.startswith("statistics.") for n, p in net.named_parameters() if p.grad is not None]
        assert of_statistics and len(set(of_statistics)) == 1
        net.zero_grad()


def test_noise_is_on_the_scale_of_0_to_1_and_in_training_only():
    torch.manual_seed(0)
    noisy = scaling((0.4, 0.4, 0.4), (0.25, 0.25, 0.25), noise_std=0.02)
    noise = noisy.train()(levels(2)) - noisy.eval()(levels(2))
    assert noise.std().item() == pytest.approx(0.02 / 0.25, rel=0.05) and abs(noise.mean().item()) < 0.005
    assert torch.equal(noisy(levels(2)), noisy(levels(2)))


def test_each_backbone_gets_its_scaling():
    a, b = (GenreClassifier(net_config(name)).scaling for name in ("a", "b"))
    assert a.mean.flatten().tolist() == [0, 0, 0] and a.std.flatten().tolist() == [1, 1, 1]
    assert b.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])  # ImageNet's, as published
    assert b.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])


def test_dense_and_convolution_weights_are_initialised_as_in_keras(name):
    torch.manual_seed(0)
    net = GenreClassifier(net_config(name))
    parts = [net.projection, net.head] + ([net.backbone] if name.startswith("a") else [])
    layers = [m for part in parts for m in part.modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
    for layer in layers:
        area = layer.weight[0, 0].numel()
        limit = (6 / ((layer.weight.shape[0] + layer.weight.shape[1]) * area)) ** 0.5
        assert 0.95 * limit < layer.weight.abs().max() <= limit * (1 + 1e-6)
        assert not layer.bias.any()
    assert len(layers) == {"a": 8 + 4 + 1, "b": 1 + 1, "a_original": 8 + 4 + 3}[name]


# Keras's parameter counts, from the original's description. They include the mean and variance of batch norms.
def dense(units_in: int, units: int) -> int:
    return units_in * units + units


def norm(features: int) -> int:
    return 4 * features


def bilstm(units_in: int, units: int) -> int:
    return 2 * 4 * (units_in * units + units * units + units) + norm(2 * units)


def attention(features: int) -> int:
    one_head = dense(features, features // 4) + features // 4
    return 4 * one_head + dense(4 * features, features)


def head(features: int) -> int:
    return dense(features, 256) + norm(256) + dense(256, 128) + norm(128) + dense(128, 10)


def se_cnn() -> int:
    count, channels_in = 0, 3
    for channels in (64, 128, 256, 512):
        for width in (channels_in, channels):
            count += 3 * 3 * width * channels + channels + norm(channels)
        channels_in = channels
    return count + sum(dense(c, c // 16) + dense(c // 16, c) for c in (256, 512))


KERAS_NORMALISATION = 7  # means and variances of three colours and a count, in Keras's EfficientNet
KERAS_EFFICIENTNET_B0 = 4_049_571  # without its top, as Keras prints it
KERAS_COUNTS = {
    "a_original": {
        "backbone": se_cnn(),
        "projection": 0,
        "recurrent": bilstm(1024, 192) + bilstm(384, 96),
        "attention": attention(192),
        "head": head(192),
    },
    "b_original": {
        "backbone": KERAS_EFFICIENTNET_B0 - KERAS_NORMALISATION,
        "projection": dense(5120, 512) + norm(512) + dense(512, 256) + norm(256),
        "recurrent": bilstm(256, 160) + bilstm(320, 80),
        "attention": attention(160),
        "head": head(160),
    },
}


def count_as_keras(module: nn.Module) -> int:
    """Counts parameters and batch norm statistics, without PyTorch's second bias in each LSTM direction."""
    values = [*module.named_parameters(), *module.named_buffers()]
    return sum(v.numel() for name, v in values if "bias_hh" not in name and not name.endswith("num_batches_tracked"))


@pytest.mark.parametrize("name", ORIGINALS)
def test_each_part_has_the_originals_parameters(name):
    net = GenreClassifier(net_config(name))
    assert {part: count_as_keras(getattr(net, part)) for part in KERAS_COUNTS[name]} == KERAS_COUNTS[name]


@pytest.mark.parametrize(
    ("name", "total"), [("a_original", 7_245_882), ("b_original", 7_803_661 - KERAS_NORMALISATION)]
)
def test_the_whole_has_the_originals_parameters(name, total):
    net = GenreClassifier(net_config(name))
    assert count_as_keras(net) - count_as_keras(net.scaling) == total
    second_biases = sum(p.numel() for n, p in net.named_parameters() if "bias_hh" in n)
    assert second_biases == 2 * 4 * sum(net_config(name).lstm_units)


PENALISED = {
    "a_original": {f"backbone.blocks.{block}.{layer}.weight": 5e-4 for block in range(4) for layer in (0, 3)}
    | {"head.0.weight": 1e-3},
    "b_original": {"projection.0.weight": 2e-3, "head.0.weight": 1e-3},
}


@pytest.mark.parametrize("name", ORIGINALS)
def test_weight_decay_is_the_gradient_of_the_originals_penalty(name):
    net = GenreClassifier(net_config(name))
    names = {parameter: n for n, parameter in net.named_parameters()}
    decays = {names[p]: group["weight_decay"] for group in parameter_groups(net) for p in group["params"]}
    assert set(decays) == set(names.values())
    for parameter, n in names.items():
        penalty = PENALISED[name].get(n, 0.0) * parameter.square().sum()
        (gradient,) = torch.autograd.grad(penalty, parameter)
        torch.testing.assert_close(decays[n] * parameter, gradient)


def test_groups_hold_each_trainable_parameter_once(name):
    net = GenreClassifier(net_config(name))
    net.head.requires_grad_(False)
    groups = parameter_groups(net)
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in net.parameters() if p.requires_grad)
    torch.optim.Adam(groups)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "resnet"}, r"net.backbone='resnet'.*cnn or efficientnet"),
        ({"bands": 0}, r"net.bands=0: give 1 or more"),
        ({"bands": 129}, r"net.bands=129.*at most 128"),
        ({"head_dropout": (0.4,)}, r"net.head_dropout=\[0.4\].*head_units=\[256, 128\]"),
        ({"recurrent_dropout": 1.0}, r"net.recurrent_dropout=1.0.*less than 1"),
        ({"backbone_dropout": (0.1, 0.1, -0.1, 0.1)}, r"net.backbone_dropout=\[0.1, 0.1, -0.1, 0.1\].*0 or more"),
        ({"lstm_units": ()}, r"net.lstm_units=\[\].*at least one"),
        ({"attention_heads": 5}, r"net.attention_heads=5.*divide 192"),
        ({"attention_heads": 0}, r"net.attention_heads=0.*1 or more"),
        ({"frequency_pooling": "max"}, r"net.frequency_pooling='max'.*rows or mean_max"),
        ({"statistics_units": -1}, r"net.statistics_units=-1.*0 or more"),
        ({"lstm_units": (8, 0)}, r"net.lstm_units=\[8, 0\].*1 or more"),
        ({"noise_std": math.nan}, r"net.noise_std=nan.*0 or more"),
        ({"l2_head": math.inf}, r"net.l2_head=inf.*0 or more"),
    ],
)
def test_a_net_that_cannot_be_built_is_refused(change, message):
    with pytest.raises(GenreclfError, match=message):
        GenreClassifier(net_config("a_original", **change))


@pytest.mark.parametrize(
    ("name", "known"), [("a", (1, 2, 4, 8, 16)), ("b", (1, 2, 4, 8)), ("b_scratch", (1, 2, 4, 8, 16))]
)
def test_time_pool_leaves_time_steps_of_equal_length(name, known):
    config = net_config(name)
    for time_pool in known[1:]:
        net = GenreClassifier(dataclasses.replace(config, time_pool=time_pool, statistics_units=0)).eval()
        assert predict(net, levels(1, 256))[1].shape[2] == known[-1] // time_pool
    listed = ", ".join(map(str, known))
    for wrong in (-1, 0, 3, 5, 2 * known[-1], 100_000):
        with pytest.raises(GenreclfError, match=f"net.time_pool={wrong}: .*{listed}"):
            GenreClassifier(dataclasses.replace(config, time_pool=wrong))


def test_the_embedding_is_the_attentions_context(net, name):
    x = levels(3)
    contexts = []
    handle = net.attention.register_forward_hook(lambda _, inputs, output: contexts.append(output[0]))
    logits, attention, embedding = net.outputs(x)
    handle.remove()
    assert embedding.shape == (3, 192 if name == "a_original" else 128) and embedding.dtype == torch.float32
    assert_same((*predict(net, x), contexts[0]), (logits, attention, embedding), tolerance=1e-4)
