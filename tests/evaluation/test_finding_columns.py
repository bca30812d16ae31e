"""IoU and Dice by finding in columns: which columns, which means, and the published rows beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from evaluation_fakes import Knowing, random_studies

from knowmvg.core.records import LabelledPhrase, Study
from knowmvg.evaluation.evaluate import evaluate
from knowmvg.evaluation.finding_columns import MEAN, MS_CXR, WEIGHTED, column_table, finding_columns
from knowmvg.evaluation.metrics import dice_box
from knowmvg.evaluation.protocol import phrase_given
from knowmvg.evaluation.report.pfmvg import STAGES, beside_pfmvg, columns_of, pfmvg_blocks
from knowmvg.evaluation.report.published import papers


def studies(names: dict[str, str], n: int = 40) -> list[Study]:
    """Random studies whose findings ``f0`` to ``f2`` have other names."""
    found = []
    for study in random_studies(n):
        labels = tuple(
            LabelledPhrase(
                item.phrase.model_copy(update={"finding": names.get(item.phrase.finding or "", item.phrase.finding)}),
                item.boxes,
            )
            for item in study.labels
        )
        found.append(Study(study.image, study.report, study.id, study.patient, labels))
    return found


def samples(given: Sequence[Study], move: float = 0.85):
    return phrase_given(Knowing(given, lambda boxes: boxes * move), given).samples


def test_columns_are_those_of_the_paper_in_its_order_and_the_means_are_over_them():
    asked = samples(studies({"f0": "pleural effusion", "f1": "pneumonia", "f2": "nodule"}))
    found = finding_columns("mine", asked, resamples=50)
    assert found.findings == ("pneumonia", "pleural effusion")
    by_finding = {name: [s for s in asked if s.finding == name] for name in found.findings}
    for name, part in by_finding.items():
        assert found.iou[name].value == pytest.approx(np.mean([s.iou for s in part]))
        assert found.dice[name].value == pytest.approx(np.mean([dice_box(s.predicted, s.reference) for s in part]))
    means = [found.dice[name].value for name in found.findings]
    counts = [len(part) for part in by_finding.values()]
    assert found.dice[MEAN].value == pytest.approx(np.mean(means))
    assert found.dice[WEIGHTED].value == pytest.approx(np.average(means, weights=counts))
    assert found.iou[MEAN].low < found.iou[MEAN].value < found.iou[MEAN].high
    assert found.n_phrases == sum(counts)
    assert found.others == {"nodule": len(asked) - sum(counts)}
    assert f"nodule {found.others['nodule']}" in found.note()


def test_dice_of_a_pair_of_boxes_is_that_of_its_iou():
    asked = [s for s in samples(studies({})) if len(s.reference) == 1]
    for sample in asked:
        (dice,) = [finding_columns("one", [sample], resamples=2).dice[MEAN].value]
        assert dice == pytest.approx(2 * sample.iou / (1 + sample.iou))


def test_other_data_have_their_own_findings_the_most_frequent_first():
    found = finding_columns("mine", samples(studies({})), resamples=20)
    counts = [sum(s.finding == name for s in samples(studies({}))) for name in found.findings]
    assert sorted(found.findings) == ["f0", "f1", "f2"]
    assert counts == sorted(counts, reverse=True)
    table = column_table([found], "Dice")
    assert table.header == ("model", *found.findings, MEAN, WEIGHTED)
    with pytest.raises(ValueError, match="same findings"):
        column_table([found, finding_columns("x", samples(studies({"f0": "edema"})), resamples=2)], "IoU")
    with pytest.raises(ValueError, match="samples"):
        finding_columns("mine", [])


def test_the_layout_of_the_paper_has_its_rows_ours_and_its_footnotes():
    given = studies({"f0": "edema", "f1": "cardiomegaly", "f2": "nodule"})
    model = Knowing(given, lambda boxes: boxes * 0.9)
    result = evaluate(
        model, given, training_studies=None, protocols=["phrase_given"], controls=False, resamples=20, name="mine"
    )
    (own_columns,) = columns_of(result)
    page = "\n".join(pfmvg_blocks([own_columns], "set, split test"))
    first, second = page.split("Table 2")
    for words in ("0.0833", "all 1,162", "supervised", "six of eight", "by this table it is five", "another paper"):
        assert words.lower() in first.lower()
    assert "by this table it is four" in second.lower()
    own = [line for line in page.splitlines() if line.startswith("| mine")]
    assert len(own) == 2
    columns = finding_columns("mine", result.parts[0].samples, resamples=20)
    assert f"{columns.iou['edema'].value:.3f}" in own[0]
    assert f"{columns.dice['edema'].value:.3f}" in own[1]
    assert f"{columns.dice[WEIGHTED].value:.3f}" in own[1]
    assert "set, split test" in page
    assert "nodule" in page
    assert "no difference between the two means anything" in page

    other = studies({})
    plain = evaluate(Knowing(other), other, training_studies=None, protocols=["generate"], controls=False, resamples=20)
    page = "\n".join(pfmvg_blocks(columns_of(plain), "set"))
    assert " f0 |" in page
    assert "MSLL" not in page  # none of the paper's findings: its rows would say nothing of these data


@pytest.mark.parametrize(("table", "prefix"), [("1", ""), ("3", ""), ("2", "dice of "), ("4", "dice of ")])
def test_every_published_column_has_a_number_of_ours(table, prefix):
    ours = list(papers()["pfmvg"].table(table).metrics.values())
    assert ours == [f"{prefix}{name}" for name in (*MS_CXR, MEAN, WEIGHTED)]


def test_several_models_stand_below_the_rows_of_the_stages():
    given = studies({"f0": "edema", "f1": "cardiomegaly", "f2": "pneumonia"})
    rows = [finding_columns(name, samples(given, move), resamples=20) for name, move in (("none", 0.5), ("both", 0.9))]
    iou, dice = beside_pfmvg(rows, "set", STAGES)
    assert [line.cells[0] for line in iou.to_grid().blocks[1].lines] == ["none", "both"]
    assert "0.006" in iou.to_grid().to_markdown()  # (0.049 + 0) / 8: a dash counts as 0
    assert "counts it as 0" in dice.to_grid().to_markdown()
    with pytest.raises(ValueError, match="same findings"):
        beside_pfmvg([rows[0], finding_columns("other", samples(studies({"f0": "edema"})), resamples=2)], "set")
    with pytest.raises(ValueError, match="same findings"):
        beside_pfmvg([], "set")
