"""What a grounder that writes its boxes as text is asked with, and held to."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from knowmvg.core.boxtext.codec import BoxCodec
from knowmvg.core.boxtext.views import Fit
from knowmvg.grounders.coordinates.conventions import Convention, asked, named


class CoordinatesConfig(BaseModel):
    """The task around a model. Raises ``ValueError`` for a question without its place, or ``least`` above ``most``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    codec: BoxCodec
    """of its boxes"""
    question: str
    """`{phrase}` stands for the phrase"""
    lowered: bool = False
    """whether a phrase is asked in lower case, as it was taught"""
    fit: Fit = Fit.LETTERBOX
    """of the image to the square that the model sees"""
    least: int = Field(default=0, ge=0)
    """fewest boxes where nobody says how many"""
    most: int = Field(default=4, ge=1, le=20)
    """most boxes of a phrase"""
    naming: str | None = None
    """the question for the phrases of a report, `{report}` standing for it; null for a model that names none"""
    constrained: bool = True
    """whether an answer is held to the codec's form; without, the model writes what it likes"""
    expected: bool = False
    """whether coordinates are expected values instead of the likeliest; needs `constrained`"""

    findings: tuple[str, ...] | None = None
    """canonical names of the findings that it was taught to place, to which the phrases of a report are held; null for
    a model that is asked everything"""

    @model_validator(mode="after")
    def _fits(self) -> CoordinatesConfig:
        if "{phrase}" not in self.question or (self.naming is not None and "{report}" not in self.naming):
            raise ValueError("expected {phrase} in the question and {report} in the question for phrases")
        if self.least > self.most:
            raise ValueError(f"expected at most {self.most} boxes at least, got {self.least}")
        if self.expected and not self.constrained:
            raise ValueError("expected constrained answers for expected coordinates")
        return self

    @classmethod
    def of(cls, convention: Convention) -> CoordinatesConfig:
        """The task as the family does it."""
        return cls(
            codec=convention.codec,
            question=convention.question,
            fit=convention.fit,
            least=convention.least,
            naming=convention.naming,
            lowered=convention.lowered,
        )

    def asked(self, phrase: str) -> str:
        """The question about a phrase."""
        return asked(self.question, phrase, lowered=self.lowered)

    def named(self, phrase: str) -> str:
        """The phrase as an answer repeats it."""
        return named(phrase, lowered=self.lowered)
