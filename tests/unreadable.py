"""Simulates a folder that cannot be read, because the user who runs the tests may be allowed to read everything."""

import os

import pytest


def make_unreadable(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Makes listing folders fail if their path has this ending."""
    scan = os.scandir

    def refusing(path):
        if str(path).endswith(ending):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
