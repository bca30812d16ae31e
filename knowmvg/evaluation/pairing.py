"""Which files of samples may be compared: the same phrases, boxes and patients under one protocol."""

from __future__ import annotations

from collections.abc import Sequence

from knowmvg.core.errors import ManifestError
from knowmvg.evaluation.samples import Sample


def check_alone(name: str, samples: Sequence[Sample]) -> None:
    """Raises ``ManifestError`` for samples that no comparison can use: none, a phrase twice, two protocols."""
    if not samples:
        raise ManifestError("samples", f"none in {name}", "Evaluate the model on studies with boxed phrases.")
    keys = {sample.key for sample in samples}
    if len(keys) < len(samples):
        got = f"{len(samples) - len(keys)} phrases again in {name}"
        raise ManifestError("each phrase once", got, "Compare files as `knowmvg evaluate` wrote them.")
    protocols = sorted({sample.protocol.value for sample in samples})
    if len(protocols) > 1:
        got = f"{' and '.join(protocols)} in {name}"
        raise ManifestError("samples of one protocol", got, "Compare files as `knowmvg evaluate` wrote them.")


def in_same_order(name: str, samples: Sequence[Sample], first: str, reference: Sequence[Sample]) -> list[Sample]:
    """``samples`` in the order of ``reference``. Raises ``ManifestError`` where the two cannot be compared."""
    check_alone(name, samples)
    if samples[0].protocol != reference[0].protocol:
        got = f"{reference[0].protocol.value} in {first} and {samples[0].protocol.value} in {name}"
        raise ManifestError("samples of one protocol", got, "Protocols are never mixed: choose files of the same one.")
    own, wanted = {sample.key: sample for sample in samples}, {sample.key for sample in reference}
    if own.keys() != wanted:
        got = f"{len(wanted - own.keys())} phrases only in {first} and {len(own.keys() - wanted)} only in {name}"
        raise ManifestError("the same phrases in all files", got, "Evaluate all models on the same studies.")
    ordered = [own[sample.key] for sample in reference]
    for what, field in (("reference boxes", "reference"), ("patients", "patient")):
        other = sum(getattr(a, field) != getattr(b, field) for a, b in zip(ordered, reference, strict=True))
        if other:
            got = f"others for {other} phrases of {name} than of {first}"
            raise ManifestError(f"the same {what} in all files", got, "Evaluate all models on the same data set.")
    return ordered
