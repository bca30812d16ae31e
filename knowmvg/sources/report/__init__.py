"""A free-text chest radiograph report to its diagnostic phrases."""

from knowmvg.sources.report.files import decode_report, read_report_file
from knowmvg.sources.report.reading import ReportReading, read_report
from knowmvg.sources.report.sections import SectionSpan, split_sections
from knowmvg.sources.report.sentences import Sentence

__all__ = [
    "ReportReading",
    "SectionSpan",
    "Sentence",
    "decode_report",
    "read_report",
    "read_report_file",
    "split_sections",
]
