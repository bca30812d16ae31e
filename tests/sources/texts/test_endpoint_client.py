from __future__ import annotations

import json

import pytest

from knowmvg.core.errors import EndpointError
from knowmvg.sources.texts.endpoint.client import MAX_WAIT, ChatClient, Completion, Patience, _retry_after, same_model
from knowmvg.sources.texts.endpoint.guard import Endpoint, allowed_endpoint, is_credentialed, is_private
from tests.sources.texts.bad_server import MODEL, completion, cut, hang, say, send, serving, trickle

GOOD = "Small effusion."
QUESTION = [{"role": "user", "content": "Labels of Mrs Smith"}]


def ask(server, *, key=None, timeout=5.0, tries=3, pauses=None):
    pauses = [] if pauses is None else pauses
    endpoint = Endpoint(server.url, MODEL, True, key)
    with ChatClient(endpoint, Patience(timeout, tries), sleep=pauses.append) as client:
        return client.complete(QUESTION, {"temperature": 0.5})


def test_a_question_and_its_answer():
    with serving(say(GOOD)) as server:
        assert ask(server, key="secret") == Completion(GOOD, "stop")
    assert server.requests == [{"model": MODEL, "messages": QUESTION, "temperature": 0.5}]
    assert server.headers[0]["authorization"] == "Bearer secret"


def test_without_a_key_none_is_sent(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # a private endpoint is never asked through a proxy
    with serving(say(GOOD)) as server:
        ask(server)
    assert "authorization" not in server.headers[0]


@pytest.mark.parametrize(
    "bad",
    [
        send(b"", 429),
        send(b"", 500),
        send(b"{}", 503),
        send(b"<html>busy</html>"),
        send(completion(GOOD)[:40]),
        send(completion(GOOD)[:40], length=len(completion(GOOD))),
        send(b"[1]"),
        send(b"null"),
        send(b"[" * 100_000),
        send(b"\xff\xfe{}"),
        send(b"not gzip", headers={"Content-Encoding": "gzip"}),
        cut,
    ],
    ids=["429", "500", "503", "html", "cut json", "cut body", "array", "null", "deep", "bytes", "gzip", "closed"],
)
def test_what_may_pass_is_tried_again(bad):
    pauses: list[float] = []
    with serving(bad, bad, say(GOOD)) as server:
        assert ask(server, pauses=pauses).text == GOOD
        assert len(server.requests) == 3
    assert 0.5 <= pauses[0] <= 1.5
    assert 1.0 <= pauses[1] <= 3.0


@pytest.mark.parametrize("bad", [send(b"", 500), send(b"Mrs Smith"), cut])
def test_after_all_tries_the_error_says_what_came_and_quotes_nothing(bad):
    with serving(bad) as server, pytest.raises(EndpointError, match="3 times") as caught:
        ask(server, key="secret")
    assert "goes on" in caught.value.todo
    assert not {"Smith", "secret"} & set(str(caught.value).replace(".", " ").split())


@pytest.mark.parametrize("slow", [hang(1.0), trickle(2.0)], ids=["silent", "trickling"])
def test_a_slow_server_does_not_hold_the_work_up(slow):
    with serving(slow, say(GOOD)) as server:
        assert ask(server, timeout=0.3).text == GOOD


def test_a_flood_is_cut_off(monkeypatch):
    monkeypatch.setattr("knowmvg.sources.texts.endpoint.client.MAX_BODY_BYTES", 100)
    with serving(say("x" * 1000), say("ok")) as server, pytest.raises(EndpointError):
        ask(server, tries=1)


def test_the_server_says_how_long_to_wait():
    pauses: list[float] = []
    with serving(
        send(b"", 429, {"Retry-After": "7"}), send(b"", 503, {"Retry-After": "99999"}), say(GOOD)
    ) as server:  # fmt: skip
        ask(server, pauses=pauses)
    assert pauses == [7.0, MAX_WAIT]
    assert _retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert _retry_after("soon") is None
    assert _retry_after("-3") == 0.0


@pytest.mark.parametrize(
    ("status", "words"), [(400, "takes the request"), (401, "key"), (403, "key"), (404, "base URL"), (302, "302")]
)
def test_a_refusal_ends_at_once(status, words):
    with serving(send(b"Mrs Smith", status, {"Location": "http://127.0.0.1:9/v1"})) as server:
        with pytest.raises(EndpointError, match=words) as caught:
            ask(server)
        assert len(server.requests) == 1
    assert "Smith" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"choices": []},
        {"choices": None},
        {},
        {"choices": ["x"]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": 3}}]},
    ],
)
def test_an_answer_without_text_is_empty(body):
    with serving(send(json.dumps(body).encode())) as server:
        assert ask(server).text == ""


