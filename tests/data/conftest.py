"""Each test of data sets is told everything again."""

import pytest

from genreclf.data.notices import print_once, print_table_once


@pytest.fixture(autouse=True)
def told_again() -> None:
    print_once.cache_clear()
    print_table_once.cache_clear()
