import json

import numpy as np
import pytest
from evaluation_fakes import Knowing, random_studies

from knowmvg.evaluation.ablation import Ablation, ablation_table
from knowmvg.evaluation.intervals import Difference, Estimate, paired_difference
from knowmvg.evaluation.protocol import generate, teacher_forced
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.summary import summarise
from knowmvg.evaluation.tables import Row, Table, TableRow, finding_table, main_table

STUDIES = random_studies(20)


def samples(shrink, protocol=teacher_forced):
    return protocol(Knowing(STUDIES, move=lambda boxes: boxes * shrink), STUDIES)


def row(name, shrink, protocol=teacher_forced):
    return Row(name, summarise(samples(shrink, protocol), resamples=100))


def test_protocols_are_never_mixed():
    rows = [row("a", 1.0), row("b", 1.0, generate)]
    with pytest.raises(ValueError, match="rows of the protocol teacher_forced"):
        main_table(rows)
    with pytest.raises(ValueError, match="one of teacher_forced"):
        Table("t", Protocol.GENERATE, ("a",), (TableRow(Protocol.TEACHER_FORCED, (1,)),))
    with pytest.raises(ValueError, match="cells"):
        Table("t", Protocol.GENERATE, ("a", "b"), (TableRow(Protocol.GENERATE, (1,)),))
    mixed = [
        Ablation("a", False, False, (samples(1.0).samples,)),
        Ablation("b", True, False, (samples(1.0, generate).samples,)),
    ]
    with pytest.raises(ValueError, match="one protocol"):
        ablation_table(mixed)
    with pytest.raises(ValueError, match="one protocol"):
        Ablation("a", False, False, (samples(1.0).samples, samples(1.0, generate).samples))


@pytest.mark.parametrize("build", [main_table, ablation_table])
def test_a_table_needs_a_row(build):
    with pytest.raises(ValueError, match="at least one"):
        build([])


def test_main_table():
    table = main_table([row("KnowMVG", 1.0), row("half", 0.5)])
    text = table.to_markdown()
    lines = text.splitlines()
    assert lines[0] == "### Model and controls (teacher_forced)"
    assert {line.count("|") for line in lines[2:]} == {len(table.header) + 1}
    assert "| KnowMVG | 1.000 [0.692, 1.000] |" in text
    data = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert data["protocol"] == "teacher_forced"
    assert data["rows"][0]["mIoU"] == {"value": 1.0, "low": pytest.approx(0.025**0.1), "high": 1.0}  # ten patients
    assert data["rows"][0]["phrase F1"] is None


def test_generate_shows_naming():
    data = main_table([row("a", 1.0, generate)]).to_dict()["rows"][0]
    assert data["phrase F1"]["value"] == 1.0
    assert data["false boxes"]["value"] == 0.0


def test_cells_as_text():
    cells = (None, True, False, 3, "a|b", Estimate(value=0.5), Difference(value=0.1, low=-0.25, high=0.2, p=0.04))
    table = Table("t", Protocol.GENERATE, tuple("abcdefg"), (TableRow(Protocol.GENERATE, cells),))
    last = table.to_markdown().splitlines()[-1]
    assert last == "| - | ✓ |  | 3 | a\\|b | 0.500 | +0.100 [-0.250, +0.200], p = 0.04 |"


def test_finding_table_ranks_by_frequency():
    model = row("m", 0.9)
    rows = finding_table(model).to_dict()["rows"]
    counts = [line["phrases"] for line in rows[:-1]]
    assert counts == sorted(counts, reverse=True)
    assert rows[-1]["finding"] == "mean over findings"
    assert rows[-1]["mIoU"]["value"] == pytest.approx(model.summary.macro.miou.value)


def test_ablation_in_the_layout_of_table_three():
    base, better = samples(0.8).samples, samples(0.9).samples
    rows = [
        Ablation("baseline", False, False, (base,)),
        Ablation("KPS", True, False, (better[::-1],)),  # another order of phrases
        Ablation("KPS and GLA", True, True, (base, better)),
    ]
    table = ablation_table(rows, resamples=200, seed=1)
    data = table.to_dict()["rows"]
    assert table.header[:7] == ("variant", "KPS", "GLA", "acc@0.1", "acc@0.3", "acc@0.5", "mIoU")
    assert [(line["KPS"], line["GLA"]) for line in data] == [(False, False), (True, False), (True, True)]
    ious = np.array([[sample.iou for sample in run] for run in (base, better)])
    assert data[0]["mIoU minus first"] is None
    expected = paired_difference(ious[1], ious[0], [s.patient for s in base], resamples=200, seed=1)
    assert data[1]["mIoU minus first"] == pytest.approx(expected.model_dump())
    assert data[2]["mIoU"]["value"] == pytest.approx(ious.mean())
    assert data[2]["seeds"] == 2
    assert float(data[2]["mIoU spread of seeds"]) == pytest.approx(np.ptp(ious.mean(axis=1)), abs=5e-4)
    assert data[0]["mIoU spread of seeds"] is None
    assert "| KPS | ✓ |  |" in table.to_markdown()


def test_an_ablation_needs_the_same_phrases():
    full = samples(1.0).samples
    with pytest.raises(ValueError, match="at least one run"):
        Ablation("a", False, False, ())
    with pytest.raises(ValueError, match="same phrases"):
        Ablation("a", False, False, (full, full[1:]))
    with pytest.raises(ValueError, match="same phrases"):
        ablation_table([Ablation("a", False, False, (full,)), Ablation("b", False, False, (full[1:],))])
