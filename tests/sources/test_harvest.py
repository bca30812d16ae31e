"""Entities of a data set: the order does not matter, studies are read as they are needed, errors name the study."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.errors import ReportError
from knowmvg.core.records import Assertion
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.sources.harvest import Reader, Texts, harvest
from knowmvg.sources.manifest import PhraseRow, StudyRow
from knowmvg.sources.report.reading import MAX_CHARACTERS

ATLAS = load_atlas()
REPORTS = (
    "FINDINGS: Small left pleural effusion. No pneumothorax.",
    "IMPRESSION: Right upper lobe consolidation, resolved since. Cardiomegaly.",
    "FINDINGS: Lungs are clear.",
    "",
    "Bibasilar atelectasis and a tracheostomy tube.",
)


def row(number, report, *phrases):
    return StudyRow(
        id=f"s{number}", patient="p", split="train", image="x.png", width=8, height=8, report=report, phrases=phrases
    )


@settings(max_examples=10, deadline=None)
@given(st.permutations([row(i, report) for i, report in enumerate(REPORTS)]))
def test_the_order_of_the_studies_does_not_matter(rows):
    found = harvest(rows, Reader(ATLAS))
    assert found == harvest([row(i, report) for i, report in enumerate(REPORTS)], Reader(ATLAS))
    assert {"left pleural effusion", "cardiomegaly", "bilateral basal atelectasis"} <= found.entities.keys()
    assert not {"pneumothorax", "right upper lobe consolidation"} & found.entities.keys()
    assert found.studies == len(REPORTS)


def test_a_statement_counts_once():
    report = "Small left effusion. Large right effusion."
    labelled = PhraseRow(text="Small left effusion", span=(0, 19), finding="pleural effusion")
    copied = PhraseRow(text="large right effusion", finding="pleural effusion")
    both = harvest([row(0, report, labelled, copied)], Reader(ATLAS))
    assert both.entities["left pleural effusion"].count == 1
    assert both.entities["right pleural effusion"].count == 1
    assert harvest([row(0, report, labelled)], Reader(ATLAS, Texts.PHRASES)).phrases == 1
    assert harvest([row(0, report, labelled)], Reader(ATLAS, Texts.REPORT)).phrases == 2


def test_a_denied_label_keeps_its_word_out():
    absent = PhraseRow(text="left effusion", span=(3, 16), assertion=Assertion.ABSENT)
    assert harvest([row(0, "No left effusion", absent)], Reader(ATLAS)).entities == {}


def test_what_the_atlas_lacks_is_counted_by_canonical_name_alone():
    phrases = [PhraseRow(text="odd thing of Mr Smith", finding="gizmo"), PhraseRow(text="Mr Smith again")]
    found = harvest([row(0, "", *phrases)], Reader(ATLAS))
    assert found.unknown == {"gizmo": 1, "": 1}


def test_a_report_that_cannot_be_read_is_named_by_its_study():
    with pytest.raises(ReportError, match="in study s7"):
        harvest([row(7, "x" * (MAX_CHARACTERS + 1))], Reader(ATLAS))


@pytest.mark.parametrize("workers", [1, 2])
def test_studies_are_read_as_they_are_needed(monkeypatch, workers):
    monkeypatch.setattr("knowmvg.sources.harvest.BATCH", 4)
    # Threads in the place of processes, which take seconds to start; what is handed to them is the same.
    monkeypatch.setattr(
        "knowmvg.sources.harvest.ProcessPoolExecutor", lambda workers, _, **more: ThreadPoolExecutor(workers, **more)
    )
    drawn, ahead = 0, []

    def rows():
        nonlocal drawn
        for drawn in range(1, 101):
            yield row(drawn, REPORTS[drawn % len(REPORTS)])

    found = harvest(rows(), Reader(ATLAS), workers=workers, progress=lambda done: ahead.append(drawn - done))
    assert found.studies == 100
    # A batch or a few at a time, never the data set.
    assert max(ahead) <= (0 if workers == 1 else 4 * (2 * workers + 1))
    assert found == harvest(rows(), Reader(ATLAS))
