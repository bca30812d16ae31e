"""The REST API against a local server with the published answers' form: asked seldom, tried again, never told on."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from knowmvg.core.errors import KnowledgeError, OutputError
from knowmvg.core.records import Phrase
from knowmvg.knowledge.ontology import load_atlas
from knowmvg.knowledge.umls import rest_client
from knowmvg.knowledge.umls.graph import build_umls_graph
from knowmvg.knowledge.umls.locate import locate
from knowmvg.knowledge.umls.relations import LOCATING, Kind
from knowmvg.knowledge.umls.rest import RestConcepts
from knowmvg.knowledge.umls.rest_client import TRIES, RestClient, cache_for, key_from

KEY = "secret-key-0001"
# CUI to name, types, links (RELA, address behind /content/2099AA), definitions: all invented
CONCEPTS = {
    "C9000001": (
        "Pleural effusion",
        ["T047"],
        [("has_finding_site", "source/SNOMEDCT_US/111"), ("isa", "CUI/C9000003")],
        [],
    ),
    "C9000002": ("Effusion sign", ["T033"], [("isa", "CUI/C9000001"), ("inverse_isa", "CUI/C9000001")], []),
    "C9000003": ("Fluid disorder", ["T047"], [("has_location", "AUI/A9000012")], []),
    "C9000011": ("Pleural cavity", ["T030"], [("finding_site_of", "source/SNOMEDCT_US/999")], ["A gap."]),
    "C9000012": ("Chest", ["T029"], [], []),
}
CODES = {"111": "C9000011"}
ATOMS = {"A9000012": "C9000012"}


class Server:
    """What the published pages say that the API answers; remembers its questions, and fails when told."""

    def __init__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                split = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(split.query).items()}
                outer.asked.append((split.path, query))
                status, body, headers = outer.failures.pop(0) if outer.failures else outer.answer(split.path, query)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.asked, self.failures = [], []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/rest"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, path, query):
        if query.get("apiKey") != KEY:
            return 401, b"", {}
        found = self.result(path.removeprefix("/rest/").split("/"), query)
        if found is None:
            return 404, b'{"name": "NotFoundError"}', {}
        content = {"pageSize": 25, "pageNumber": int(query.get("pageNumber", 1)), **found}
        return 200, json.dumps(content).encode(), {"Content-Type": "application/json"}

    def result(self, path, query):
        match path:
            case ["search", _]:
                return {"result": {"classType": "searchResults", "results": self.search(query)}}
            case ["content", _, "AUI", aui] if aui in ATOMS:
                return {"result": {"classType": "Atom", "ui": aui, "concept": self.address(f"CUI/{ATOMS[aui]}")}}
            case ["content", _, "CUI", cui] if cui in CONCEPTS:
                name, types, _, _ = CONCEPTS[cui]
                uris = [{"uri": f"{self.url}/semantic-network/2099AA/TUI/{tui}", "name": "T"} for tui in types]
                return {"result": {"classType": "Concept", "ui": cui, "name": name, "semanticTypes": uris}}
            case ["content", _, "CUI", cui, "definitions"] if CONCEPTS.get(cui, ("",) * 4)[3]:
                return {"pageCount": 1, "result": [{"rootSource": "MSH", "value": text} for text in CONCEPTS[cui][3]]}
            case ["content", _, "CUI", cui, "relations"] if CONCEPTS.get(cui, ("",) * 4)[2]:
                wanted = query["includeAdditionalRelationLabels"].split(",")
                links = [link for link in CONCEPTS[cui][2] if link[0] in wanted]
                page = int(query["pageNumber"])  # one link a page
                result = [
                    {
                        "classType": "AtomClusterRelation",
                        "rootSource": "SNOMEDCT_US",
                        "relationLabel": "RO",
                        "additionalRelationLabel": rela,
                        "relatedFromId": self.address(f"CUI/{cui}"),
                        "relatedId": self.address(place),
                    }
                    for rela, place in links[page - 1 : page]
                ]
                return {"pageCount": len(links), "result": result} if links else None
        return None

    def search(self, query):
        if query.get("inputType") == "sourceUi":
            found = [CODES[query["string"]]] if query["string"] in CODES else []
        else:
            assert query["searchType"] == "normalizedString"
            found = [cui for cui, (name, *_) in CONCEPTS.items() if name.lower() == query["string"].lower()]
        entries = [{"ui": cui, "rootSource": "SNOMEDCT_US", "name": CONCEPTS[cui][0]} for cui in found]
        return entries or [{"ui": "NONE", "name": "NO RESULTS"}]

    def address(self, rest):
        return f"https://uts-ws.nlm.nih.gov/rest/content/2099AA/{rest}"


@pytest.fixture
def server():
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()
    made.thread.join()


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.now, self.slept = 100.0, []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def time(self):
        return self.now


@pytest.fixture
def connect(server, tmp_path):
    clients = []

    def run(key=KEY, url=None, clock=None, release="current", **options):
        clock = clock or Clock()
        cache = cache_for(tmp_path / "cache", release)
        client = RestClient(key, cache, base_url=url or server.url, sleep=clock.sleep, clock=clock.time)
        clients.append(client)
        return RestConcepts(client, version=release, **options)

    yield run
    for client in clients:
        client.close()


def test_lookup_name_types_and_definitions(connect):
    umls = connect()
    (match,) = umls.lookup("pleural effusion")
    assert (match.cui, match.name.text, match.types, match.anatomical) == (
        "C9000001",
        "Pleural effusion",
        ("T047",),
        False,
    )
    assert umls.lookup("nothing") == []
    assert umls.name("C9000011").text == "Pleural cavity"
    assert [(one.text, one.source) for one in umls.definitions("C9000011")] == [("A gap.", "MSH")]
    assert (umls.name("C9999999"), umls.types("C9999999"), umls.definitions("C9000012")) == (None, (), [])
    assert umls.release == "2099AA"


def test_links_are_read_forwards_over_all_pages(connect):
    umls = connect()
    every = umls.links("C9000001", tuple(Kind))
    assert [(link.kind, link.cui) for link in every] == [(Kind.FINDING_SITE, "C9000011"), (Kind.IS_A, "C9000003")]
    assert umls.links("C9000011", LOCATING) == []
    assert [link.cui for link in umls.links("C9000003", LOCATING)] == ["C9000012"]


def test_equation_3_and_the_graph_are_the_same_code(connect):
    umls = connect()
    assert [site.cui for site in locate("C9000001", umls)] == ["C9000011"]
    assert [(site.cui, site.hops) for site in locate("C9000002", umls)] == [("C9000011", 1)]
    graph = build_umls_graph([Phrase(text="pleural effusion")], load_atlas(), umls).graph
    assert {node.source for node in graph.nodes if node.kind == "site"} == {"UMLS 2099AA C9000011 UMLS"}
    assert {node.licence for node in graph.nodes} == {"UMLS"}


def test_answers_are_kept_and_asked_once(connect, server):
    connect().lookup("pleural effusion")
    asked = len(server.asked)
    connect().lookup("pleural effusion")
    connect().lookup("nothing")
    connect().lookup("nothing")
    assert len(server.asked) == asked + 1


def test_a_named_release_is_kept_for_ever_and_current_for_a_day(connect, server, monkeypatch):
    connect().lookup("nothing")
    connect(release="2099AA").lookup("nothing")
    asked, now = len(server.asked), rest_client.time.time()
    monkeypatch.setattr("knowmvg.knowledge.umls.rest_cache.time.time", lambda: now + 25 * 3600)
    connect(release="2099AA").lookup("nothing")
    assert len(server.asked) == asked
    connect().lookup("nothing")
    assert len(server.asked) == asked + 1


def test_a_damaged_answer_on_disk_is_asked_again(connect, server, tmp_path):
    connect().lookup("nothing")
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_text("{")
    connect().lookup("nothing")
    assert len(server.asked) == 2
    assert KEY not in entry.read_text()


def test_questions_are_no_faster_than_allowed(connect, server):
    clock = Clock()
    umls = connect(clock=clock)
    for number in range(21):
        umls.lookup(f"nothing {number}")
    assert clock.now - 100.0 == pytest.approx(20 / rest_client.REQUESTS_PER_SECOND)


def test_a_failing_server_is_asked_again_ever_later(connect, server):
    clock = Clock()
    server.failures = [(500, b"", {}), (503, b"", {}), (429, b"", {"Retry-After": "7"})]
    assert connect(clock=clock).lookup("nothing") == []
    assert clock.slept == [0.5, 1.0, 7.0]
    server.failures = [(500, b"", {})] * TRIES
    with pytest.raises(KnowledgeError, match="HTTP 500"):
        connect().lookup("something")
    assert len(server.asked) == 4 + TRIES


def test_a_server_that_is_not_there(connect, server):
    url = server.url
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(KnowledgeError, match="ConnectError"):
        connect(url=url).lookup("nothing")


@pytest.mark.parametrize(
    ("status", "body", "headers", "words"),
    [
        (401, b"", {}, "accepted"),
        (403, b"", {}, "accepted"),
        (400, b"", {}, "HTTP 400"),
        (302, b"", {"Location": "http://127.0.0.1:9/steal"}, "HTTP 302"),
        (200, b"<html>", {}, "JSON"),
        (200, b"[1]", {}, "an object"),
        (200, b'{"result": {"results": {}}}', {}, "a list"),
        (200, b'{"result": {"results": [{"ui": 3}]}}', {}, "text in ui"),
        (200, b"[" * 100_000, {}, "JSON"),
    ],
)
def test_odd_answers_are_errors_without_key_and_term(connect, server, status, body, headers, words):
    server.failures = [(status, body, headers)]
    with pytest.raises(KnowledgeError) as caught:
        connect().lookup("private term")
    assert words in caught.value.expected + caught.value.got
    assert len(server.asked) == 1
    assert not {KEY, "private"} & set(str(caught.value).replace("=", " ").split())
    assert caught.value.__cause__ is None


def test_an_endless_answer_is_cut(connect, server, monkeypatch):
    monkeypatch.setattr(rest_client, "MAX_ANSWER_BYTES", 100)
    server.failures = [(200, b"x" * 1000, {})]
    with pytest.raises(KnowledgeError, match="at most 100 bytes"):
        connect().lookup("nothing")


def test_neither_key_nor_term_is_logged(connect, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("httpx2", "httpcore2", "httpcore2.http11", "httpcore2.connection"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    connect().lookup("private term")
    assert KEY not in caplog.text
    assert "private" not in caplog.text
    logging.getLogger("httpx2").warning("others still log")
    assert "others still log" in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/rest",
        "ftp://127.0.0.1/rest",
        "127.0.0.1",
        "https://user:word@example.org/rest",
        "https://example.org/rest?x=1",
        "http://127.0.0.1.example.org/",
        "http://[::1",
        "",
    ],
)
def test_addresses_that_would_give_the_key_away_are_refused(tmp_path, url):
    with pytest.raises(KnowledgeError):
        RestClient(KEY, cache_for(tmp_path / "cache", "current"), base_url=url)


def test_addresses_in_answers_are_never_followed(connect, server):
    umls = connect()
    assert umls._cui_of("https://evil.example/steal") is None
    assert umls._cui_of("https://evil.example/rest/content/2099AA/AUI/A9000012") == "C9000012"
    assert {path for path, _ in server.asked} == {"/rest/content/current/AUI/A9000012"}


def test_key_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("UMLS_API_KEY", raising=False)
    with pytest.raises(KnowledgeError, match="UMLS_API_KEY"):
        key_from()
    monkeypatch.setenv("UMLS_API_KEY", f" {KEY}\n")
    assert key_from() == KEY
    with pytest.raises(KnowledgeError):
        RestClient(" ", cache_for(tmp_path, "current"))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        cache_for(tmp_path / "file", "current")


def test_chosen_vocabularies_are_asked_for(connect, server):
    connect(sources=("SNOMEDCT_US", "MSH")).lookup("pleural effusion")
    assert server.asked[0][1]["sabs"] == "MSH,SNOMEDCT_US"
