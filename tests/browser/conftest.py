"""These tests drive a real browser, and run with scripts/test-browser alone."""

import os

if os.environ.get("GENRECLF_BROWSER"):
    from driving import chromium, page, server  # noqa: F401 - fixtures
else:
    collect_ignore_glob = ["test_*.py"]
