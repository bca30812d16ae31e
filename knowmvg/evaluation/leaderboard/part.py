"""A part of a split for models that are slow: whole patients drawn at random, the same ones for every row.

The patients come in one order that the seed and the split decide, so that a smaller part lies within a larger one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from knowmvg.evaluation.protocol import Result

SEED = 20_241


def drawn_studies(studies: Sequence[tuple[str, str]], n: int, seed: int = SEED) -> list[str]:
    """The identifiers of ``n`` studies, and as many more as the last patient has, in the order of the draw.

    Args:
        studies: identifier and patient of every study of the split; their order does not matter.
        n: studies to draw; all of them where there are fewer.
        seed: of the order of the patients.
    """
    of_patient: dict[str, list[str]] = {}
    for study, patient in sorted(studies):
        of_patient.setdefault(patient, []).append(study)
    patients = sorted(of_patient)
    found: list[str] = []
    for place in np.random.default_rng(seed).permutation(len(patients)):
        if len(found) >= n:
            break
        found += of_patient[patients[place]]
    return found


def only(result: Result, studies: Collection[str]) -> Result:
    """What a result says of some of its studies."""
    samples = tuple(sample for sample in result.samples if sample.study in studies)
    return Result(result.protocol, samples, tuple(count for count in result.counts if count.study in studies))
