"""A split without a study: every command names the splits that hold some, and no other advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowmvg.core.errors import ManifestError
from knowmvg.inference.worklist import WorkList
from knowmvg.interfaces.cli.main import main
from tests.sources.data_folders import row, write_folder

COMMANDS = {
    "ground": "ground {data} --split test --out {out}",
    "kg build": "kg build {data} --split test --out {out}",
    "convert": "convert boxes {data} --from manifest --to coco --split test --out {out}",
    "evaluate": "evaluate --predictions {data} --format coco --protocol generate --data {data} --out {out}",
    "leaderboard": "leaderboard --run some=owner/name --data {data} --split test --out {out} --runs {out}",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    splits = ["train", "train", "val", ""]
    return write_folder(tmp_path / "data", [row(f"s{k}", f"p{k}", split) for k, split in enumerate(splits)])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_splits_that_hold_studies_are_named(name, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    out = tmp_path / "out"
    code = main([word.format(data=data, out=out) for word in COMMANDS[name].split()])
    err = capsys.readouterr().err
    assert code == ManifestError.exit_code, err
    assert f"studies of the split 'test' in {data}" in err
    assert "none there; 1 in no split, 2 in train, 1 in val" in err
    assert f"knowmvg splits {data}" in err
    assert "beside each image" not in err
    assert not out.exists()


def test_a_data_set_without_any_study_is_to_be_written_again(tmp_path):
    with pytest.raises(ManifestError, match=r"lists none.*knowmvg prepare"):
        WorkList(write_folder(tmp_path / "data", []))
