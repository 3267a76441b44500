"""Run folders that hold other files than those of a run, and files of a run that are damaged."""

import json

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


RECORD = {"overrides": [], "data": {"store_digest": "1", "split_digest": "2", "seen_files": []}}


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        *(("record.json", content, "read") for content in ("no JSON", "[]")),
        *(("config.yaml", content, "") for content in ("}{", "3", "data: {}", "data: 3")),
        *(("record.json", "{}", "overrides"), ("record.json", '{"overrides": [], "data": {}}', "data.store_digest")),
        *(
            ("record.json", json.dumps({**RECORD, key: value}), key)
            for key, value in (("overrides", 3), ("overrides", [3]), ("data", 3), ("loggers", None), ("git_commit", 3))
        ),
        ("record.json", json.dumps({**RECORD, "data": {**RECORD["data"], "seen_files": [{}]}}), "data.seen_files"),
    ],
)
def test_a_damaged_file_of_a_run_is_named(file, content, named, tmp_path):
    (tmp_path / "config.yaml").write_text("{data: {}, model: {name: a}}")
    (tmp_path / "record.json").write_text(json.dumps(RECORD))
    read_run(tmp_path, record_keys=DIGESTS)
    (tmp_path / file).write_text(content)
    with pytest.raises(GenreclfError, match=rf"^{tmp_path / file}: .*{named}.*copy"):
        read_run(tmp_path, record_keys=DIGESTS)