def test_another_model_is_refused():
    with serving(say(GOOD, model="other")) as server, pytest.raises(EndpointError, match="some of 'other'"):
        ask(server)


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("m", "m", True),
        ("gpt-x", "gpt-x-2026-01-02", True),
        ("org/M", "m", True),
        ("llama3", "llama3:latest", True),
        ("m", "/models/m.gguf", True),
        ("m", "mm", False),
        ("gpt-x-mini", "gpt-x", False),
    ],
)
def test_names_of_one_model(asked, answered, same):
    assert same_model(asked, answered) is same


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("192.168.0.9", True),
        ("172.20.0.1", True),
        ("8.8.8.8", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("172.33.0.1", False),
        ("2001:4860:4860::8888", False),
        ("::ffff:8.8.8.8", False),
        ("::ffff:127.0.0.1", True),
    ],
)
def test_private_hosts(host, private):
    assert is_private(host) is private


def test_a_name_counts_as_private_only_if_all_its_addresses_are(monkeypatch):
    def look_up(*addresses):
        infos = [(2, 1, 6, "", (address, 0)) for address in addresses]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_: infos)
        return is_private("box.example")

    assert look_up("10.0.0.1")
    assert not look_up("10.0.0.1", "8.8.8.8")
    assert not look_up()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: (_ for _ in ()).throw(OSError("no such name")))
    assert not is_private("gone.example")


PUBLIC, OWN = "https://8.8.8.8/v1", "http://127.0.0.1:8000/v1"


@pytest.mark.parametrize("credentialed", [True, None])
@pytest.mark.parametrize(
    ("url", "confirmed"), [(PUBLIC, False), (PUBLIC, True), (OWN, False), ("https://169.254.169.254/v1", True)]
)
def test_credentialed_data_are_refused(credentialed, url, confirmed):
    with pytest.raises(EndpointError, match="PhysioNet") as caught:
        allowed_endpoint(url, MODEL, None, credentialed=credentialed, confirmed_own=confirmed)
    assert "credentialed data" in str(caught.value) or "unknown origin" in str(caught.value)


def test_a_confirmed_own_endpoint_may_have_them_and_anyone_public_data():
    assert allowed_endpoint(OWN, MODEL, "k", credentialed=True, confirmed_own=True).private
    assert not allowed_endpoint(PUBLIC, MODEL, "k", credentialed=False).private
    assert allowed_endpoint(OWN + "/chat/completions", MODEL, None, credentialed=False).url == OWN


@pytest.mark.parametrize(
    "url",
    ["", "localhost:8000", "ftp://localhost/v1", "http://", "http://[::1", "http://a:b@localhost/v1",
     "http://localhost:99999/v1", "http://ex ample/v1", "http://localhost/v1?key=secret"],
)  # fmt: skip
def test_what_is_no_url_is_refused(url):
    with pytest.raises(EndpointError) as caught:
        allowed_endpoint(url, MODEL, None, credentialed=False)
    assert "secret" not in str(caught.value)


def test_a_key_goes_to_others_by_https_alone():
    with pytest.raises(EndpointError, match="https"):
        allowed_endpoint("http://8.8.8.8/v1", MODEL, "k", credentialed=False)
    with pytest.raises(EndpointError, match="printable"):
        allowed_endpoint(OWN, MODEL, "kéy", credentialed=False)
    assert "k" not in repr(Endpoint(OWN, "m", True, "secret")).split("key")[-1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, None),
        ("{", None),
        ("[]", None),
        ('{"credentialed": true}', True),
        ('{"credentialed": false}', False),
        ('{"credentialed": "no"}', None),
        ('{"schema": "knowmvg.dataset/1"}', False),
        ('{"schema": "knowmvg.dataset/1", "credentialed": true}', True),
    ],
)
def test_what_a_folder_says_of_its_data(content, told, tmp_path):
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    assert is_credentialed(tmp_path) is told
