"""These tests drive a real browser, and run with scripts/test-browser alone."""

import os

collect_ignore_glob = [] if os.environ.get("GENRECLF_BROWSER") else ["test_*.py"]
