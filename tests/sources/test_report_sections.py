"""Where sections and sentences start and end. All reports are our own."""

from __future__ import annotations

from itertools import product

import pytest

from knowmvg.core.records import Section
from knowmvg.sources.report import read_report, split_sections

HEADINGS = {
    "FINDINGS": "findings",
    "Findings": "findings",
    "findings": "findings",
    "FINDINGS AND IMPRESSION": "findings",
    "Findings/Impression": "findings",
    "REPORT": "findings",
    "IMPRESSION": "impression",
    "Conclusion": "impression",
    "CONCLUSIONS": "impression",
    "OPINION": "impression",
    "INDICATION": "indication",
    "HISTORY": "indication",
    "Clinical  History": "indication",
    "CLINICAL INFORMATION": "indication",
    "REASON FOR EXAM": "indication",
    "Reason for Examination": "indication",
    "REASON FOR THIS EXAMINATION": "indication",
    "COMPARISON": "comparison",
    "Comparisons": "comparison",
    "PRIOR STUDIES": "comparison",
    "TECHNIQUE": "technique",
    "EXAMINATION": "technique",
    "PROCEDURE": "technique",
}
FORMS = ["{}: ", "{}:\n", "**{}:** ", "## {}\n", "  {} :  ", "[{}]: ", "{} - ", "2. {}: "]
WRAPPED = ("findings", "## {}\n")  # a lower-case word alone on its line is wrapped text
SILENT = ("indication", "comparison", "technique")


@pytest.mark.parametrize(("heading", "form"), [pair for pair in product(HEADINGS, FORMS) if pair != WRAPPED])
def test_headings(heading, form):
    report = f"IMPRESSION: Edema.\n{form.format(heading)}Small nodule."
    last = split_sections(report)[-1]
    assert (last.section.value, report[last.start : last.end].strip()) == (HEADINGS[heading], "Small nodule.")
    findings = [phrase.finding for phrase in read_report(report).phrases]
    assert findings == (["edema"] if HEADINGS[heading] in SILENT else ["edema", "nodule"])


def test_one_line_report():
    report = "Clinical History: pneumonia Comparison: effusion Findings: Small nodule. IMPRESSION: mass"
    assert [(phrase.section, phrase.finding) for phrase in read_report(report).phrases] == [
        (Section.FINDINGS, "nodule"),
        (Section.IMPRESSION, "mass"),
    ]


def test_text_without_headings_is_read():
    report = "Small nodule in the left apex."
    assert [phrase.section for phrase in read_report(report).phrases] == [Section.UNHEADED]


def test_body_without_heading_follows_the_comparison_after_an_empty_line():
    report = "INDICATION:\n\nCough, rule out pneumonia.\n\nCOMPARISON: Effusion.\n\nSmall nodule.\n\nIMPRESSION: Mass."
    assert [(phrase.section, phrase.finding) for phrase in read_report(report).phrases] == [
        (Section.UNHEADED, "nodule"),
        (Section.IMPRESSION, "mass"),
    ]


def test_an_empty_line_does_not_end_the_indication_where_findings_have_a_heading():
    report = "INDICATION: Cough.\n\nKnown effusion.\n\nFINDINGS: Nodule."
    assert [phrase.finding for phrase in read_report(report).phrases] == ["nodule"]


@pytest.mark.parametrize(
    "report",
    [
        "The findings were discussed; small nodule.",
        "Findings discussed with the referring doctor. Small nodule.",
        "Since the last\nstudy a small nodule has grown.",
        "Comparison is not possible. Small nodule.",
    ],
)
def test_words_in_a_sentence_are_no_headings(report):
    assert [section.section for section in split_sections(report)] == [Section.UNHEADED]


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        ("Small nodule. No mass.", ["Small nodule.", "No mass."]),
        ("Nodule of 4.5 mm. No mass.", ["Nodule of 4.5 mm.", "No mass."]),
        ("Normal.No mass.", ["Normal.", "No mass."]),
        ("1. Small nodule. 2. No mass.", ["Small nodule.", "No mass."]),
        ("\n1) Small nodule\n2) no mass", ["Small nodule", "no mass"]),
        ("\n- Small nodule\n- no mass", ["Small nodule", "no mass"]),
        ("\n\u2022 Small nodule\n\u2022 no mass", ["Small nodule", "no mass"]),
        ("Small nodule\n\nno mass", ["Small nodule", "no mass"]),
        ("Heart normal\nLungs clear", ["Heart normal", "Lungs clear"]),
        ("There is a small nodule in the\nleft upper lobe.", ["There is a small nodule in the\nleft upper lobe."]),
        ("Seen by Dr. Who. No mass.", ["Seen by Dr. Who.", "No mass."]),
        ("Nodule vs. mass.", ["Nodule vs. mass."]),
        ("Lungs:\nClear.", ["Lungs:\nClear."]),
        ("Small nodule.\r\nNo mass.\r\n", ["Small nodule.", "No mass."]),
        ("Really?! Or not.", ["Really?!", "Or not."]),
        ("Mass? No. Nodule? Yes.", ["Mass? No.", "Nodule? Yes."]),
    ],
)
def test_sentences(body, sentences):
    reading = read_report(f"FINDINGS: {body}")
    assert [reading.text[sentence.start : sentence.end] for sentence in reading.sentences] == sentences


def test_a_negation_ends_with_its_line():
    report = "FINDINGS:\n- No pneumothorax\n- Small left effusion\n- No mass"
    assert [phrase.assertion.value for phrase in read_report(report).phrases] == ["absent", "present", "absent"]
