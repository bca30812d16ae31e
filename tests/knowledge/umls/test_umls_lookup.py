"""Terms are found whatever their case, plural and word order; the preferred vocabularies come first; 5 ms are kept."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowmvg.core.errors import KnowledgeError
from knowmvg.knowledge.umls.store import MAX_TERM, UmlsStore
from knowmvg.knowledge.umls.terms import normal_words, term_key

WORDS = st.lists(
    st.sampled_from(["lung", "effusion", "cavity", "lobe", "base", "mass", "apex"]), min_size=1, max_size=5
)


@given(WORDS, st.randoms(use_true_random=False))
def test_order_case_and_fillers_do_not_count(words, dice):
    mixed = list(words)
    dice.shuffle(mixed)
    other = " of the ".join(word.upper() if dice.random() < 0.5 else word.title() for word in mixed)
    assert term_key(other) == term_key(" ".join(words))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("effusions", "effusion"),
        ("masses", "mass"),
        ("cavities", "cavity"),
        ("bronchi", "bronchus"),
        ("pleurae", "pleura"),
        ("apices", "apex"),
        ("Crohn's disease", "crohn disease"),
        ("Lung, NOS", "lung"),
        ("Épanchement", "epanchement"),
        ("Left-sided effusion", "effusion left sided"),
    ],
)
def test_wordings_of_the_same_term(one, other):
    assert term_key(one) == term_key(other)


@pytest.mark.parametrize(("one", "other"), [("lung", "lungs base"), ("mass", "mas"), ("status", "statu"), ("", "of")])
def test_other_terms_stay_apart(one, other):
    assert normal_words(one) != normal_words(other)


def test_words_of_any_script_have_keys_and_signs_alone_have_none():
    assert term_key("胸水") not in (None, term_key("肺"))
    assert term_key("of the") is not None
    assert term_key(" ,;- ") is None


def test_a_key_is_the_same_in_every_version():
    # keys are stored: where this changes, KEY_VERSION must too
    assert (term_key("Pleural effusion"), term_key("lung")) == (-7750394919980884662, -3491648715851001735)


def test_lookup_gives_concept_name_and_types(release, opened):
    store = opened(release)
    (match,) = store.lookup("EFFUSIONS, pleural")
    assert (match.cui, match.name.text, match.types, match.anatomical) == (
        "C9000001",
        "Pleural effusion",
        ("T047",),
        False,
    )
    (other,) = store.lookup("hydrothorax")
    assert (other.name.text, other.matched.text, other.matched.source) == ("Pleural effusion", "Hydrothorax", "MSH")
    assert store.lookup("lungs")[0].anatomical
    assert store.lookup("nothing of the kind") == store.lookup("") == store.lookup("?!") == []


def test_ambiguous_terms_list_all_concepts_the_preferred_first(release, opened):
    release.concept("C9000021", "T047", "Shade, broad").name("C9000021", "Shade", sab="NCI", tty="SY")
    release.type("C9000022", "T033").name("C9000022", "Shade", sab="MSH", tty="MH")
    release.type("C9000023", "T033").name("C9000023", "Shade", sab="ZZZ", tty="PT")
    release.type("C9000024", "T033").name("C9000024", "Shades", tty="SY").name("C9000024", "Shade", tty="PT")
    found = opened(release).lookup("shade")
    assert [match.cui for match in found] == ["C9000024", "C9000022", "C9000021", "C9000023"]
    assert found[0].matched.term_type == "PT"
    assert found[2].name.text == "Shade, broad"


def test_a_concept_without_a_name_or_type_is_unknown(release, opened):
    store = opened(release)
    assert store.name("C9999999") is None
    assert store.types("C9999999") == ()
    assert store.links("C9999999", ()) == store.definitions("C9999999") == []
    with pytest.raises(KnowledgeError):
        store.name("9000001")


def test_a_text_is_no_term(release, opened):
    with pytest.raises(KnowledgeError) as caught:
        opened(release).lookup("x" * (MAX_TERM + 1))
    assert "xx" not in str(caught.value)


def test_two_terms_with_one_key_are_told_apart(release, opened):
    store = opened(release)
    path = store._connection.execute("PRAGMA database_list").fetchone()[2]
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE name SET key = ? WHERE text = 'Chest'", (term_key("lung"),))
    connection.close()
    assert [match.cui for match in store.lookup("lung")] == ["C9000014"]


@pytest.mark.parametrize("content", [None, b"", b"no database" * 1000])
def test_other_files_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(KnowledgeError):
        UmlsStore(tmp_path / "file")


def test_other_schemas_are_refused(release, opened, tmp_path):
    path = opened(release)._connection.execute("PRAGMA database_list").fetchone()[2]
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE about SET value = '"knowmvg.umls/0"' WHERE key = 'schema'""")
    connection.close()
    with pytest.raises(KnowledgeError, match=r"knowmvg\.umls/0"):
        UmlsStore(path)


def test_about_tells_release_licence_and_counts(release, opened):
    about = opened(release).about
    assert (about["release"], about["licence"], about["counts"]["concepts"]) == ("2099AA", "UMLS", 11)
    assert about["choice"] == {"languages": ["ENG"], "sources": [], "suppressed": False}
