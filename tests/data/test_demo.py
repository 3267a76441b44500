import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genreclf.data.demo import STYLES, render, write_demo
from genreclf.errors import GenreclfError


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("style", STYLES)
def test_a_clip_is_16_bit_audio_that_is_loud_enough(style):
    clip = render(style, 0, 0, 2.5)
    assert clip.dtype == np.float32 and np.sqrt(np.mean(clip**2)) > 0.01
    np.testing.assert_array_equal(clip * 32_768, np.rint(clip * 32_768))
    assert list(STYLES) == sorted(set(STYLES)) and len(STYLES) == 10


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(STYLES), st.integers(0, 10**6), st.integers(-(2**63), 2**63), st.floats(1.0, 2.0))
def test_any_index_seed_and_length_gives_sound(style, index, seed, seconds):
    clip = render(style, index, seed, seconds)
    assert clip.shape == (round(seconds * 22_050),)
    assert np.isfinite(clip).all()
    assert 0.3 < np.abs(clip).max() < 1.0


def test_clips_differ_by_style_index_and_seed():
    clips = [render(style, index, seed, 1.0) for style in STYLES for index in (0, 1) for seed in (0, 1)]
    assert len({clip.tobytes() for clip in clips}) == len(clips)


def test_a_file_holds_what_render_returns(tmp_path):
    write_demo(tmp_path, 1, 1.0, 5, None)
    for style in STYLES:
        samples, rate = soundfile.read(tmp_path / style / f"{style}.00000.wav", dtype="float32")
        assert rate == 22_050
        np.testing.assert_array_equal(samples, render(style, 0, 5, 1.0))


def test_another_process_writes_the_same_bytes(tmp_path):
    write_demo(tmp_path / "here", 2, 1.0, 0, None)
    program = (
        "import sys; from pathlib import Path; from genreclf.data.demo import write_demo;"
        "write_demo(Path(sys.argv[1]), 2, 1.0, 0, None)"
    )
    # With another hash seed, and NumPy without the widest vector instructions
    environment = os.environ | {"PYTHONHASHSEED": "12345", "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "there")], env=environment, check=True)
    assert len(digests(tmp_path / "here")) == 20
    assert digests(tmp_path / "here") == digests(tmp_path / "there")


def test_an_interrupted_call_resumes(tmp_path):
    class Interrupted(Exception):
        pass

    def stop(done, total):
        calls.append((done, total))
        if done == 7:
            raise Interrupted

    calls = []
    with pytest.raises(Interrupted):
        write_demo(tmp_path / "cut", 1, 1.0, 0, stop)
    assert calls == [(done, 10) for done in range(1, 8)]
    assert len(digests(tmp_path / "cut")) == 7
    write_demo(tmp_path / "cut", 1, 1.0, 0, None)
    write_demo(tmp_path / "whole", 1, 1.0, 0, None)
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_a_missing_file_is_rendered_again_and_the_others_are_kept(tmp_path):
    write_demo(tmp_path, 1, 1.0, 0, None)
    before = digests(tmp_path)
    kept = tmp_path / "bossa" / "bossa.00000.wav"
    os.utime(kept, (1, 1))
    (tmp_path / "drone" / "drone.00000.wav").unlink()
    write_demo(tmp_path, 1, 1.0, 0, None)
    assert digests(tmp_path) == before
    assert kept.stat().st_mtime == 1


def test_an_unknown_style_is_named_with_the_known_ones():
    with pytest.raises(GenreclfError, match=r"polka.*arpeggio, .*, waltz"):
        render("polka", 0, 0, 1.0)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.99, 601.0, float("nan"), float("inf")])
def test_a_length_out_of_bounds_is_refused(seconds):
    with pytest.raises(GenreclfError, match=r"^data\.demo_seconds=.*1 to 600 s"):
        render("waltz", 0, 0, seconds)


def test_no_clips_and_no_folder_are_refused(tmp_path):
    with pytest.raises(GenreclfError, match=r"^data\.demo_clips_per_style=0: .*at least 1"):
        write_demo(tmp_path, 0, 1.0, 0, None)
    (tmp_path / "file").touch()
    with pytest.raises(GenreclfError, match=r"arpeggio\.00000\.wav: .*another folder"):
        write_demo(tmp_path / "file", 1, 1.0, 0, None)


def test_mean_spectra_identify_the_style_in_part():
    mel = torchaudio.transforms.MelSpectrogram(
        22_050, n_fft=2048, hop_length=512, n_mels=128, norm="slaney", mel_scale="slaney"
    )

    def band_means(clip):
        decibels = 10 * mel(torch.from_numpy(clip)).clamp_min(1e-10).log10()
        return (decibels - decibels.max()).clamp_min(-80).mean(dim=1).numpy()  # (128, frames) -> (128,)

    names = np.repeat(STYLES, 10)
    means = np.stack([band_means(render(style, k % 10, 0, 3.0)) for k, style in enumerate(names)])
    splits = StratifiedShuffleSplit(n_splits=4, test_size=0.3, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    assert 0.20 < cross_val_score(model, means, names, cv=splits).mean() < 0.85
