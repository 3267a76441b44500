"""Trained models that no training made."""

import torch
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.frontend.segments import ViewConfig
from genreclf.nets.bundle import Bundle
from genreclf.nets.kinds import new_net

CLASSES = ("ska", "dub", "raï")


def of_yaml(group: str, name: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(config_folder() / group / f"{name}.yaml"))


def random_bundle(name: str) -> Bundle:
    """A net in which no tensor is as it was at first, the statistics of its batch norms neither."""
    torch.manual_seed(0)
    model = of_yaml("model", name)
    sizes = {"support_vectors": 5} if name == "svm" else {}
    net = new_net(model["kind"], {**model["net"], "num_classes": len(CLASSES), **sizes}, "net")
    for buffer_name, buffer in net.named_buffers():
        if name in ("svm", "majority") or buffer_name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    return Bundle(net.eval(), name, CLASSES, build(ViewConfig, of_yaml("view", "crop"), "view"), 29.5, 3.25, 1.75)
