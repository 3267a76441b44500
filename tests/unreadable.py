"""A folder that cannot be read, simulated: the user who runs the tests may be allowed to read everything."""

import os

import pytest


def make_unreadable(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Refuses to list folders whose path ends so."""
    scan = os.scandir

    def refusing(path):
        if str(path).endswith(ending):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
