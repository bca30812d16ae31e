"""``knowmvg evaluate --maps``: the tables of the maps beside those of the boxes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from knowmvg.grounders.prompted import store
from knowmvg.grounders.prompted.variants import knowmvg, lisa
from knowmvg.interfaces.cli.main import main
from knowmvg.sources.manifest import StudyRow
from tests.grounders.conftest import graph, tiny_grounder, tokenizer

__all__ = ["graph", "tokenizer"]

PHRASES = [
    {"text": "Small left pleural effusion", "finding": "pleural effusion", "boxes": [[40, 20, 45, 38]]},
    {"text": "Bilateral edema", "finding": "edema", "boxes": [[5, 5, 20, 30], [25, 5, 45, 30]]},
]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for k in range(12):
        Image.fromarray(rng.integers(0, 255, (40, 50), dtype=np.uint8)).save(folder / f"{k}.png")
        row = {"id": f"s{k}", "patient": f"p{k}", "split": "train" if k < 6 else "test", "image": f"{k}.png"}
        size = {"width": 50, "height": 40, "report": "Small left pleural effusion. Bilateral edema."}
        lines.append(StudyRow.model_validate(row | size | {"phrases": PHRASES}).model_dump_json(by_alias=True) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_maps_get_tables_of_their_own(data, tmp_path, tokenizer, graph, capsys):
    kind = "attention"
    store.save(tiny_grounder(knowmvg(), tokenizer, graph), tmp_path / "model")
    out = tmp_path / "out"
    assert main(["evaluate", str(tmp_path / "model"), "--data", str(data), "--out", str(out), "--maps", kind]) == 0
    found = json.loads((out / f"maps-{kind}.json").read_text(encoding="utf-8"))
    assert [row["row"] for row in found["rows"]] == ["model", "class-mean box drawn", "uniform map"]
    assert {row["n_phrases"] for row in found["rows"]} == {12}
    assert found["rows"][0]["n_patients"] == 6
    assert set(found["rows"][0]["findings"]) == {"pleural effusion", "edema"}
    assert found["rows"][2]["scores"]["auroc"]["value"] == 0.5
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"Maps ({kind}): model and controls" in page
    assert any(f"maps-{kind}" in path.name for path in (out / "tables").glob("*.csv"))
    assert "Maps (" not in (out / "tables.md").read_text(encoding="utf-8")
    assert f"maps-{kind}.md" in capsys.readouterr().out.replace("\n", "")


def test_a_kind_that_the_model_does_not_have_is_told_first(data, tmp_path, tokenizer, graph, capsys):
    store.save(tiny_grounder(lisa(), tokenizer, graph), tmp_path / "model")
    out = tmp_path / "out"
    command = ["evaluate", str(tmp_path / "model"), "--data", str(data), "--out", str(out), "--maps", "attention"]
    assert main(command) == 7
    assert "drawn" in capsys.readouterr().err
    assert not out.exists()


def test_a_file_of_predictions_has_no_maps(tmp_path, capsys):
    assert main(["evaluate", "--predictions", str(tmp_path / "p.json"), "--maps", "drawn"]) == 2
    assert "--maps" in capsys.readouterr().err
