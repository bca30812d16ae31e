"""Which relations of UMLS say where something lies, and in which direction each is written.

MRREL reads backwards: the row ``CUI1 | ... | CUI2 | ... | RELA`` says *CUI2 RELA CUI1* (UMLS Reference Manual: the
relationship which the second concept has to the first). A disease in ``CUI2`` with ``RELA`` = ``has_finding_site`` has
its site in ``CUI1``; with ``finding_site_of`` the disease is in ``CUI1``. Both are brought to *(what, kind, where)*.

The names are those that NLM lists as relationship attributes, as far as they concern place: SNOMED CT gives most
finding sites, NCI the ``disease_has_..._anatomic_site`` family, FMA the parts. Names were taken from public lists;
which of them a certain release holds could not be verified without one, and one that it does not hold costs nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What a link of two concepts says; lower values locate more exactly. Stored as a number in the database."""

    FINDING_SITE = 1
    LOCATION = 2
    PART_OF = 3
    IS_A = 4


# The relations of equation 3, the most exact first.
LOCATING = (Kind.FINDING_SITE, Kind.LOCATION, Kind.PART_OF)


class Reading(NamedTuple):
    """How one RELA is read; ``forward`` means that its subject (CUI2) is *what*, and its object (CUI1) *where*."""

    kind: Kind
    forward: bool


_PAIRS: dict[Kind, tuple[tuple[str, str], ...]] = {
    # (subject is what is located, subject is the place)
    Kind.FINDING_SITE: (
        ("has_finding_site", "finding_site_of"),
        ("disease_has_primary_anatomic_site", "is_primary_anatomic_site_of_disease"),
        ("disease_has_associated_anatomic_site", "is_associated_anatomic_site_of"),
    ),
    Kind.LOCATION: (
        ("has_location", "location_of"),
        ("anatomic_structure_has_location", "is_location_of_anatomic_structure"),
    ),
    Kind.PART_OF: (
        ("part_of", "has_part"),
        ("regional_part_of", "has_regional_part"),
        ("constitutional_part_of", "has_constitutional_part"),
        ("anatomic_structure_is_physical_part_of", "has_physical_part_of_anatomic_structure"),
    ),
    Kind.IS_A: (("isa", "inverse_isa"),),
}

READINGS: dict[str, Reading] = {
    name: Reading(kind, forward)
    for kind, pairs in _PAIRS.items()
    for pair in pairs
    for name, forward in zip(pair, (True, False), strict=True)
}


def forward_names(*kinds: Kind) -> tuple[str, ...]:
    """The RELA names of ``kinds`` whose subject is what is located."""
    return tuple(pair[0] for kind in kinds for pair in _PAIRS[kind])
