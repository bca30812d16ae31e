"""The atlas: the shipped one is complete, and a wrong entry is named."""

import shutil

import pytest
import yaml

from knowmvg.core.errors import KnowledgeError
from knowmvg.core.records import Phrase, Side
from knowmvg.knowledge.lexicon import load_lexicon
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


def test_it_knows_every_finding_of_the_lexicon_by_its_name(atlas):
    assert set(load_lexicon().by_name()) <= set(atlas.finding)


# Labels of public data sets, without "No finding", "Other lesion" and "Other disease" (names from their papers).
LABELS = {
    "MS-CXR": (
        "Cardiomegaly, Lung Opacity, Edema, Consolidation, Pneumonia, Atelectasis, Pneumothorax, Pleural Effusion"
    ),
    "ChestX-ray14": (
        "Atelectasis, Cardiomegaly, Consolidation, Edema, Effusion, Emphysema, Fibrosis, Hernia, Infiltration, Mass, "
        "Nodule, Pleural_Thickening, Pneumonia, Pneumothorax, Infiltrate"
    ),
    "CheXpert": "Enlarged Cardiomediastinum, Cardiomegaly, Lung Opacity, Lung Lesion, Edema, Consolidation, Pneumonia, "
    "Atelectasis, Pneumothorax, Pleural Effusion, Fracture",
    "VinDr-CXR": (
        "Aortic enlargement, Atelectasis, Calcification, Cardiomegaly, Clavicle fracture, Consolidation, Edema, "
        "Emphysema, Enlarged PA, ILD, Infiltration, Lung cavity, Lung cyst, Lung Opacity, Mediastinal shift, "
        "Nodule/Mass, Pleural effusion, Pleural thickening, Pneumothorax, Pulmonary fibrosis, Rib fracture, COPD, "
        "Lung tumor, Pneumonia, Tuberculosis"
    ),
    "PadChest-GR": (
        "pleural effusion, cardiomegaly, infiltrates, interstitial pattern, nodule, laminar atelectasis, alveolar "
        "pattern, scoliosis, aortic elongation, aortic atheromatosis, costophrenic angle blunting, kyphosis, "
        "vertebral degenerative changes, COPD signs, pleural thickening, apical pleural thickening, calcified "
        "granuloma, fibrotic band, volume loss, hilar enlargement, vascular hilar enlargement, hemidiaphragm "
        "elevation, hiatal hernia, bronchiectasis, increased density, pacemaker, NSG tube, endotracheal tube, central "
        "venous catheter, sternotomy, suture material, goiter, gynecomastia, osteosynthesis material, pseudonodule, "
        "nipple shadow, mastectomy, air trapping, callus rib fracture, superior mediastinal enlargement, tracheal "
        "shift, ground glass pattern, miliary opacities, reticular interstitial pattern, cavitation, bullas, "
        "hypoexpansion, flattened diaphragm, azygos lobe, lobar collapse, loculated pleural effusion, loculated "
        "fissural effusion, hydropneumothorax, pneumomediastinum, dextrocardia, subcutaneous emphysema, dual chamber "
        "device, single chamber device, chest drain tube, tracheostomy tube"
    ),
}


@pytest.mark.parametrize("data_set", LABELS)
def test_it_reads_the_labels_of_public_data_sets(atlas, data_set):
    for label in LABELS[data_set].split(", "):
        read = {mention.finding for mention in atlas.vocabulary.read(Phrase(text=label.replace("_", " ")))}
        assert read, label
        assert len(read) == 1 + ("/" in label), (label, read)


def test_kinds_are_more_exact_than_the_stated_finding(atlas):
    def finding(text, stated):
        return [mention.finding for mention in atlas.vocabulary.read(Phrase(text=text, finding=stated))]

    assert finding("endotracheal tube in place", "tube") == ["endotracheal tube"]
    assert finding("healed rib fractures", "fracture") == ["rib fracture"]
    assert finding("patchy density", "lung opacity") == ["density"]
    assert finding("patchy consolidation", "pneumonia") == ["pneumonia"]
    assert atlas.more_general("calcified granuloma") == ("granuloma", "nodule", "lung lesion")


def test_terms_are_looked_up_by_any_name(atlas):
    assert atlas.look_up("Copd").name == "chronic obstructive pulmonary disease"
    assert atlas.look_up("AP window").name == "aortopulmonary window"
    assert atlas.look_up("left costophrenic sulcus").name == "left costophrenic angle"
    assert atlas.look_up("whatnot") is None
    assert "left lung base" in atlas.parts("left lower zone")


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
    assert roots == {"thorax", "upper abdomen", "neck"}
    for site in atlas.sites:
        around = [atlas.site[name].side for name in atlas.enclosing(site.name)]
        assert set(around) <= {site.side, None}, site.name
    assert atlas.enclosing("left lung base") == ("left lower zone", "left lung", "lungs", "thorax")


