"""The atlas: the shipped one is complete, and a wrong entry is named."""

import shutil

import pytest
import yaml

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Side
from knowmvg.knowledge.ontology import ATLAS_PATH, load_atlas
from knowmvg.sources.phantom.scene import FINDINGS, ZONES

SMALL = {
    "schema": "knowmvg.atlas/1",
    "licence": "Apache-2.0",
    "sources": {"book": "A Textbook, 1st ed."},
    "zones": [{"name": "lower", "words": ["base"], "source": ["book"]}],
    "sites": [
        {"name": "lungs", "about": "the lungs", "source": ["book"]},
        {"name": "<side> lung", "part_of": "lungs", "zone": "lower", "about": "a lung", "source": ["book"]},
    ],
    "findings": [
        {"name": "opacity", "synonyms": ["density"], "about": "white", "sites": ["<side> lung"], "source": ["book"]}
    ],
}


@pytest.fixture(scope="module")
def atlas():
    return load_atlas()


def write(folder, content):
    path = folder / "atlas.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def changed(group, number, **fields):
    """``SMALL`` with fields of one entry replaced; a field of ``None`` is taken out."""
    entry = {key: value for key, value in (SMALL[group][number] | fields).items() if value is not None}
    entries = [entry if i == number else other for i, other in enumerate(SMALL[group])]
    return SMALL | {group: entries}


def test_it_knows_the_simulated_findings_and_zones(atlas):
    assert set(FINDINGS) <= set(atlas.finding)
    assert set(ZONES) <= {zone.name for zone in atlas.zones}


def test_every_entry_has_a_citation(atlas):
    for entry in (*atlas.zones, *atlas.sites, *atlas.findings):
        assert entry.source
        assert all(len(atlas.sources[key]) > 15 for key in entry.source), entry.name


def test_every_source_is_used(atlas):
    used = {key for entry in (*atlas.zones, *atlas.sites, *atlas.findings) for key in entry.source}
    assert used == set(atlas.sources)


def test_sided_findings_have_sites_on_both_sides(atlas):
    for finding in atlas.findings:
        sides = {atlas.site[name].side for name in finding.sites} - {None}
        assert sides in (set(), {Side.LEFT, Side.RIGHT}), finding.name
    assert atlas.vocabulary.findings["pleural effusion"].sided
    assert not atlas.vocabulary.findings["cardiomegaly"].sided


def test_the_anatomy_is_a_tree_and_parts_keep_their_side(atlas):
    roots = {site.name for site in atlas.sites if site.part_of is None}
    assert roots == {"thorax", "upper abdomen"}
    for site in atlas.sites:
        around = [atlas.site[name].side for name in atlas.enclosing(site.name)]
        assert set(around) <= {site.side, None}, site.name
    assert atlas.enclosing("left lung base") == ("left lower zone", "left lung", "lungs", "thorax")


def test_paired_sites_mirror_each_other(atlas):
    lefts = {site.name for site in atlas.sites if site.name.startswith("left ")}
    rights = {site.name for site in atlas.sites if site.name.startswith("right ")}
    one_sided = {"right middle lobe", "right atrium"}
    assert {name.removeprefix("left ") for name in lefts} == {n.removeprefix("right ") for n in rights - one_sided}


def test_zones_overlap_both_ways(atlas):
    zones = atlas.vocabulary.zones
    assert all(name in zones[other].overlaps for name, terms in zones.items() for other in terms.overlaps)
    assert not atlas.vocabulary.overlap("apical", "basal")


def test_an_edited_copy_loads(tmp_path, atlas):
    copy = tmp_path / "mine.yaml"
    shutil.copy(ATLAS_PATH, copy)
    assert load_atlas(copy) == atlas
    assert load_atlas(write(tmp_path, SMALL)).finding["opacity"].sites == ("left lung", "right lung")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed("findings", 0, sites=["left lungg", "right lung"]), "'opacity' names the unknown site 'left lungg'"),
        (changed("findings", 0, sites=["left lung"]), "'opacity' has sites on the left side only"),
        (changed("findings", 0, about="spot left by a scar"), "'opacity' has 'left' or 'right' in its line `about`"),
        (changed("findings", 0, source=None), "findings > 'opacity' > source: Field required"),
        (changed("findings", 0, source=[]), "findings > 'opacity' > source"),
        (changed("findings", 0, source=["boook"]), "'opacity' has the unknown source 'boook'"),
        (changed("findings", 0, synonyms=["Opacities"]), "'opacity' is used 2 times"),
        (changed("findings", 0, synonyms=["left lung"]), "'left lung' is used 2 times"),
        (changed("findings", 0, synonyms=["?!"]), "has no letters"),
        (changed("findings", 0, sites=[]), "findings > 'opacity' > sites"),
        (changed("findings", 0, colour="white"), "findings > 'opacity' > colour"),
        (changed("findings", 0, name=None), "findings > 'number 1' > name: Field required"),
        (changed("sites", 0, part_of="left lung"), "is part of itself"),
        (changed("sites", 0, part_of="body"), "'lungs' is part of the unknown site 'body'"),
        (changed("sites", 0, side="middle"), "sites > 'lungs' > side"),
        (changed("sites", 1, zone="upper"), "'left lung' lies in the unknown zone 'upper'"),
        (changed("zones", 0, overlaps=["upper"]), "'lower' overlaps the unknown zone 'upper'"),
        (SMALL | {"schema": "knowmvg.atlas/9"}, "schema"),
        (SMALL | {"sites": ["lung"]}, "sites"),
        (SMALL | {"sites": "lung"}, "sites"),
        (SMALL | {"findings": None}, "findings"),
        ([1, 2], "valid dictionary"),
        ("", "valid dictionary"),
        ("sites: [", "while parsing"),
        ("a: &x [1]\nb: *x\n", "alias"),
        ("a: 2020-13-45", "month must be in"),
        ("!!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_a_wrong_atlas_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(KnowledgeError) as caught:
        load_atlas(write(tmp_path, content))
    assert message in caught.value.got + caught.value.expected


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(KnowledgeError, match="No such file"):
        load_atlas(tmp_path / "none.yaml")
    with pytest.raises(KnowledgeError, match="directory"):
        load_atlas(tmp_path)
    with pytest.raises(KnowledgeError, match="bytes at"):
        load_atlas(write(tmp_path, "#" * (2**20 + 1)))
    (tmp_path / "latin.yaml").write_bytes(b"about: \xe9")
    with pytest.raises(KnowledgeError, match="UTF-8"):
        load_atlas(tmp_path / "latin.yaml")
