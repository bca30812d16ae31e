"""A release becomes one database: what is kept, every container, every kind of end, and malformed rows by number."""

import gzip
import os
import signal
import zipfile

import pytest

from knowmvg.core.errors import KnowledgeError, OutputError
from knowmvg.knowledge.umls import importer, rows
from knowmvg.knowledge.umls.choice import Choice
from knowmvg.knowledge.umls.importer import import_release
from knowmvg.knowledge.umls.staging import Staging
from knowmvg.knowledge.umls.store import UmlsStore

FILES = ("MRCONSO.RRF", "MRREL.RRF", "MRDEF.RRF", "MRSTY.RRF")


def texts(path):
    with UmlsStore(path) as store:
        return {text for (text,) in store._connection.execute("SELECT text FROM name")}


@pytest.fixture
def plain(release, tmp_path):
    """The database of the plain release, as bytes."""
    import_release(release.write(tmp_path / "plain"), tmp_path / "plain.sqlite")
    return (tmp_path / "plain.sqlite").read_bytes()


def refused(folder, out, **options):
    """The error of an import that must leave nothing."""
    with pytest.raises(KnowledgeError) as caught:
        import_release(folder, out, **options)
    assert not list(out.parent.glob(f"{out.name}*"))
    return caught.value


def test_defaults_keep_english_that_is_not_suppressed(release, tmp_path):
    out = tmp_path / "umls.sqlite"
    done = import_release(release.write(tmp_path / "META"), out)
    kept = texts(out)
    assert {"Pleural effusion", "Hydrothorax"} <= kept
    assert not {"Derrame pleural", "Wet lung"} & kept
    assert done.release == "2099AA"
    assert done.rows == {file: len(release.rows[file]) for file in FILES}
    assert done.left_out == {"MRCONSO.RRF: other languages": 1, "MRCONSO.RRF: suppressed": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["META", "umls.sqlite"]


def test_choices_widen_and_narrow(release, tmp_path):
    folder = release.write(tmp_path / "META")
    import_release(folder, tmp_path / "all.sqlite", choice=Choice(("SPA", "ENG"), suppressed=True))
    assert {"Derrame pleural", "Wet lung"} <= texts(tmp_path / "all.sqlite")
    done = import_release(folder, tmp_path / "mesh.sqlite", choice=Choice(sources=("MSH", "RADLEX")))
    assert texts(tmp_path / "mesh.sqlite") == {"Hydrothorax"}
    assert done.warnings == ("no name of the vocabulary RADLEX is in the release",)


def test_definitions_are_in_the_languages_of_the_names(release, opened):
    release.name("C9000011", "Cavidad", lat="SPA", sab="SCTSPA").definition("C9000011", "Un hueco.", sab="SCTSPA")
    assert [one.text for one in opened(release).definitions("C9000011")] == ["A gap between two layers."]
    both = opened(release, choice=Choice(("ENG", "SPA")))
    assert {one.text for one in both.definitions("C9000011")} == {"A gap between two layers.", "Un hueco."}


@pytest.mark.parametrize(("languages", "sources"), [(("eng",), ()), ((), ()), (("ENG",), ("snomed ct",))])
def test_choices_are_checked(languages, sources):
    with pytest.raises(KnowledgeError):
        Choice(languages, sources)


def test_nothing_wanted_is_an_error(release, tmp_path):
    error = refused(release.write(tmp_path / "META"), tmp_path / "out.sqlite", choice=Choice(sources=("FMA",)))
    assert "FMA" in error.expected


def test_release_must_be_named(release, tmp_path):
    release.stated = None
    folder = release.write(tmp_path / "META")
    assert "--release" in refused(folder, tmp_path / "out.sqlite").todo
    refused(folder, tmp_path / "out.sqlite", name="2099 AA/..")
    assert import_release(folder, tmp_path / "out.sqlite", name="2099AB").release == "2099AB"


def test_windows_line_ends_and_byte_order_mark_change_nothing(release, plain, tmp_path):
    folder = release.write(tmp_path / "META", end="\r\n")
    (folder / "MRCONSO.RRF").write_bytes(b"\xef\xbb\xbf" + (folder / "MRCONSO.RRF").read_bytes())
    import_release(folder, tmp_path / "out.sqlite")
    assert (tmp_path / "out.sqlite").read_bytes() == plain


def test_row_order_and_repetition_change_no_answer(release, opened):
    before = opened(release).lookup("pleural effusion")
    for lines in release.rows.values():
        lines[:] = [*reversed(lines), lines[0]]
    assert opened(release).lookup("pleural effusion") == before


@pytest.mark.parametrize("container", ["gz", "parts", "zip", "zip of gz", "archives", "folder around"])
def test_containers_give_the_same_database(release, plain, tmp_path, container):
    folder = tmp_path / "copy"
    source = release.write(folder / "META" if container == "folder around" else folder)
    if container == "gz":
        for file in FILES:
            (source / f"{file}.gz").write_bytes(gzip.compress((source / file).read_bytes()))
            (source / file).unlink()
    if container == "parts":  # cut in the middle of a row, one part not compressed
        content = (source / "MRCONSO.RRF").read_bytes()
        (source / "MRCONSO.RRF").unlink()
        (source / "MRCONSO.RRF.aa.gz").write_bytes(gzip.compress(content[:100]))
        (source / "MRCONSO.RRF.ab").write_bytes(content[100:333])
        (source / "MRCONSO.RRF.ac.gz").write_bytes(gzip.compress(content[333:]))
    if container in ("zip", "zip of gz"):
        with zipfile.ZipFile(tmp_path / "release.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in source.iterdir():
                zipped = container == "zip of gz" and path.suffix == ".RRF"
                content = gzip.compress(path.read_bytes()) if zipped else path.read_bytes()
                archive.writestr(f"2099AA/META/{path.name}{'.gz' * zipped}", content)
        folder = tmp_path / "release.zip"
    if container == "archives":
        for number, file in enumerate(FILES):
            with zipfile.ZipFile(source / f"2099aa-{number}-meta.nlm", "w") as archive:
                archive.writestr(f"2099AA/META/{file}.gz", gzip.compress((source / file).read_bytes()))
                archive.writestr("2099AA/META/release.dat", (source / "release.dat").read_bytes())
            (source / file).unlink()
        (source / "release.dat").unlink()
    import_release(folder, tmp_path / "out.sqlite")
    assert (tmp_path / "out.sqlite").read_bytes() == plain


@pytest.mark.parametrize("file", FILES)
def test_missing_file_is_named(release, tmp_path, file):
    folder = release.write(tmp_path / "META")
    (folder / file).unlink()
    assert file in refused(folder, tmp_path / "out.sqlite").got


def test_no_release_at_all(tmp_path):
    refused(tmp_path / "nowhere", tmp_path / "out.sqlite")
    (tmp_path / "text").write_text("no archive")
    refused(tmp_path / "text", tmp_path / "out.sqlite")
    with zipfile.ZipFile(tmp_path / "full.zip", "w") as archive:
        archive.writestr("2099AA-full/2099aa-1-meta.nlm", b"")
    assert "Unpack" in refused(tmp_path / "full.zip", tmp_path / "out.sqlite").todo


def test_a_file_twice_or_with_a_gap_is_refused(release, tmp_path):
    folder = release.write(tmp_path / "META")
    (folder / "MRSTY.RRF.gz").write_bytes(gzip.compress(b""))
    assert "MRSTY.RRF.gz" in refused(folder, tmp_path / "out.sqlite").got
    (folder / "MRSTY.RRF").rename(folder / "MRSTY.RRF.ab")
    (folder / "MRSTY.RRF.gz").unlink()
    assert "complete" in refused(folder, tmp_path / "out.sqlite").expected


def test_links_out_of_the_folder_are_refused(release, tmp_path):
    folder = release.write(tmp_path / "META")
    (folder / "MRDEF.RRF").rename(tmp_path / "elsewhere.RRF")
    (folder / "MRDEF.RRF").symlink_to(tmp_path / "elsewhere.RRF")
    assert "MRDEF.RRF links" in refused(folder, tmp_path / "out.sqlite").got
    (tmp_path / "linked").symlink_to(release.write(tmp_path / "real"))
    import_release(tmp_path / "linked", tmp_path / "out.sqlite")  # the folder itself may be reached by a link


def spoil(line, how):
    return {
        "too few": line.split("|", 1)[1],
        "too many": line + "more|",
        "open end": line[:-1],
        "no cui": line.replace("C9", "X9"),
        "short cui": line.replace("C900", "C9"),
        "odd cui": line.replace("C9000", "C9_00"),
        "nul": line.replace("|", "\0|", 1),
        "latin": line.replace("|", "\udce9|", 1),
    }[how]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("how", ["too few", "too many", "open end", "no cui", "short cui", "odd cui", "nul", "latin"])
def test_malformed_rows_are_named(release, tmp_path, file, how):
    lines = release.rows[file]
    while len(lines) < 3:
        lines.append(lines[0])
    lines[2] = spoil(lines[2], how)
    folder = tmp_path / "META"
    release.rows[file], whole = [], release.rows[file]
    release.write(folder)
    (folder / file).write_bytes("".join(f"{line}\n" for line in whole).encode("utf-8", "surrogateescape"))
    error = refused(folder, tmp_path / "out.sqlite")
    assert f"row 3 of {file}" in str(error)
    assert "effusion" not in str(error).lower()  # the form, never the content


@pytest.mark.parametrize(
    ("file", "column", "value"), [("MRSTY.RRF", 1, "23"), ("MRCONSO.RRF", 16, ""), ("MRREL.RRF", 14, "X")]
)
def test_odd_values_are_named(release, tmp_path, file, column, value):
    fields = release.rows[file][1].split("|")
    fields[column] = value
    release.rows[file][1] = "|".join(fields)
    assert f"row 2 of {file}" in str(refused(release.write(tmp_path / "META"), tmp_path / "out.sqlite"))


def test_other_encodings_and_endless_rows(release, tmp_path, monkeypatch):
    folder = release.write(tmp_path / "META")
    (folder / "MRSTY.RRF").write_bytes(release.text("MRSTY.RRF").encode("utf-16"))
    assert "row 1 of MRSTY.RRF" in str(refused(folder, tmp_path / "out.sqlite"))
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 1000)
    (folder / "MRSTY.RRF").write_text(release.text("MRSTY.RRF") + "x" * 2000)
    number = len(release.rows["MRSTY.RRF"]) + 1
    assert f"row {number} of MRSTY.RRF" in str(refused(folder, tmp_path / "out.sqlite"))


@pytest.mark.parametrize("cut", [-1, -9, 30, 5])
def test_cut_gzip_is_an_error(release, tmp_path, cut):
    folder = release.write(tmp_path / "META")
    (folder / "MRREL.RRF.gz").write_bytes(gzip.compress(release.text("MRREL.RRF").encode())[:cut])
    (folder / "MRREL.RRF").unlink()
    assert "MRREL.RRF.gz" in refused(folder, tmp_path / "out.sqlite").expected


def test_damaged_archive_is_an_error(release, tmp_path):
    folder = release.write(tmp_path / "META")
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path)
    content = bytearray((tmp_path / "release.zip").read_bytes())
    content[content.index(b"Pleural effusion")] ^= 1
    (tmp_path / "release.zip").write_bytes(content)
    assert "damaged" in refused(tmp_path / "release.zip", tmp_path / "out.sqlite").got


