"""``knowmvg ground FOLDER``: what the user sees, and options that do not go together."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from knowmvg.core.errors import ManifestError, OutputError
from knowmvg.core.records import DISCLAIMER
from knowmvg.interfaces.cli.main import INTERRUPTED, main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        Image.fromarray(np.full((40, 50), 80 + number, dtype=np.uint8)).save(data / f"s{number}.png")
        (data / f"s{number}.txt").write_text("Small left pleural effusion.", encoding="utf-8")
    (data / "s1.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return data


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, fake_grounder) -> list[Path]:
    """The folders that a grounder is loaded from; a fake one is given."""
    folders: list[Path] = []
    store = ModuleType("knowmvg.grounders.store")
    store.load_grounder = lambda folder, device: (folders.append(folder), fake_grounder())[1]
    store.fingerprint = lambda folder: "f" * 64
    monkeypatch.setitem(sys.modules, store.__name__, store)
    monkeypatch.setenv("COLUMNS", "140")
    return folders


def test_a_folder_gives_lines_failures_and_counts(folder, loaded, tmp_path, capsys):
    command = ["ground", str(folder), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    lines = (tmp_path / "out" / "groundings.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["study"] for line in lines] == ["s0", "s2"]
    shown = capsys.readouterr()
    for words in ("2 answered, 1 failed, 0 skipped".replace("skipped", "there before"), DISCLAIMER, "--predictions"):
        assert words in " ".join(shown.out.split())
    assert "1 x ImageError" in shown.err
    assert main(command) == 0
    assert "0 answered, 0 failed, 3 there before" in capsys.readouterr().out
    assert main([*command, "--phrases", "parser"]) == OutputError.exit_code


def test_a_folder_in_which_every_study_fails_is_an_error_with_its_failures_kept(folder, loaded, tmp_path, capsys):
    for number in range(3):
        (folder / f"s{number}.png").write_bytes(b"no picture")
    assert main(["ground", str(folder), "--out", str(tmp_path / "out")]) == ManifestError.exit_code
    shown = capsys.readouterr()
    assert "0 answered, 3 failed" in shown.out
    assert "--retry-failed" in shown.err
    assert len((tmp_path / "out" / "failed.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_shards_are_told_to_wait_for_each_other(folder, loaded, tmp_path, capsys):
    command = ["ground", str(folder), "--out", str(tmp_path / "out"), "--shards", "2", "--shard"]
    assert main([*command, "1"]) == 0
    assert "other shards" in capsys.readouterr().out
    assert main([*command, "0"]) == 0
    assert (tmp_path / "out" / "groundings.jsonl").is_file()


@pytest.mark.parametrize(
    "options",
    [
        ["--report", "r.txt"],
        ["--maps"],
        ["--overwrite"],
        ["--shard", "1"],
        ["--shards", "2", "--shard", "2"],
        ["--shards", "2", "--ray", "local"],
    ],
)
def test_options_that_do_not_go_together(folder, loaded, tmp_path, options):
    assert main(["ground", str(folder), "--out", str(tmp_path / "out"), *options]) == 2
    assert not (tmp_path / "out").exists()


def test_a_study_needs_its_report(folder, loaded, tmp_path):
    assert main(["ground", str(folder / "s0.png"), "--out", str(tmp_path / "out")]) == 2


def test_a_folder_without_studies(loaded, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["ground", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == ManifestError.exit_code
    assert loaded == []


def test_a_polite_kill_ends_as_an_interrupt(folder, tmp_path, monkeypatch, fake_grounder, loaded):
    class Killed(fake_grounder):
        def ground_phrases(self, studies, queries):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().ground_phrases(studies, queries)

    sys.modules["knowmvg.grounders.store"].load_grounder = lambda folder, device: Killed()
    before = signal.getsignal(signal.SIGTERM)
    out = tmp_path / "out"
    assert main(["ground", str(folder), "--out", str(out), "--phrases", "parser"]) == INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) == before
    assert sorted(path.name for path in out.rglob("*")) == ["job.json", "parts"]
