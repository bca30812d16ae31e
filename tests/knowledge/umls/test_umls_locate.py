"""Equation 3: the direction of every relation, nearest level first, anatomical places only, definitions as fallback."""

import pytest

from knowmvg.knowledge.umls.locate import locate
from knowmvg.knowledge.umls.relations import LOCATING, READINGS, Kind, forward_names

SITE, THING = "C9000031", "C9000032"


def cuis(found):
    return [site.cui for site in found]


@pytest.fixture
def pair(release):
    return release.concept(SITE, "T023", "Blorb").concept(THING, "T047", "Blorbitis")


@pytest.mark.parametrize(
    ("cui1", "rela", "cui2"),
    [
        # MRREL reads backwards: CUI2 RELA CUI1
        (SITE, "has_finding_site", THING),
        (THING, "finding_site_of", SITE),
        (SITE, "has_location", THING),
        (THING, "location_of", SITE),
        (SITE, "part_of", THING),
        (THING, "has_part", SITE),
        (SITE, "disease_has_primary_anatomic_site", THING),
        (THING, "is_primary_anatomic_site_of_disease", SITE),
    ],
)
def test_both_spellings_locate_the_thing_and_never_the_site(pair, opened, cui1, rela, cui2):
    store = opened(pair.relation(cui1, rela, cui2))
    assert cuis(locate(THING, store)) == [SITE]
    assert store.links(SITE, tuple(Kind)) == []


@pytest.mark.parametrize(
    ("cui1", "rela", "cui2"),
    [
        (THING, "has_finding_site", SITE),
        (SITE, "finding_site_of", THING),
        (THING, "part_of", SITE),
        (SITE, "has_part", THING),
    ],
)
def test_a_row_the_other_way_round_does_not_locate(pair, opened, cui1, rela, cui2):
    store = opened(pair.relation(cui1, rela, cui2))
    assert locate(THING, store) == ()
    assert [link.cui for link in store.links(SITE, LOCATING)] == [THING]


def test_every_relation_has_its_inverse():
    for name, reading in READINGS.items():
        inverses = [other for other, read in READINGS.items() if read == (reading.kind, not reading.forward)]
        assert inverses, name
    assert set(forward_names(*Kind)) == {name for name, reading in READINGS.items() if reading.forward}


def test_a_fact_told_in_both_directions_is_one_link_with_its_sources(release, opened):
    (link,) = opened(release).links("C9000001", LOCATING)
    assert (link.kind, link.cui, link.sources) == (Kind.FINDING_SITE, "C9000011", ("SNOMEDCT_US", "NCI"))


def test_sites_come_from_the_nearest_more_general_concept(release, opened):
    store = opened(release)
    (site,) = locate("C9000003", store)
    assert (site.cui, site.name.text, site.hops, site.kind) == ("C9000014", "Lung", 1, Kind.FINDING_SITE)
    assert locate("C9000003", store, hops=0) == ()
    release.relation("C9000016", "has_finding_site", "C9000003")
    assert cuis(locate("C9000003", opened(release))) == ["C9000016"]


def test_hops_end_and_circles_end(release, opened):
    chain = [f"C90001{n:02d}" for n in range(5)]
    for cui, above in zip(chain, [*chain[1:], chain[0]], strict=True):
        release.concept(cui, "T047", f"Thing {cui}").relation(above, "isa", cui)
    store = opened(release)
    assert locate(chain[0], store, hops=10) == ()
    release.relation("C9000014", "has_finding_site", chain[4])
    store = opened(release)
    assert locate(chain[0], store, hops=3) == ()
    assert cuis(locate(chain[0], store, hops=4)) == ["C9000014"]


def test_only_anatomical_places_with_a_name_count(pair, opened):
    pair.concept("C9000033", "T033", "A finding").relation("C9000033", "has_finding_site", THING)
    pair.type("C9000034", "T023").relation("C9000034", "has_finding_site", THING)
    pair.concept("C9000035", "T022", "A body system").relation("C9000035", "has_finding_site", THING)
    assert locate(THING, opened(pair)) == ()
    pair.type("C9000033", "T029")  # a concept may have several types
    assert cuis(locate(THING, opened(pair))) == ["C9000033"]


def test_finding_sites_come_before_locations_and_wholes(pair, opened):
    pair.concept("C9000036", "T029", "Aab").concept("C9000037", "T030", "Aaa")
    pair.relation("C9000036", "part_of", THING).relation("C9000037", "has_location", THING)
    pair.relation(SITE, "has_finding_site", THING)
    store = opened(pair)
    assert cuis(locate(THING, store)) == [SITE, "C9000037", "C9000036"]
    assert cuis(locate(THING, store, most=2)) == [SITE, "C9000037"]


def test_more_sources_come_first_then_names(pair, opened):
    pair.concept("C9000036", "T029", "Zab").concept("C9000037", "T030", "Aaa")
    pair.relation(SITE, "has_finding_site", THING, sab="NCI").relation("C9000037", "has_finding_site", THING, sab="NCI")
    pair.relation("C9000036", "has_finding_site", THING).relation("C9000036", "has_finding_site", THING, sab="NCI")
    assert cuis(locate(THING, opened(pair))) == ["C9000036", "C9000037", SITE]


def test_suppressed_relations_do_not_count(pair, opened):
    pair.relation(SITE, "has_finding_site", THING, suppress="O")
    assert locate(THING, opened(pair)) == ()


def test_definitions_locate_where_no_relation_does(pair, opened):
    pair.definition(THING, "Swelling of the lungs, rarely of the blorb.", sab="SNOMEDCT_US")
    store = opened(pair)
    anatomy = ("lung", "blorb", "heart")
    assert locate(THING, store) == ()
    found = locate(THING, store, anatomy=anatomy)
    assert [(site.cui, site.kind, site.sources) for site in found] == [
        ("C9000014", None, ("SNOMEDCT_US",)),
        (SITE, None, ("SNOMEDCT_US",)),
    ]
    pair.relation(SITE, "has_location", THING)
    assert cuis(locate(THING, opened(pair), anatomy=anatomy)) == [SITE]
