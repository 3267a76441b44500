"""Settings of a run that are refused before any music is read."""

import math

import pytest
import yaml
from data_config import of_yaml

from genreclf.config import build, config_folder
from genreclf.errors import GenreclfError
from genreclf.training.settings import RunConfig, check_net


@pytest.mark.parametrize(
    ("key", "value", "bound"),
    [
        *(("batch_size", 1, "2 or more"), ("seed", -1, "0 or more"), ("seed", 2**32, "at most 4,294,967,295")),
        *(("workers", 500, "at most 64"), ("task", 3, "text"), ("ckpt", "best", "last")),
        *(("temperature", value, "0.04 or more, at most 1,000, or null") for value in (0.0, -1.0, math.nan, math.inf)),
    ],
)
def test_values_out_of_range_are_refused(key, value, bound):
    known = yaml.safe_load((config_folder() / "train.yaml").read_text())
    values = {name: known[name] for name in RunConfig.__annotations__}
    build(RunConfig, values, "")
    with pytest.raises(GenreclfError, match=rf"^{key}={value}: .*{bound}"):
        build(RunConfig, {**values, key: value}, "")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"net": 3}, ("model.net=3", "model.net.KEY=")),
        ({"kind": "choir"}, ("model.kind=choir", "classifier, svm, majority")),
        ({"net": {**of_yaml("model", "a")["net"], "lstm_units": [10**12]}}, ("model.net", "sizes")),
    ],
)
def test_a_model_from_which_no_net_can_be_made_is_refused(changes, parts):
    model = of_yaml("model", "a")
    check_net(model)
    with pytest.raises(GenreclfError) as refused:
        check_net({**model, **changes})
    assert all(part in str(refused.value) for part in parts)
