import numpy as np
import pyarrow.parquet as parquet

from genreclf.evaluation.predictions import Predictions, read_predictions, write_predictions


def made(seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    paths = ("b/2.wav", "a/Ünï códe.png", "a/not\udcff utf8.wav")
    return Predictions(
        ("a", "b, c"), paths, ("d2", "d1", "d3"), ("g", "g", "h"), rng.integers(0, 2, 3), rng.random((3, 2))
    )


def test_written_predictions_are_read_sorted_by_path(tmp_path):
    plain, flipped = made(0), made(1)
    write_predictions(tmp_path / "p.parquet", {"none": plain, "flip": flipped})
    for tta, written in (("none", plain), ("flip", flipped)):
        found = read_predictions(tmp_path / "p.parquet", tta)
        assert found.paths == ("a/not\\udcff utf8.wav", "a/Ünï códe.png", "b/2.wav")
        assert (
            found.classes == written.classes and found.digests == ("d3", "d1", "d2") and found.groups == ("h", "g", "g")
        )
        order = [2, 1, 0]
        assert np.array_equal(found.target, written.target[order])
        assert np.array_equal(found.probabilities, written.probabilities[order])
    assert read_predictions(tmp_path / "p.parquet", "six") is None


def test_the_columns_name_classes(tmp_path):
    written = made(2)
    write_predictions(tmp_path / "p.parquet", {"none": written})
    table = parquet.read_table(tmp_path / "p.parquet")
    assert table.column_names == ["path", "digest", "group", "tta", "true", "predicted", "p_a", "p_b, c"]
    assert table["true"].to_pylist() == [written.classes[number] for number in written.target]
    assert table["predicted"].to_pylist() == [written.classes[row.argmax()] for row in written.probabilities]
