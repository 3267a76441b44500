"""What the tests of the app share."""

import sys

import pytest


@pytest.fixture(autouse=True)
def main_module(monkeypatch):
    """Restores `__main__`, where Streamlit's harness leaves its page, which processes of later tests would import."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
