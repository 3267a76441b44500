import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genreclf.data.build_store import HEADER_BYTES, AppendableNpy


def block(rows: int, start: int) -> np.ndarray:
    return np.arange(start, start + rows * 3, dtype=np.uint32).reshape(rows, 3)


@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_numpy_loads_what_was_appended(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("appended") / "x.npy"
    blocks = [block(size, 100 * number) for number, size in enumerate(sizes)]
    with AppendableNpy(path, np.uint32, 3, 0) as array:
        for one in blocks:
            array.append(one)
    loaded = np.load(path, allow_pickle=False)
    assert loaded.dtype == np.uint32 and np.array_equal(loaded, np.concatenate(blocks))


def test_after_an_error_it_resumes_after_the_given_rows(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(RuntimeError), AppendableNpy(path, np.uint32, 3, 0) as array:
        array.append(block(4, 0))
        raise RuntimeError
    assert path.read_bytes()[:HEADER_BYTES] == bytes(HEADER_BYTES)  # not a finished array yet
    with AppendableNpy(path, np.uint32, 3, 2) as array:
        array.append(block(1, 50))
    assert np.load(path).tolist() == [[0, 1, 2], [3, 4, 5], [50, 51, 52]]


def test_a_block_of_another_order_in_memory_is_written_by_rows(tmp_path):
    columns = np.asfortranarray(block(4, 0))
    with AppendableNpy(tmp_path / "x.npy", np.uint32, 3, 0) as array:
        array.append(columns)
    assert np.array_equal(np.load(tmp_path / "x.npy", mmap_mode="r"), columns)
