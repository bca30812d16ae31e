"""The benchmark on real radiographs, on files and a grounder of the test's own."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from knowmvg.inference.session import Session

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "real.py"
SPEC = importlib.util.spec_from_file_location("benchmark_real", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
real = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = real  # dataclasses look their module up
SPEC.loader.exec_module(real)


def entry(finding: str, *box: float, **more: str) -> dict:
    return {"finding": finding, "box_xyxy": list(box), **more}


def test_the_largest_box_of_a_finding_and_side_is_the_reference():
    boxes = [entry("Effusion", 0, 0, 2, 2), entry("Effusion", 0, 0, 9, 9), entry("Effusion", 60, 0, 70, 9)]
    found = real.targets(boxes, width=100)
    assert [t.sentence for t in found] == ["There is right pleural effusion.", "There is left pleural effusion."]
    assert found[0].box == (0, 0, 9, 9)
    assert real.report_of(found)[found[1].start :] == found[1].sentence


def test_the_manifests_side_counts_more_than_the_place():
    (target,) = real.targets([entry("Consolidation", 0, 0, 9, 9, side_from_lung_masks="left")], width=100)
    assert target.sentence == "There is left consolidation."


def test_a_set_is_grounded_scored_and_its_refusals_counted(tmp_path, fake_grounder):
    ramp = np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"nothing")
    asked = fake_grounder.asked_box
    listed = [
        {"image": "good.png", "boxes": [entry("Effusion", *asked)]},
        {"image": "bad.png", "boxes": [entry("Effusion", *asked)]},
        {"file": "good.png", "boxes": []},
    ]
    (tmp_path / "manifest.json").write_text(json.dumps({"records": listed}), encoding="utf-8")
    row = real.ground_set(Session(fake_grounder()), tmp_path)
    assert (row["files"], row["with_result"], row["refused"]) == (3, 2, {"ImageError": 1})
    assert (row["phrases"], row["miou"], row["share_iou_0.3"]) == (1, 1.0, 1.0)


def test_another_manifest_ends_the_script(tmp_path):
    (tmp_path / "manifest.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"manifest\.json"):
        list(real.records(tmp_path))
