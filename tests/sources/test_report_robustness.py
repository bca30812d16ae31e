"""Any text is read, quickly; any file is read or refused with a clear error."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowmvg.core.errors import ReportError
from knowmvg.sources.report import decode_report, read_report, read_report_file

TOKENS = (
    "no not without effusion opacity nodule heart normal enlarged left right base lower lobe and or but , . ; : - ( ) "
    "may represent previously seen has resolved FINDINGS: IMPRESSION: INDICATION: COMPARISON is are 4.5 mm \n \r\n "
    "\u00e9 \u4e2d \U0001d518 \u0130 \u017f \x00 xxxx ___ 1. \u2022 small in the of both bases"
)
WORDS = st.sampled_from(TOKENS.split(" "))


@given(st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_spans_lie_in_the_text_whatever_it_is(text):
    reading = read_report(text)
    ends = [0]
    for phrase in reading.phrases:
        assert phrase.span is not None
        assert text[slice(*phrase.span)] == phrase.text
        assert phrase.span[0] >= ends[-1]
        ends.append(phrase.span[1])
    for before, after in pairwise(reading.sections):
        assert before.end <= after.start


@given(st.lists(WORDS, max_size=30).map(" ".join))
@settings(max_examples=60, deadline=None)
def test_sections_that_are_silent_stay_silent(text):
    text = text.replace(":", "").replace("COMPARISON", "")
    assert read_report(f"FINDINGS: \nINDICATION: {text.replace(chr(10), ' ')}").phrases == ()


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n\t", "...", "FINDINGS:", "FINDINGS:\nIMPRESSION:\n", "\u4e2d\u6587", "\x00"]
)
def test_nothing_to_read(text):
    assert read_report(text).phrases == ()


UNITS = ["no ", " ", "no effusion ", ".", "\n ", "1. ", "effusion, ", "FINDINGS ", "xxxx ", "no effusion is seen and "]


@pytest.mark.parametrize("unit", UNITS)
def test_time_is_linear(unit):
    text = (unit * 200_000)[:200_000]
    start = time.process_time()
    read_report(text)
    assert time.process_time() - start < 20  # about 1 s; quadratic time would take minutes


def test_too_long():
    with pytest.raises(ReportError, match="at most 1000000 characters"):
        read_report("a" * 1_000_001)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_encodings(tmp_path, encoding):
    text = "FINDINGS:\nSmall nodule, 5 mm \u00b1 1, caf\u00e9."
    marks = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    path = tmp_path / "report.txt"
    path.write_bytes(marks.get(encoding, b"") + text.encode(encoding))
    assert read_report_file(path) == text


def test_line_ends_become_newlines():
    assert decode_report(b"FINDINGS:\r\nNodule.\rMass.\n") == "FINDINGS:\nNodule.\nMass.\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a" * 1_000_001, "at most 1000000 bytes"),
        (b"FINDINGS\x00", "binary data"),
        (bytes(range(256)) * 4, "binary data"),
        (b"\x89PNG\r\n\x1a\n" + b"\x01\x02" * 40, "binary data"),
        (b"\xff\xfea", "broken UTF-16"),
    ],
)
def test_files_that_are_no_report(tmp_path, data, message):
    path = tmp_path / "report.txt"
    path.write_bytes(data)
    with pytest.raises(ReportError, match=message):
        read_report_file(path)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(ReportError, match="a report text file"):
            read_report_file(path)


def test_empty_file_is_an_empty_report(tmp_path):
    path = tmp_path / "report.txt"
    path.touch()
    assert read_report(read_report_file(path)).phrases == ()
