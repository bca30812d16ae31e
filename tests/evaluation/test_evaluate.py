import json

import pytest
from evaluation_fakes import Deaf, Knowing, Silent, random_studies, study

from knowmvg.core.records import Side
from knowmvg.evaluation.evaluate import BLANK, NEAREST, PRIORS, SHUFFLED, evaluate
from knowmvg.evaluation.samples import Protocol, read_samples

STUDIES = random_studies(16)
ROWS = ["model", *PRIORS, NEAREST, SHUFFLED, BLANK]


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(Deaf(STUDIES), STUDIES, training_studies=random_studies(10, seed=1), resamples=100)


def test_all_rows_in_every_protocol(evaluation):
    data = strict(evaluation.to_json())
    assert list(data["protocols"]) == ["teacher_forced", "phrase_given", "generate"]
    assert all([row["row"] for row in rows] == ROWS for rows in data["protocols"].values())
    assert data["notes"] == []
    model, *controls = data["protocols"]["teacher_forced"]
    assert model["micro"]["miou"]["value"] == 1.0
    assert model["minus_first"] is None
    means = {row["row"]: row["micro"]["miou"]["value"] for row in controls}
    gaps = {row["row"]: row["minus_first"]["value"] for row in controls}
    assert gaps == pytest.approx({name: mean - 1.0 for name, mean in means.items()})
    assert means[BLANK] == 1.0  # this fake looks at no image and at no phrase
    assert means[SHUFFLED] == 1.0
    assert 0 < means["mean box"] < 0.6


def test_generate_scores_the_shuffled_report_by_its_own_phrases(evaluation):
    rows = {row.name: row.summary for row in evaluation.part("generate").rows}
    assert rows["model"].identification.f1.value == 1.0
    assert rows["model"].identification.false_box_rate.value == 0.0
    assert rows[SHUFFLED].micro.miou.value == 0.0  # the fake does not name what the report says
    assert rows["mean box"].identification is None  # priors are told the phrases


def test_files(evaluation, tmp_path):
    evaluation.write(tmp_path / "new")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"metrics.json", "tables.md", *(f"samples-{protocol}.jsonl" for protocol in Protocol)}
    assert strict((tmp_path / "new/metrics.json").read_text()) == evaluation.to_dict()
    samples = read_samples(tmp_path / "new/samples-generate.jsonl")
    assert tuple(samples) == evaluation.part(Protocol.GENERATE).samples
    page = (tmp_path / "new/tables.md").read_text()
    assert page.count("### Model and controls") == len(Protocol)
    assert "not an average precision" in " ".join(page.split())


def test_the_same_seed_gives_the_same_numbers(evaluation):
    again = evaluate(Deaf(STUDIES), STUDIES, training_studies=random_studies(10, seed=1), resamples=100)
    assert again.to_json() == evaluation.to_json()


def test_an_empty_grounder():
    found = evaluate(Silent(), STUDIES, training_studies=STUDIES, resamples=50)
    data = strict(found.to_json())
    for rows in data["protocols"].values():
        assert rows[0]["micro"]["miou"]["value"] == 0.0
        assert set(rows[0]["micro"]["acc"]) == {"0.1", "0.3", "0.5"}
    assert "no phrase was given a box" in found.to_markdown()


def test_no_studies_and_no_phrases():
    for studies in ([], [study(id="a"), study(id="b")]):
        found = evaluate(Silent(), studies, training_studies=None)
        assert strict(found.to_json())["protocols"]["generate"][0]["micro"]["miou"] is None
        assert "| model | - | - | - | - |" in found.to_markdown()
        assert len(found.notes) >= 1


def test_what_cannot_be_computed_is_said():
    one = random_studies(2)  # one patient
    found = evaluate(Knowing(one), one, training_studies=None, protocols=["generate"], resamples=50)
    assert [row.name for row in found.part("generate").rows] == ["model", BLANK]
    assert [note.split(":")[0] for note in found.notes] == ["No prior rows", "No shuffled row"]
    assert all(note in found.to_markdown() for note in found.notes)
    with pytest.raises(KeyError, match="generate"):
        found.part("teacher_forced")


def test_without_controls_the_model_runs_once():
    model = Knowing(STUDIES)
    stages = []
    found = evaluate(
        model,
        STUDIES,
        training_studies=None,
        controls=False,
        protocols=["teacher_forced"],
        batch_size=10,
        progress=lambda *news: stages.append(news),
        name="mine",
    )
    assert len(model.asked) == len(STUDIES)
    assert stages == [("teacher_forced: mine", 10, 16), ("teacher_forced: mine", 16, 16)]
    assert found.notes == ()


def test_unknown_protocol():
    with pytest.raises(ValueError, match="guess"):
        evaluate(Silent(), STUDIES, training_studies=None, protocols=["guess"])


def test_the_reader_reaches_the_false_boxes():
    class Wordy(Knowing):
        def ground(self, studies):
            bare = {"finding": None, "side": None, "text": "something else"}
            return [
                a.model_copy(update={"phrases": tuple(p.model_copy(update=bare) for p in a.phrases)})
                for a in super().ground(studies)
            ]

    def rate(reader):
        found = evaluate(
            Wordy(STUDIES), STUDIES, training_studies=None, controls=False, protocols=["generate"], reader=reader
        )
        return found.part("generate").rows[0].summary.identification.false_box_rate.value

    assert rate(None) == 0.0
    assert rate(lambda text: ("absent", Side.LEFT)) == 1.0
