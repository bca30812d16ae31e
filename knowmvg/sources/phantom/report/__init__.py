"""The report grammar: what a radiologist could have written about the findings of a simulated study."""

from knowmvg.sources.phantom.report.sampler import sample_findings
from knowmvg.sources.phantom.report.writer import write_report
from knowmvg.sources.phantom.report.written import WrittenPhrase, WrittenReport

__all__ = ["WrittenPhrase", "WrittenReport", "sample_findings", "write_report"]