def test_damaged_small_files_are_errors(release, tmp_path):
    folder = release.write(tmp_path / "META")
    (folder / "MRFILES.RRF.gz").write_bytes(gzip.compress(b"MRSTY.RRF|" * 100)[:-9])
    assert "MRFILES.RRF.gz" in refused(folder, tmp_path / "out.sqlite").got
    (folder / "MRFILES.RRF.gz").unlink()
    (folder / "release.dat").write_bytes(b"umls.release.name=\xff")
    assert "release.dat" in refused(folder, tmp_path / "out.sqlite").got


def test_mrfiles_is_believed(release, tmp_path):
    folder = release.write(tmp_path / "META")
    stated = "MRSTY.RRF|Semantic Types|{}|6|{}|1|\n"
    (folder / "MRFILES.RRF").write_text(stated.format("CUI,TUI,STN,STY,ATUI,CVF", 11))
    import_release(folder, tmp_path / "out.sqlite")
    (folder / "MRFILES.RRF").write_text(stated.format("CUI,TUI,STN,STY,ATUI,CVF", 12))
    error = refused(folder, tmp_path / "short.sqlite")
    assert ("12 rows in MRSTY.RRF" in error.expected, error.got) == (True, "11")
    (folder / "MRFILES.RRF").write_text(stated.format("TUI,CUI,STN,STY,ATUI,CVF", 11))
    assert "row 1 of MRFILES.RRF" in refused(folder, tmp_path / "other.sqlite").got
    (folder / "MRFILES.RRF").write_text("MRSTY.RRF|\n")
    assert "row 1 of MRFILES.RRF" in refused(folder, tmp_path / "other.sqlite").expected


