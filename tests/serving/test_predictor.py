import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.data.clip import Clip
from genreclf.data.views import ViewConfig
from genreclf.models.classifier import GenreClassifier
from genreclf.models.config import ModelConfig
from genreclf.serving.bundle import Bundle
from genreclf.serving.predictor import Predictor


def of_yaml(group: str, name: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(config_folder() / group / f"{name}.yaml"))


@pytest.mark.parametrize("view", ["whole", "crop"])
def test_a_net_of_pictures_hears_audio_in_their_time_steps(view):
    torch.manual_seed(0)
    net = GenreClassifier(build(ModelConfig, {**of_yaml("model", "b")["net"], "num_classes": 3}, "net")).eval()
    config = build(ViewConfig, of_yaml("view", view), "view")
    bundle = Bundle(net, "b", ("x", "y", "z"), config, 30.0, 1_293 / 387, 1.5)
    predictor = Predictor(bundle, "none", "cpu")
    audio = np.random.default_rng(0).integers(0, 256, (128, 1_293), dtype=np.uint8)
    picture = audio[:, ((np.arange(387) + 0.5) * 1_293 / 387).astype(int)]
    heard = predictor.predict(Clip(audio, 1_293, 22_050, 30.0, ""))
    seen = predictor.predict(Clip(picture, 1_293, 0, 30.0, ""))
    assert heard == seen
