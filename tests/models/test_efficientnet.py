import hashlib
import socket
import time
import warnings
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file
from torch import nn

from genreclf.config import build, config_folder
from genreclf.errors import GenreclfError
from genreclf.models.config import ModelConfig
from genreclf.models.efficientnet import EfficientNet, load_weights

HUB_FOLDER = "models--timm--efficientnet_b0.ra_in1k"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Inputs this small are done before a second thread has been woken, many times over in grouped convolutions."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def backbone() -> EfficientNet:
    values = OmegaConf.to_container(OmegaConf.load(config_folder() / "model" / "b.yaml"))
    return EfficientNet(build(ModelConfig, {**values["net"], "num_classes": 10}, "model.net"))


@pytest.fixture(scope="module")
def whole_net() -> dict[str, torch.Tensor]:
    """What timm's file holds: a net with its head of 1,000 classes."""
    torch.manual_seed(5)
    return {name: value.contiguous() for name, value in timm.create_model("efficientnet_b0").state_dict().items()}


@pytest.fixture
def offline(monkeypatch, tmp_path) -> Path:
    """An empty hub cache and HF_HUB_OFFLINE=1 (read by the hub's client when it is imported)."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return cache


def put_into_cache(cache: Path, tensors: dict[str, torch.Tensor]) -> None:
    snapshot = cache / HUB_FOLDER / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / HUB_FOLDER / "refs").mkdir()
    (cache / HUB_FOLDER / "refs" / "main").write_text("abc")
    save_file(tensors, snapshot / "model.safetensors")


def is_loaded(backbone: EfficientNet, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, tensors[name]) for name, value in backbone.net.state_dict().items())


def is_frozen(backbone: EfficientNet) -> bool:
    return not all(parameter.requires_grad for parameter in backbone.parameters())


# Keras's layers of EfficientNet-B0 in their order, as numbers of parameters (batch norm statistics are parameters too).
# Block: (kernel, channels in, channels out, expansion, stride), from Tan and Le 2019, table 1.
KERAS_BLOCKS = (
    *[(3, 32, 16, 1, 1)],
    *[(3, 16, 24, 6, 2), (3, 24, 24, 6, 1)],
    *[(5, 24, 40, 6, 2), (5, 40, 40, 6, 1)],
    *[(3, 40, 80, 6, 2), (3, 80, 80, 6, 1), (3, 80, 80, 6, 1)],
)


def keras_block(kernel: int, channels_in: int, channels: int, expansion: int, stride: int) -> list[int]:
    wide, squeezed = channels_in * expansion, channels_in // 4
    expand = [channels_in * wide, 4 * wide, 0] if expansion > 1 else []  # convolution, norm, activation
    depthwise = [0] * (stride > 1) + [kernel**2 * wide, 4 * wide, 0]  # (padding,) convolution, norm, activation
    squeeze = [0, 0, wide * squeezed + squeezed, squeezed * wide + wide, 0]  # pool, reshape, reduce, expand, multiply
    project = [wide * channels, 4 * channels]
    return expand + depthwise + squeeze + project + [0, 0] * (channels_in == channels and stride == 1)  # (drop, add)


def keras_layers(second_rescaling: bool) -> list[int]:
    stem = [0, 0, 7] + [0] * second_rescaling + [0, 27 * 32, 4 * 32, 0]
    return stem + [count for block in KERAS_BLOCKS for count in keras_block(*block)]


@pytest.mark.parametrize("second_rescaling", [False, True])
def test_the_first_100_keras_layers_are_frozen_and_no_more(backbone, second_rescaling):
    backbone.freeze_first_layers()
    frozen = sum(p.numel() for p in backbone.parameters() if not p.requires_grad)
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d) and not m.weight.requires_grad]
    frozen += sum(m.running_mean.numel() + m.running_var.numel() for m in norms)
    assert frozen == sum(keras_layers(second_rescaling)[:100]) - 7  # Keras's normalisation constants are no layer here


def test_freezing_ends_at_the_second_block_of_the_fourth_stage(backbone):
    backbone.freeze_first_layers()
    cut = {name for name, p in backbone.net.blocks[3][1].named_parameters() if p.requires_grad}
    assert cut == {"conv_pwl.weight", "bn3.weight", "bn3.bias"}
    assert all(
        p.requires_grad for p in [*backbone.net.blocks[3][2].parameters(), *backbone.net.blocks[4:].parameters()]
    )


def test_frozen_batch_norms_keep_their_statistics_in_training(backbone):
    backbone.freeze_first_layers()
    backbone.eval()
    backbone.train()
    before = {name: value.clone() for name, value in backbone.named_buffers() if name.endswith("running_mean")}
    backbone(torch.randn(2, 3, 128, 64))
    moved = {
        name for name, value in backbone.named_buffers() if name in before and not torch.equal(value, before[name])
    }
    frozen = {n for n in before if not backbone.get_parameter(n.replace("running_mean", "weight")).requires_grad}
    assert frozen and moved == set(before) - frozen


@pytest.mark.parametrize(("width", "steps"), [(64, 2), (256, 8), (300, 10)])
def test_time_is_thinned_by_32(backbone, width, steps):
    with torch.no_grad():
        features = backbone.eval()(torch.randn(1, 3, 128, width))
    assert features.shape == (1, steps, 5120) and backbone.num_features == 5120


def test_a_steps_features_are_its_rows_channels(backbone):
    x = torch.randn(1, 3, 128, 64)
    with torch.no_grad():
        features, maps = backbone.eval()(x), backbone.net(x)  # (1, 2, 5120), (1, 1280, 4, 2)
    for step in range(2):
        expected = torch.cat([maps[0, :, row, step] for row in range(4)])
        torch.testing.assert_close(features[0, step], expected, rtol=0, atol=0)


def test_one_dropout_rate_is_refused():
    values = OmegaConf.to_container(OmegaConf.load(config_folder() / "model" / "b.yaml"))["net"]
    config = build(ModelConfig, {**values, "num_classes": 10, "backbone_dropout": [0.1]}, "model.net")
    with pytest.raises(GenreclfError, match="backbone=efficientnet needs two rates"):
        EfficientNet(config)


def test_a_file_with_timms_keys_is_loaded_and_its_head_ignored(backbone, whole_net, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(whole_net, path)
    assert "classifier.weight" in whole_net and not is_loaded(backbone, whole_net)
    record = load_weights(backbone, str(path))
    assert is_loaded(backbone, whole_net) and is_frozen(backbone)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = {"asked": str(path), "pretrained": True, "file": str(path), "sha256": digest, "reason": None}
    assert record == expected


def test_a_file_may_lack_batch_counters(backbone, whole_net, tmp_path):
    kept = {name: value for name, value in whole_net.items() if not name.endswith("num_batches_tracked")}
    save_file(kept, tmp_path / "weights.safetensors")
    load_weights(backbone, str(tmp_path / "weights.safetensors"))
    assert is_loaded(backbone, whole_net)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_stem.weight": None}, r"1 missing \(first: conv_stem.weight\)"),
        ({"stem.weight": torch.zeros(1)}, r"1 unknown \(first: stem.weight\)"),
        ({"bn1.weight": torch.zeros(31)}, r"1 of another shape \(first: bn1.weight\)"),
    ],
)
def test_a_file_that_does_not_fit_says_what(backbone, whole_net, tmp_path, change, message):
    tensors = {name: value for name, value in {**whole_net, **change}.items() if value is not None}
    save_file(tensors, tmp_path / "weights.safetensors")
    before = backbone.net.conv_head.weight.clone()
    with pytest.raises(GenreclfError, match=message):
        load_weights(backbone, str(tmp_path / "weights.safetensors"))
    assert torch.equal(backbone.net.conv_head.weight, before) and not is_frozen(backbone)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\xff" * 64])
def test_a_file_that_cannot_be_read_says_so(backbone, tmp_path, content):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GenreclfError, match=r"weights.safetensors: cannot be read as safetensors") as caught:
        load_weights(backbone, str(path))
    assert "\n" not in str(caught.value)


def test_an_unknown_word_is_refused(backbone):
    with pytest.raises(GenreclfError, match=r"model.weights='imagent'.*auto, imagenet, none or"):
        load_weights(backbone, "imagent")


def test_none_loads_and_freezes_nothing_without_a_warning(backbone):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = load_weights(backbone, "none")
    assert not record["pretrained"] and record["file"] is None and not is_frozen(backbone)


def test_auto_without_the_hub_warns_and_records_random_weights(backbone, offline):
    with pytest.warns(UserWarning, match=r"RANDOM WEIGHTS.*efficientnet_b0.*\.safetensors"):
        record = load_weights(backbone, "auto")
    assert record["asked"] == "auto" and not record["pretrained"] and "offline" in record["reason"]
    assert not is_frozen(backbone)


def test_imagenet_without_the_hub_fails_with_the_offline_way(backbone, offline):
    with pytest.raises(
        GenreclfError, match=r"timm/efficientnet_b0\S* cannot be had.*path of a \.safetensors file"
    ) as e:
        load_weights(backbone, "imagenet")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("weights", ["auto", "imagenet"])
def test_the_hubs_cache_serves_offline(backbone, whole_net, offline, weights):
    put_into_cache(offline, whole_net)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record = load_weights(backbone, weights)
    assert record["pretrained"] and record["asked"] == weights and HUB_FOLDER in record["file"]
    assert is_loaded(backbone, whole_net) and is_frozen(backbone)


def test_a_hub_that_does_not_answer_fails_at_once(backbone, offline, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    url = f"http://127.0.0.1:{port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", url)
    start = time.monotonic()
    with pytest.raises(GenreclfError, match="cannot be had from the hub"):
        load_weights(backbone, "imagenet")
    assert time.monotonic() - start < 4  # the hub's client by itself tries for more than 20 seconds
