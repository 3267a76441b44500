"""These tests drive a real browser; only scripts/test-browser runs them."""

import os

if os.environ.get("GENRECLF_BROWSER"):
    from driving import chromium, page, server  # noqa: F401 - fixtures
else:
    collect_ignore_glob = ["test_*.py"]
