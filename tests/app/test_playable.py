"""The copy of a sound in a format that every browser plays."""

import io

import numpy as np
import pytest
import soundfile

from genreclf.app.playable import as_flac
from genreclf.errors import GenreclfError
from genreclf.frontend.audio import SAMPLE_RATE_HZ


def test_the_copy_is_the_sound():
    wave = np.random.default_rng(0).uniform(-0.9, 0.9, 3 * SAMPLE_RATE_HZ)
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE_HZ, format="AIFF", subtype="PCM_16")
    content = as_flac(file.getvalue())
    heard, rate_hz = soundfile.read(io.BytesIO(content))
    assert content.startswith(b"fLaC") and rate_hz == SAMPLE_RATE_HZ
    assert heard == pytest.approx(wave, abs=2**-14)


def test_a_file_without_sound_has_a_reason():
    with pytest.raises(GenreclfError, match=r"^upload: .*audio"):
        as_flac(b"no sound at all" * 100)
