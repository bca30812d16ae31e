"""``knowmvg stress`` from the command line to its files, with a grounder that costs nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from knowmvg.core.grounder import Query
from knowmvg.core.records import DISCLAIMER, GroundedPhrase, Grounding, Region, Study
from knowmvg.interfaces.cli.main import main


class Corner:
    """Places every given phrase in the image's upper left quarter and names none."""

    def ground(self, studies: Sequence[Study]) -> list[Grounding]:
        return self.ground_phrases(studies, [[] for _ in studies])

    def ground_phrases(self, studies: Sequence[Study], queries: Sequence[Sequence[Query]]) -> list[Grounding]:
        found = []
        for study, row in zip(studies, queries, strict=True):
            width, height = study.image.size
            region = Region(xyxy=(0, 0, width / 2, height / 2), score=0.5)
            phrases = tuple(GroundedPhrase(**query.phrase.model_dump(), boxes=(region,)) for query in row)
            found.append(Grounding(image_size=study.image.size, phrases=phrases, model="corner", study=study.id))
        return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    assert main(["phantom", str(tmp_path / "data"), "--studies", "24", "--size", "64", "--workers", "1"]) == 0
    return tmp_path / "run"


def test_tables_are_written_and_say_what_they_are(run, monkeypatch, capsys):
    monkeypatch.setattr("knowmvg.grounders.store.load_grounder", lambda folder, device: Corner())
    data = run.parent / "data"
    assert main(["stress", str(run), "--data", str(data), "--split", "train", "--limit", "6", "--seed", "2"]) == 0
    folder = run / "robustness-train"
    found = json.loads((folder / "robustness.json").read_text(encoding="utf-8"))
    assert (found["schema"], found["seed"], found["notice"]) == ("knowmvg.robustness/1", 2, DISCLAIMER)
    assert len(found["images"]) == 12
    assert found["controls"][0]["n_studies"] == 6
    assert found["denials"][0]["denied"]["value"] == 0.0  # it names nothing
    shown = capsys.readouterr()
    assert "Changed images" in shown.out
    assert "robustness.md" in shown.out


def test_wrong_calls_leave_nothing(run, tmp_path, capsys):
    data = str(tmp_path / "data")
    assert main(["stress", str(tmp_path / "none"), "--data", data]) == 7
    assert main(["stress", str(run), "--data", str(tmp_path / "none")]) == 5
    assert main(["stress", str(run), "--data", data, "--split", "moon"]) == 5
    assert main(["stress", str(run), "--data", data, "--protocol", "both"]) == 2
    assert main(["stress", str(run), "--data", data, "--limit", "1"]) == 2
    assert main(["stress", str(run), "--data", data]) == 7  # an empty configuration is no model
    (tmp_path / "file").write_text("mine")
    assert main(["stress", str(run), "--data", data, "--out", str(tmp_path / "file")]) == 9
    assert (tmp_path / "file").read_text() == "mine"
    assert not list(run.glob("robustness-*"))
    assert "Traceback" not in capsys.readouterr().err
