import shutil

import pytest

from genreclf.errors import GenreclfError
from genreclf.inference.run_folder import PRETRAINED, find_bundle


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run in the working folder that is named "a", like the pretrained model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "bundle").mkdir(parents=True)
    shutil.copyfile(PRETRAINED / "a" / "config.json", tmp_path / "a" / "bundle" / "config.json")
    return tmp_path / "a"


def test_a_folder_never_shadows_a_pretrained_name(run):
    assert find_bundle("a") == PRETRAINED / "a"
    assert find_bundle("./a").resolve() == run / "bundle"


def test_a_run_and_its_bundle_are_found(run):
    assert find_bundle(run) == find_bundle(run / "bundle") == run / "bundle"


def test_a_missing_model_names_the_pretrained_ones(tmp_path):
    with pytest.raises(GenreclfError, match=r"nowhere.*a or b"):
        find_bundle(tmp_path / "nowhere")


def test_an_unfinished_run_says_how_to_resume_it(tmp_path):
    (tmp_path / "config.yaml").touch()
    with pytest.raises(GenreclfError, match=r"did not finish.*ckpt=last"):
        find_bundle(tmp_path)
