import pytest
import torch
from bundles import net_config

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
    return EfficientNet(net_config("b"))
