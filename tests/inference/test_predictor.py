import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from genreclf.config import build, config_folder
from genreclf.frontend.clip import Clip
from genreclf.frontend.segments import ViewConfig
from genreclf.inference.predictor import Predictor
from genreclf.nets.bundle import Bundle
from genreclf.nets.classifier import GenreClassifier
from genreclf.nets.config import ModelConfig
from genreclf.nets.torch_model import torch_predictor


def of_yaml(group: str, name: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(config_folder() / group / f"{name}.yaml"))


def predictor_of(view: str, frames_per_column: float) -> Predictor:
    torch.manual_seed(0)
    net = GenreClassifier(build(ModelConfig, {**of_yaml("model", "b")["net"], "num_classes": 3}, "net")).eval()
    config = build(ViewConfig, of_yaml("view", view), "view")
    return torch_predictor(Bundle(net, "b", ("x", "y", "z"), config, 30.0, frames_per_column, 1.5), "none", "cpu")


def test_a_pause_before_and_behind_changes_the_times_alone():
    levels = np.random.default_rng(0).integers(1, 256, (128, 700), dtype=np.uint8)
    paused = np.pad(levels, ((0, 0), (215, 90)))
    predictor = predictor_of("crop", 1.0)
    plain, later = (predictor.predict(Clip(own, own.shape[1], 22_050, 30.0, "")) for own in (levels, paused))
    assert later.probabilities == plain.probabilities
    assert [own.probabilities for own in later.segments] == [own.probabilities for own in plain.segments]
    pause = 215 * 512 / 22_050
    starts = [[own.start_seconds for own in each.segments] for each in (plain, later)]
    assert starts[1] == pytest.approx([start + pause for start in starts[0]])
    assert later.segments[-1].end_seconds == pytest.approx(plain.segments[-1].end_seconds + pause)
    assert later.seconds == pytest.approx(1_005 * 512 / 22_050)
    heeded = predictor.predict_with_attention(Clip(paused, 1_005, 22_050, 30.0, ""))[1]
    assert heeded.shape == (1_005,)
    assert not heeded[:215].any()
    assert not heeded[915:].any()
    assert heeded[215:915].mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("view", ["whole", "crop"])
def test_a_net_of_pictures_hears_audio_in_their_time_steps(view):
    predictor = predictor_of(view, 1_293 / 387)
    audio = np.random.default_rng(0).integers(0, 256, (128, 1_293), dtype=np.uint8)
    picture = audio[:, ((np.arange(387) + 0.5) * 1_293 / 387).astype(int)]
    heard = predictor.predict(Clip(audio, 1_293, 22_050, 30.0, ""))
    seen = predictor.predict(Clip(picture, 1_293, 0, 30.0, ""))
    assert heard == seen
