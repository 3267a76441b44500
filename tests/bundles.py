"""Untrained bundles for tests."""

from dataclasses import replace

import torch
from data_config import of_yaml

from genreclf.config import build
from genreclf.exporters.bundle import Bundle
from genreclf.frontend.segments import ViewConfig
from genreclf.inference.model_info import ModelInfo
from genreclf.nets.config import ModelConfig
from genreclf.nets.kinds import new_net

CLASSES = ("ska", "dub", "raï")


def net_config(name: str, **changes: object) -> ModelConfig:
    """Returns the configuration of model=NAME for ten classes. `changes` are for model.net."""
    return build(ModelConfig, {**of_yaml("model", name)["net"], "num_classes": 10, **changes}, "model.net")


def random_bundle(name: str, **changes: object) -> Bundle:
    """Returns an untrained net whose batch norms have other than initial statistics. `changes` are for model.net."""
    torch.manual_seed(0)
    model = of_yaml("model", name)
    sizes = {"support_vectors": 5} if name == "svm" else {}
    net = new_net(model["kind"], {**model["net"], "num_classes": len(CLASSES), **sizes, **changes}, "net")
    for buffer_name, buffer in net.named_buffers():
        if name in ("svm", "majority") or buffer_name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    view = build(ViewConfig, of_yaml("view", "crop"), "view")
    return Bundle(net.eval(), ModelInfo(name, CLASSES, view, 29.5, 3.25, 1.75))


def quick_bundle(**changes: object) -> Bundle:
    """Returns a net that exports quickly and whose logits differ between segments; `changes` are for its ModelInfo."""
    bundle = random_bundle("svm")
    bundle.net.gamma.fill_(1e-7)
    bundle.net.coefficients.mul_(torch.tensor([[-1.0], [1.0], [2.0]]))
    return Bundle(bundle.net, replace(bundle.info, **changes))
