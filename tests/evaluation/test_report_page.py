import base64
import io
import json
import re
from itertools import pairwise

import pytest
from PIL import Image
from report_fakes import HOSTILE, Reader, hostile_evaluation, hostile_studies

from knowmvg.core.errors import ManifestError, ModelError
from knowmvg.core.records import DISCLAIMER
from knowmvg.evaluation.evaluate import Evaluation, evaluate
from knowmvg.evaluation.report.page import fingerprint
from knowmvg.evaluation.report.run_card import read_run_card
from knowmvg.evaluation.report.write import write_report
from knowmvg.evaluation.samples import Protocol
from knowmvg.evaluation.tables import Table, TableRow

STUDIES = hostile_studies()
BY_ID = {study.id: study for study in STUDIES}
RUN = {
    "recipe": {"name": "mine", "seed": 3, "data": {"seed": 7, "splits": [0.8, 0.2]}, "knowledge": None, "draws": True},
    "data_fingerprint": "abc<b>",
    "versions": {"knowmvg": "0.1.0"},
    "git": "0123abcd",
    "seconds": {"train": 12.5},
}


@pytest.fixture(scope="module")
def evaluation():
    return hostile_evaluation(STUDIES)


@pytest.fixture(scope="module")
def small():
    """One protocol without controls."""
    return hostile_evaluation(STUDIES, controls=False, protocols=["generate"])


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.json").write_text(json.dumps(RUN))
    return read_run_card(folder)


