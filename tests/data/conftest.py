"""Each test of data sets is told everything again."""

import pytest

from genreclf.data.notices import tell_once, tell_table_once


@pytest.fixture(autouse=True)
def told_again() -> None:
    tell_once.cache_clear()
    tell_table_once.cache_clear()
