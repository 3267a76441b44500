import pytest
import torch
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.nets.config import ModelConfig
from genreclf.nets.efficientnet import EfficientNet


@pytest.fixture(scope="module")
def one_thread():
    """Uses one thread, which is faster for such small inputs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def backbone() -> EfficientNet:
    values = OmegaConf.to_container(OmegaConf.load(config_folder() / "model" / "b.yaml"))
    return EfficientNet(build(ModelConfig, {**values["net"], "num_classes": 10}, "model.net"))
