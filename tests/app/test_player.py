"""The sound that the player offers."""

import io
import json

import numpy as np
import pytest
import soundfile
from streamlit.testing import v1 as testing

from genreclf.app.player import as_flac
from genreclf.frontend.audio import SAMPLE_RATE_HZ


def _page() -> None:
    import io

    import numpy as np
    import soundfile
    import streamlit as st

    from genreclf.app.player import player
    from genreclf.frontend.clip import Clip
    from genreclf.frontend.log_mel import N_BANDS
    from genreclf.inference.analysis import Analysis
    from genreclf.inference.predictor import Prediction

    file = io.BytesIO()
    soundfile.write(file, np.zeros(2_000), 22_050, format="WAV")
    content = {"picture": None, "sound": file.getvalue(), "broken": b"no sound"}[st.session_state["kind"]]
    nothing = Prediction((), 0.0, (), (), 0.1, "", None, np.zeros(4, np.float32))
    analysis = Analysis(Clip(np.zeros((N_BANDS, 4), np.uint8), 4, 22_050, 0.1, ""), nothing, b"")
    player([analysis], ["a"], [("rock",)], content, "a song")


def offered(kind: str, refused: int = 0) -> list[dict]:
    """Returns the player's data at first, and after each time that the browser has refused the sound."""
    page = testing.AppTest.from_function(_page, default_timeout=60)
    page.session_state["kind"] = kind
    found: list[dict] = []
    for _ in range(1 + refused):
        page.session_state["a song"] = {"refused": [data["audio"] for data in found]}
        page.run()
        assert not page.exception
        (component,) = page.get("bidi_component")
        found.append(json.loads(component.proto.json))
    return found


def test_a_picture_has_no_sound():
    (data,) = offered("picture")
    assert data["audio"] is None and not data["reason"] and data["picture"].endswith(".png")


def test_a_refused_sound_is_offered_as_a_copy_and_then_no_more():
    first, copy, nothing = offered("sound", refused=2)
    assert first["audio"].endswith(".wav") and not first["reason"]
    assert copy["audio"].endswith(".flac") and copy["reason"]
    assert nothing["audio"] is None and nothing["reason"]


def test_a_sound_that_nobody_can_read_has_a_reason():
    _, data = offered("broken", refused=1)
    assert data["audio"] is None and data["reason"]


def test_the_copy_is_the_sound():
    wave = np.random.default_rng(0).uniform(-0.9, 0.9, 3 * SAMPLE_RATE_HZ)
    file = io.BytesIO()
    soundfile.write(file, wave, SAMPLE_RATE_HZ, format="AIFF", subtype="PCM_16")
    content = as_flac(file.getvalue())
    heard, rate_hz = soundfile.read(io.BytesIO(content))
    assert content.startswith(b"fLaC") and rate_hz == SAMPLE_RATE_HZ
    assert heard == pytest.approx(wave, abs=2**-14)
