from collections import Counter

import pytest
from pydantic import ValidationError

from knowmvg.evaluation.report.published import Paper, PublishedTable, note_keys, numbers, papers

# Phrases of each finding in all of MS-CXR, as its data card counts them.
MS_CXR = {
    "Pneumonia": 182,
    "Pneumothorax": 245,
    "Consolidation": 117,
    "Atelectasis": 61,
    "Edema": 46,
    "Cardiomegaly": 333,
    "Lung Opacity": 82,
    "Pleural Effusion": 96,
}
KNOWMVG = papers()["knowmvg"]
PFMVG = papers()["pfmvg"]


def accuracies(table_id):
    """(row, group) -> the printed accuracies and mIoU."""
    table = KNOWMVG.table(table_id)
    return {
        (row.row, group): row.values[4 * g : 4 * g + 4] for row in table.rows for g, group in enumerate(table.groups)
    }


def fits(value, n):
    """Whether a percentage with two decimals can be a whole number out of n."""
    return any(f"{100 * hits / n:.2f}" == f"{value:.2f}" for hits in range(n + 1))


def fitting(values):
    return {n for n in (158, 163, 167, 198, 316, 451) if all(fits(value, n) for value in values[:3])}


def test_every_number_has_its_source():
    found = list(numbers())
    places = Counter((number.paper, number.table, number.row, number.group, number.metric) for number in found)
    assert set(places.values()) == {1}
    assert Counter(number.paper for number in found) == {"KnowMVG": 23 * 8, "PFMVG": 4 * 10 + 1 + 10 + 40 + 10 + 2 * 35}
    assert all(0 <= number.value <= (100 if number.unit == "percent" else 1) for number in found)


@pytest.mark.parametrize("table_id", ["I", "II", "III", "IV"])
def test_accuracy_falls_with_the_threshold(table_id):
    for ap10, ap30, ap50, miou in accuracies(table_id).values():
        assert ap10 > ap30 > ap50
        # mIoU is the area under acc@t, which falls with t: it lies between the steps below and above
        assert 0.1 * ap10 + 0.2 * ap30 + 0.2 * ap50 <= miou + 0.01
        assert miou <= 10 + 0.2 * ap10 + 0.2 * ap30 + 0.5 * ap50 + 0.01


def test_the_footnotes_on_denominators_are_true():
    for table_id in ("I", "III"):
        for (_, group), values in accuracies(table_id).items():
            assert fitting(values) == {167 if group == "MRG-MS-CXR" else 198}
    second = {key: fitting(values) for key, values in accuracies("II").items()}
    assert all(158 in found for (_, group), found in second.items() if group == "MRG-MIMIC-VQA")
    needed = {row[0]: found for (row, group), found in second.items() if group == "MRG-MIMIC-CLASS"}
    assert {name for name, found in needed.items() if found == {316}} == {"LLaVA", "LISA", "KnowMVG"}
    assert needed["uMedGround"] == {451}
    assert 158 in needed["MedGround"]
    assert all(163 not in found for found in second.values())
    fourth = accuracies("IV")
    for row in ((True, False), (False, True)):
        assert fitting(fourth[row, "MRG-MIMIC-VQA"]) == {316}
        assert 158 in fitting(fourth[row, "MRG-MIMIC-CLASS"])
    assert fitting(fourth[(True, True), "MRG-MIMIC-CLASS"]) == {316}
    assert 158 in fitting(fourth[(True, True), "MRG-MIMIC-VQA"])


def test_the_footnotes_on_rows_are_true():
    first, second, third, fourth = (accuracies(t) for t in ("I", "II", "III", "IV"))
    none, both = (False, False), (True, True)
    for main, ablation in ((first, third), (second, fourth)):
        for (row, group), values in ablation.items():
            if row == none:
                assert values == main[("MedGround",), group]
    for group in ("MRG-MS-CXR", "MRG-ChestX-ray8"):
        assert third[both, group] == first[("KnowMVG",), group]
    assert fourth[both, "MRG-MIMIC-VQA"] != second[("KnowMVG",), "MRG-MIMIC-VQA"]
    assert fourth[both, "MRG-MIMIC-CLASS"] == second[("KnowMVG",), "MRG-MIMIC-CLASS"]
    own, lisa, other = (first[(name,), "MRG-MS-CXR"] for name in ("KnowMVG", "LISA", "uMedGround"))
    assert [round(own[k] - other[k], 2) for k in (2, 3)] == [3.0, 2.66]
    assert [round(own[k] - lisa[k], 2) for k in (2, 3)] == [2.4, 1.14]
    assert own[1] == lisa[1]
    assert first[("KnowMVG",), "MRG-ChestX-ray8"][2] < first[("uMedGround",), "MRG-ChestX-ray8"][2]
    assert second[("KnowMVG",), "MRG-MIMIC-VQA"][2] == second[("LISA",), "MRG-MIMIC-VQA"][2]
    falls = [
        found[both, group][0] < max(found[(True, False), group][0], found[(False, True), group][0])
        for found in (third, fourth)
        for group in {group for _, group in found}
    ]
    assert sum(falls) == 3
    assert len({third[row, "MRG-MS-CXR"][2] for row in (both, (True, False), (False, True))}) == 1


@pytest.mark.parametrize(("table_id", "metric"), [("1", "wIoU"), ("2", "wDice")])
def test_the_footnote_on_weighted_means_is_true(table_id, metric):
    table = PFMVG.table(table_id)
    assert sum(MS_CXR.values()) == 1162
    reached = {}
    for row in table.rows:
        values = dict(zip(table.metrics, row.values, strict=True))
        if values["Edema"] is not None:
            weighted = sum(MS_CXR[name] * values[name] for name in MS_CXR) / 1162
            reached[row.row[0]] = abs(weighted - values[metric]) < 0.00101  # of numbers with three decimals
            assert sum(values[name] for name in MS_CXR) / 8 == pytest.approx(values["mean"], abs=0.00101)
    assert [name for name, right in reached.items() if not right] == ["PFMVG"]


def test_the_footnotes_on_won_findings_are_true():
    for table_id, won in (("1", 5), ("2", 4)):
        table = PFMVG.table(table_id)
        columns = [[row.values[k] for row in table.rows if row.values[k] is not None] for k in range(8)]
        own = table.rows[-1].values
        assert sum(own[k] == max(column) for k, column in enumerate(columns)) == won
    last = {t: PFMVG.table(t).rows[-1].values for t in "1234"}
    assert (last["1"], last["2"]) == (last["3"], last["4"])


def test_a_paper_refuses_what_does_not_fit_together():
    good = KNOWMVG.table("III").model_dump()
    with pytest.raises(ValidationError, match="8 numbers"):
        PublishedTable.model_validate({**good, "rows": [{"row": [True, True], "values": [1.0] * 7}]})
    with pytest.raises(ValidationError, match="defined and used"):
        Paper(name="p", title="t", arxiv="1", notes={"spare": "text"}, tables=())
    with pytest.raises(KeyError, match="'V'"):
        KNOWMVG.table("V")


def test_note_keys_come_once_and_in_order():
    assert note_keys(KNOWMVG.table("I"))[:4] == ["accuracy", "protocol", "noise", "location"]
    assert note_keys(KNOWMVG.table("I")).count("extracted") == 1
