"""The report grammar: what a radiologist could have written about the findings of a simulated study."""

from knowmvg.sources.phantom.report.sampler import sample_findings
from knowmvg.sources.phantom.report.writer import write_report
from knowmvg.sources.phantom.report.written import WrittenPhrase, WrittenReport, named_lesions

__all__ = ["WrittenPhrase", "WrittenReport", "named_lesions", "sample_findings", "write_report"]