@pytest.fixture
def small_blocks(monkeypatch):
    """A commit every few rows, so that a small release has many places to be interrupted at."""
    monkeypatch.setattr(rows, "BLOCK_BYTES", 300)
    monkeypatch.setattr(importer, "_COMMIT_BLOCKS", 1)


def killed_at(call, folder, out):
    """Runs an import in another process that kills itself when progress is told for the ``call``-th time."""
    child = os.fork()
    if child == 0:
        calls = iter(range(call))
        import_release(
            folder, out, progress=lambda *_: next(calls, None) is None and os.kill(os.getpid(), signal.SIGKILL)
        )
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("compressed", [False, True])
def test_killed_anywhere_and_taken_up_again(release, plain, tmp_path, small_blocks, compressed):
    folder = release.write(tmp_path / "META")
    if compressed:
        for file in FILES:
            (folder / f"{file}.gz").write_bytes(gzip.compress((folder / file).read_bytes()))
            (folder / file).unlink()
    calls = []
    import_release(folder, tmp_path / "whole.sqlite", progress=lambda *told: calls.append(told))
    assert len(calls) > 25
    for call in range(0, len(calls), 3):
        out = tmp_path / f"{call}.sqlite"
        assert killed_at(call, folder, out) == -signal.SIGKILL
        assert not out.exists()
        done = import_release(folder, out)
        assert out.read_bytes() == plain
        assert (done.resumed > 0) == (call > 0) or call < 3
        assert not list(tmp_path.glob(f"{call}.sqlite.*"))


