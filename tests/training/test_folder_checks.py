"""Run folders that hold other files than those of a run, and files of a run that are damaged."""

import pytest

from genreclf.errors import GenreclfError
from genreclf.training.folder import check_folder
from genreclf.training.resume import DIGESTS, read_run


@pytest.mark.parametrize("name", ["exports/mine.txt", "evaluation/mine.txt", "last.ckpt", "metrics.csv"])
def test_files_that_are_of_no_run_are_not_removed(name, tmp_path):
    file = tmp_path / "project" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(GenreclfError, match=rf"^run=.*{name.partition('/')[0]}.*another folder"):
        check_folder(tmp_path / "project", {"model": {"name": "a"}})
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *(("record.json", content) for content in ("no JSON", "[]", "{}", '{"overrides": 3}', '{"overrides": [3]}')),
        ("record.json", '{"overrides": [], "data": {}}'),
        *(("config.yaml", content) for content in ("}{", "3", "data: {}", "data: 3")),
    ],
)
def test_a_damaged_file_of_a_run_is_named(file, content, tmp_path):
    (tmp_path / "config.yaml").write_text("{data: {}, model: {name: a}}")
    (tmp_path / "record.json").write_text('{"overrides": [], "data": {"store_digest": "1", "split_digest": "2"}}')
    read_run(tmp_path, record_keys=DIGESTS)
    (tmp_path / file).write_text(content)
    with pytest.raises(GenreclfError, match=rf"^{tmp_path / file}: .*copy"):
        read_run(tmp_path, record_keys=DIGESTS)
