"""Models at hand, without loading any."""

import json

from bundles import random_bundle

from genreclf.inference.catalog import list_models
from genreclf.inference.run_folder import pretrained_names
from genreclf.nets.bundle import save_bundle


def test_models_that_come_along_say_their_size_and_score(tmp_path):
    found = list_models(tmp_path / "no runs here")
    assert [known.label for known in found] == [f"{name} (comes along)" for name in pretrained_names()]
    for known in found:
        assert int(known.parameters.replace(",", "")) > 10_000
        assert known.accuracy.startswith(known.accuracy.split()[0]) and "to" in known.accuracy
        assert known.picture_seconds == 30


def test_runs_and_bundles_are_found_and_broken_ones_passed_over(tmp_path):
    for place in ("first/bundle", "sweep/0/bundle", "alone"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        save_bundle(tmp_path / place, random_bundle("majority"))
    (tmp_path / "broken" / "bundle").mkdir(parents=True)
    (tmp_path / "broken" / "bundle" / "config.json").write_text("{")
    (tmp_path / "odd" / "bundle").mkdir(parents=True)
    (tmp_path / "odd" / "bundle" / "config.json").write_text(json.dumps([1]))
    own = {known.label: known for known in list_models(tmp_path)[len(pretrained_names()) :]}
    assert set(own) == {"first", "sweep/0", "alone"}
    assert all(known.accuracy == known.parameters == "" for known in own.values())
    assert own["first"].folder == tmp_path / "first" / "bundle" and own["first"].picture_seconds == 29.5