def test_paired_sites_mirror_each_other(atlas):
    sided = {side: {site.name for site in atlas.sites if site.side == side} for side in (Side.LEFT, Side.RIGHT)}
    mirrored = {name.replace("left", "right") for name in sided[Side.LEFT]}
    # What exists on one side only: lobes and segments that the other lung does not have, and single lines.
    assert mirrored - sided[Side.RIGHT] == {
        "lingula of the right lung",
        "apicoposterior segment of the right upper lobe",
        "aortopulmonary window",
    }
    assert sided[Side.RIGHT] - mirrored == {
        "right middle lobe",
        "lateral segment of the right middle lobe",
        "medial segment of the right middle lobe",
        "posterior segment of the right upper lobe",
        "horizontal fissure",
        "right paratracheal stripe",
    }


def test_zones_overlap_both_ways(atlas):
    zones = atlas.vocabulary.zones
    assert all(name in zones[other].overlaps for name, terms in zones.items() for other in terms.overlaps)
    assert not atlas.vocabulary.overlap("apical", "basal")


def test_a_problem_is_told_with_file_line_and_entry(tmp_path):
    copy = tmp_path / "mine"
    shutil.copytree(ATLAS_PATH, copy)
    findings = copy / "findings.yaml"
    text = findings.read_text(encoding="utf-8")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith("  - name: mass"))
    for wrong, right, problem in (
        (
            "<side> lung, <side> upper lobe, <side> lower lobe, <side> hilumm",
            "<side> hilum",
            "unknown site 'left hilumm'",
        ),
        ("[pacer, mass lesion]", "[lung mass, pulmonary mass, mass lesion]", "'pacer' is used 2 times"),
        ("is_a: lung lesionn", "is_a: lung lesion", "unknown finding 'lung lesionn'"),
    ):
        start = text.index("  - name: mass")
        findings.write_text(text[:start] + text[start:].replace(right, wrong, 1), encoding="utf-8")
        with pytest.raises(KnowledgeError) as caught:
            load_atlas(copy)
        assert problem in caught.value.got
        assert f"findings.yaml, line {line}" in caught.value.got or "devices.yaml, line" in caught.value.got
    findings.write_text(text.replace("    about: rounded white lesion over 3 cm\n", ""), encoding="utf-8")
    with pytest.raises(KnowledgeError, match=rf"'mass' > about: Field required \(findings.yaml, line {line}\)"):
        load_atlas(copy)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "0 in"),
        ({"a.yaml": {"schema": "knowmvg.atlas/1"}, "b.yaml": {"schema": "knowmvg.atlas/9"}}, "'knowmvg.atlas/9' in"),
        ({"a.yaml": SMALL, "b.yaml": {"sources": {"book": "Another"}}}, "'book' again in"),
        ({"a.yaml": SMALL, "b.yaml": ["opacity"]}, "another content in"),
        ({"a.yaml": SMALL, "b.yaml": {"devices": "tube"}}, "str"),
        ({"a.yaml": SMALL, "b.yaml": {"sources": ["book"]}}, "list"),
        ({"a.yaml": SMALL, "b.yaml": {"colours": ["red"]}}, "colours"),
        ({"a.yaml": SMALL, "b.yaml": {"devices": [{"name": "tube", "colour": "red"}]}}, "(b.yaml, line 2)"),
    ],
)
def test_parts_that_do_not_fit_together(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    with pytest.raises(KnowledgeError) as caught:
        load_atlas(tmp_path)
    assert message in caught.value.got


def test_parts_are_joined(tmp_path):
    tube = {"name": "tube", "about": "a tube", "sites": ["lungs"], "source": ["book"], "is_a": "opacity"}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(SMALL), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({"devices": [tube]}), encoding="utf-8")
    atlas = load_atlas(tmp_path)
    assert {entry.name: entry.kind for entry in atlas.findings} == {"opacity": "finding", "tube": "device"}


def test_an_edited_copy_loads(tmp_path, atlas):
    copy = tmp_path / "mine"
    shutil.copytree(ATLAS_PATH, copy)
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
        (changed("findings", 0, is_a="opacity"), "finding 'opacity' is a kind of itself"),
        (changed("findings", 0, is_a="whatnot"), "'opacity' is a kind of the unknown finding 'whatnot'"),
        (changed("findings", 0, name="<side> opacity"), "String should match pattern"),
        ("schema: a\nschema: b\n", "'schema' twice"),
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
    with pytest.raises(KnowledgeError, match="bytes at"):
        load_atlas(write(tmp_path, "#" * (2**20 + 1)))
    (tmp_path / "latin.yaml").write_bytes(b"about: \xe9")
    with pytest.raises(KnowledgeError, match="UTF-8"):
        load_atlas(tmp_path / "latin.yaml")
