"""librosa without numba, which in a new environment compiles for half a minute what these tests do not call."""

import sys
from types import ModuleType

import pytest


class Uncompiled(ModuleType):
    """In place of numba: its decorators return the functions as they are."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **_: given[0] if given and callable(given[0]) else lambda function: function


def load_librosa() -> ModuleType:
    """librosa; it imports its parts on their first use, so those that tests use are used here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numba", Uncompiled("numba"))
        import librosa

        assert librosa.feature.melspectrogram and librosa.mel_frequencies
    return librosa
