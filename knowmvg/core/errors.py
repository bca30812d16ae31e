"""The errors that a caller is expected to handle. Each says what was expected, what came and what to do about it.

Every class carries the exit code with which the command line ends when it meets one; docs/errors.md lists them.
"""

from __future__ import annotations


class KnowmvgError(Exception):
    """Base of all expected errors: ``expected`` and ``got`` are facts, ``todo`` is advice."""

    exit_code = 1

    def __init__(self, expected: str, got: str, todo: str) -> None:
        self.expected, self.got, self.todo = expected, got, todo
        super().__init__(f"expected {expected}; got {got}. {todo}")


class ImageError(KnowmvgError):
    """A file that cannot be read as a single chest radiograph."""

    exit_code = 3


class ReportError(KnowmvgError):
    """A report that cannot be read as text."""

    exit_code = 4


class ManifestError(KnowmvgError):
    """A data set folder or manifest line that does not follow the schema."""

    exit_code = 5


class RecipeError(KnowmvgError):
    """A recipe with an unknown key, a wrong type or an impossible combination."""

    exit_code = 6


class ModelError(KnowmvgError):
    """A model folder that is missing, incomplete or of another version."""

    exit_code = 7


class KnowledgeError(KnowmvgError):
    """An atlas, lexicon or knowledge graph that is malformed."""

    exit_code = 8


class OutputError(KnowmvgError):
    """A folder or file that cannot be written, or one that holds results which nobody asked to replace."""

    exit_code = 9


class LeakError(KnowmvgError):
    """Patients or images that are both in what is trained on and in what is tested on."""

    exit_code = 10


class EndpointError(KnowmvgError):
    """An endpoint for texts that may not be used for the data, does not answer, or answers with something else."""

    exit_code = 11