@pytest.fixture(scope="module")
def plain(evaluation, card, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    files = write_report(folder, evaluation, data=f"data {HOSTILE}", card=card, study_of=BY_ID.__getitem__)
    return folder, files


@pytest.fixture
def without_plots(monkeypatch):
    """For what the plots have no part in: they take most of the time."""
    monkeypatch.setattr("knowmvg.evaluation.report.write.plots", lambda *_, **__: ())


@pytest.fixture(scope="module")
def full(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    write_report(folder, small, data="data", study_of=BY_ID.__getitem__, cases=3, texts=True)
    return Reader((folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(plain):
    return Reader((plain[0] / "report.html").read_text(encoding="utf-8"))


def self_contained(page):
    """The page loads nothing and runs nothing."""
    assert not {"script", "link", "iframe", "object", "embed", "base", "form", "img"} & {e[0] for e in page.elements}
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    for tag, attrs, _ in page.elements:
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "srcset", "action")], tag
        for name in ("href", "xlink:href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,")), attrs
    css = "".join(text for text, inside in page.texts if "style" in inside)
    assert "url(" not in css
    assert "@import" not in css


def test_the_page_is_self_contained(page, full):
    self_contained(page)
    self_contained(full)


def test_links_and_labels_lead_somewhere(page, full):
    for found in (page, full):
        ids = [attrs["id"] for _, attrs, _ in found.elements if "id" in attrs]
        assert len(ids) == len(set(ids))
        for _, attrs, _ in found.elements:
            for name in ("href", "xlink:href"):
                if attrs.get(name, "").startswith("#"):
                    assert attrs[name][1:] in ids
            for place in re.findall(r"url\(#([^)]+)\)", " ".join(map(str, attrs.values()))):
                assert place in ids
            if "aria-labelledby" in attrs:
                assert attrs["aria-labelledby"] in ids


def test_text_is_escaped(page):
    assert f"Evaluation of model {HOSTILE}" in page.text
    assert f"data {HOSTILE}" in page.text
    cells = [text for text, inside in page.texts if inside[-1:] == ("th",)]
    assert HOSTILE in cells
    drawn = [text for text, inside in page.texts if "svg" in inside and "<script>" in text]
    assert len(drawn) == len(Protocol)  # the plot by finding of each protocol


def test_what_a_reader_needs_is_there(page):
    assert page.text.count(DISCLAIMER) == 2
    assert "not an average precision" in page.text
    headings = [(name, inside) for name, _, inside in page.elements if re.fullmatch("h[1-6]", name)]
    levels = [int(name[1]) for name, _ in headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for word in ("shuffled report and phrase", "blank image", "mean box", "Reliability of the score", "Risk and cov"):
        assert page.text.count(word) >= 2, word  # one a protocol
    for _, attrs, inside in (e for e in page.elements if e[0] == "table"):
        assert inside[-1] == "div", attrs
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("tabindex" in attrs for attrs in page.all("div") if attrs.get("class") == "scroll")
    assert page.all("html")[0]["lang"] == "en"
    assert "prefers-color-scheme: dark" in "".join(text for text, _ in page.texts)
    assert "@media print" in "".join(text for text, _ in page.texts)


def test_the_run_card(page):
    facts = {}
    for text, inside in page.texts:
        if inside[-1:] == ("dt",):
            name = text
        elif inside[-1:] == ("dd",) and "div" in inside:
            facts.setdefault(name, text)
    assert facts["recipe"] == "mine"
    assert facts["seed (seed)"] == "3"
    assert facts["seed (data.seed)"] == "7"
    assert facts["git commit"] == "0123abcd"
    assert facts["fingerprint of the training data"] == "abc<b>"
    assert facts["data.splits"] == "0.8, 0.2"
    assert facts["knowledge"] == "none"
    assert facts["draws"] == "yes"
    assert facts["seconds for train"] == "12.5"
    assert len(facts["fingerprint of the phrases"]) == 64


def test_no_data_of_patients_unless_asked_for(page, plain, evaluation):
    text = (plain[0] / "report.html").read_text(encoding="utf-8")
    assert "data:image" not in text
    assert "shows no radiograph" in page.text
    assert "REPORT" not in page.text
    for study in STUDIES:
        assert not re.search(rf"\b{study.id}\b", page.text)
        assert all(label.phrase.text not in page.text for label in study.labels)


@pytest.mark.usefixtures("without_plots")
def test_texts_are_shown_only_when_asked_for(small, tmp_path):
    write_report(tmp_path, small, data="data", study_of=BY_ID.__getitem__, cases=3)
    page = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.all("image")) == 6
    assert "REPORT" not in page.text
    assert all(label.phrase.text not in page.text for study in STUDIES for label in study.labels)
    assert "forbids passing on this page" in page.text


def test_cases(full, small):
    images = full.all("image")
    assert len(images) == 6  # three worst, three best
    for attrs in images:
        content = base64.b64decode(attrs["href"].split(",", 1)[1])
        picture = Image.open(io.BytesIO(content))
        assert picture.mode == "L"
        assert max(picture.size) <= 512
        assert (attrs["width"], attrs["height"]) == ("200", "100")
    assert f"REPORT {HOSTILE}" in full.text
    drawn = [
        [float(attrs[key]) for key in ("x", "y", "width", "height")]
        for name, attrs, inside in full.elements
        if name == "rect" and attrs.get("class") == "reference" and "figure" in inside
    ]
    known = [[x1, y1, x2 - x1, y2 - y1] for sample in small.parts[0].samples for x1, y1, x2, y2 in sample.reference]
    assert drawn
    assert all(box in known for box in drawn)
    assert "shows radiographs" in full.text


@pytest.mark.usefixtures("without_plots")
def test_extra_tables_stand_with_their_protocol(small, tmp_path):
    rows = (TableRow(Protocol.GENERATE, ("left lung", 3)),)
    extra = Table("By stratum", Protocol.GENERATE, ("stratum", "phrases"), rows)
    files = write_report(tmp_path, small, data="data", tables=[extra, extra])
    page = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [text for text, inside in page.texts if inside[-1:] == ("caption",)].count("By stratum (generate)") == 2
    names = [path.name for path in files]
    assert "generate-by-stratum.csv" in names
    assert "generate-by-stratum-2.csv" in names


def test_files(plain, evaluation):
    folder, files = plain
    assert files[-1] == folder / "report.html"
    found = {path for path in folder.rglob("*") if path.is_file()}
    assert found == set(files)
    assert {path.suffix for path in found} == {".html", ".svg", ".csv", ".tex", ".md"}
    names = {path.name for path in found}
    for protocol in ("teacher_forced", "generate"):
        for plot in ("miou-by-finding", "accuracy-by-threshold", "reliability", "risk-coverage", "miou-by-size"):
            assert f"{protocol}-{plot}.svg" in names
    assert "published-knowmvg-i-beside-teacher_forced.csv" in names


@pytest.mark.usefixtures("without_plots")
def test_the_files_are_the_same_at_every_run(small, tmp_path):
    for path in write_report(tmp_path / "a", small, data="data"):
        path.rename(path.with_name(f"{path.name}.first"))
    for path in write_report(tmp_path / "a", small, data="data"):
        assert path.with_name(f"{path.name}.first").read_bytes() == path.read_bytes()


def test_nothing_to_report(tmp_path):
    empty = evaluate(None, [], training_studies=None, controls=False)
    write_report(tmp_path / "empty", empty, data="nothing")
    page = Reader((tmp_path / "empty/report.html").read_text(encoding="utf-8"))
    self_contained(page)
    assert not (tmp_path / "empty/plots").exists()
    write_report(tmp_path / "bare", Evaluation("m", 0, 10, ()), data="nothing")
    assert Reader((tmp_path / "bare/report.html").read_text(encoding="utf-8")).all("table") == []


def test_one_patient(tmp_path):
    one = hostile_studies(2)
    found = hostile_evaluation(one, controls=False, protocols=["generate"])
    write_report(tmp_path, found, data="one", study_of={s.id: s for s in one}.__getitem__, cases=5)
    self_contained(Reader((tmp_path / "report.html").read_text(encoding="utf-8")))


def test_cases_need_their_studies(small, tmp_path):
    with pytest.raises(ValueError, match="cases"):
        write_report(tmp_path, small, data="data", cases=1)
    with pytest.raises(ValueError, match="cases"):
        write_report(tmp_path, small, data="data", study_of=BY_ID.__getitem__, cases=51)

    def bare(id):
        study = BY_ID[id]
        return type(study)(study.image, study.report, study.id)

    with pytest.raises(ManifestError, match="0 phrases"):
        write_report(tmp_path, small, data="data", study_of=bare, cases=1)
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_fingerprint_is_of_the_phrases(evaluation):
    samples = evaluation.parts[0].samples
    assert fingerprint(samples) == fingerprint(samples[::-1])
    assert fingerprint(samples) == fingerprint(evaluation.part("generate").samples)
    assert fingerprint(samples) != fingerprint(samples[1:])


@pytest.mark.parametrize("content", ["", "[]", "{", "nothing", '{"recipe": {"a": 1}', "\xff\xfe"])
def test_a_damaged_run_json_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelError, match=r"run\.json"):
        read_run_card(tmp_path)


def test_a_run_json_of_other_content_is_read_as_far_as_it_goes(tmp_path):
    assert read_run_card(tmp_path) is None
    (tmp_path / "run.json").write_text('{"recipe": 3, "versions": [], "git": null, "threads": {"a": 1}}')
    assert dict(read_run_card(tmp_path).facts) == {"git commit": "none", "threads": "{'a': 1}"}
