"""librosa without numba, which in a new environment compiles code for half a minute that these tests do not call."""

import sys
from types import ModuleType

import pytest


class Uncompiled(ModuleType):
    """A replacement for numba whose decorators return the functions unchanged."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *given, **_: given[0] if given and callable(given[0]) else lambda function: function


def load_librosa() -> ModuleType:
    """Imports librosa and the parts that tests use; by itself, it imports them on their first use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numba", Uncompiled("numba"))
        import librosa

        assert librosa.feature.melspectrogram and librosa.mel_frequencies
    return librosa