def test_another_release_is_not_mixed_in(release, plain, tmp_path, small_blocks):
    folder, out = release.write(tmp_path / "META"), tmp_path / "out.sqlite"
    assert killed_at(5, folder, out) == -signal.SIGKILL
    with pytest.raises(KnowledgeError, match="--restart"):
        import_release(folder, out, choice=Choice(suppressed=True))
    with pytest.raises(KnowledgeError, match="--restart"):
        import_release(folder, out, name="2098AA")
    release.name("C9000050", "Something new").write(folder)
    with pytest.raises(KnowledgeError, match="--restart"):
        import_release(folder, out)
    release.rows["MRCONSO.RRF"].pop()
    import_release(release.write(folder), out, restart=True)
    assert out.read_bytes() == plain


def test_what_is_there_stays(release, tmp_path):
    folder, out = release.write(tmp_path / "META"), tmp_path / "out.sqlite"
    out.write_text("mine")
    with pytest.raises(OutputError):
        import_release(folder, out)
    assert out.read_text() == "mine"
    import_release(folder, out, overwrite=True)
    assert texts(out)
    with pytest.raises(OutputError):
        import_release(folder, tmp_path / "nowhere" / "out.sqlite")


def test_one_import_at_a_time(release, tmp_path):
    folder, out = release.write(tmp_path / "META"), tmp_path / "out.sqlite"
    with Staging.opened(tmp_path / "out.sqlite.partial"), pytest.raises(OutputError, match="locked"):
        import_release(folder, out)
    (tmp_path / "out.sqlite.partial").write_bytes(b"no database" * 100)
    with pytest.raises(KnowledgeError, match="--restart"):
        import_release(folder, out)
    import_release(folder, out, restart=True)
