from __future__ import annotations

from pathlib import Path

import pytest

from knowmvg.core.errors import OutputError
from knowmvg.inference import results

FILES = {"a.json": b"{}", "b.png": b"picture"}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_files_are_written_and_nothing_else(tmp_path):
    written = results.write_together(tmp_path / "new" / "deep", FILES)
    assert [path.read_bytes() for path in written] == list(FILES.values())
    assert names(tmp_path / "new" / "deep") == ["a.json", "b.png"]


def test_earlier_results_are_replaced_and_other_files_left(tmp_path):
    (tmp_path / "a.json").write_bytes(b"old")
    (tmp_path / "notes.txt").write_bytes(b"mine")
    results.write_together(tmp_path, FILES)
    assert (tmp_path / "a.json").read_bytes() == b"{}"
    assert names(tmp_path) == ["a.json", "b.png", "notes.txt"]


def failing_replace(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    move = Path.replace

    def replace(self: Path, other: Path) -> Path:
        if self.name == target:
            raise OSError(28, "No space left on device")
        return move(self, other)

    monkeypatch.setattr(Path, "replace", replace)


def test_a_failed_move_undoes_the_ones_before_it(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_bytes(b"old")
    failing_replace(monkeypatch, "b.png")
    with pytest.raises(OutputError, match="No space left"):
        results.write_together(tmp_path, FILES)
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert names(tmp_path) == ["a.json"]


def test_a_failed_write_leaves_no_folder_behind(tmp_path, monkeypatch):
    failing_replace(monkeypatch, "b.png")
    with pytest.raises(OutputError):
        results.write_together(tmp_path / "new" / "deep", FILES)
    assert names(tmp_path) == []


def test_an_interruption_leaves_nothing_and_is_passed_on(tmp_path, monkeypatch):
    def interrupted(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        results.write_together(tmp_path / "new", FILES)
    assert names(tmp_path) == []


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="can be written"):
        results.write_together(tmp_path / "file" / "out", FILES)


def test_check_free_tells_before_any_work(tmp_path):
    results.check_free(tmp_path / "new", ("a.json",), overwrite=False)
    (tmp_path / "a.json").write_text("old")
    results.check_free(tmp_path, ("a.json",), overwrite=True)
    with pytest.raises(OutputError, match="--overwrite"):
        results.check_free(tmp_path, ("a.json",), overwrite=False)
    with pytest.raises(OutputError, match="a file at"):
        results.check_free(tmp_path / "a.json", ("a.json",), overwrite=True)
