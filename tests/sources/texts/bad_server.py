"""A small OpenAI-compatible server that misbehaves as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler, dict[str, Any]], None]
MODEL = "small-model"


def completion(text: str | None, model: str = MODEL, finish: str = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return json.dumps({"object": "chat.completion", "model": model, "choices": [choice], **more}).encode()


def send(body: bytes, status: int = 200, headers: dict[str, str] | None = None, length: int | None = None) -> Reply:
    def reply(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def say(text: str | None, **more: Any) -> Reply:
    return send(completion(text, **more))


def hang(seconds: float) -> Reply:
    def reply(handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        time.sleep(seconds)

    return reply


def trickle(seconds: float) -> Reply:
    """One byte at a time, so that no single read takes long."""

    def reply(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)

    return reply


def cut(handler: BaseHTTPRequestHandler, _: dict[str, Any]) -> None:
    """The connection ends before a word."""
    handler.connection.close()


class BadServer:
    """Replies in order, the last one for ever; ``answer`` takes over where there is none left."""

    def __init__(self, replies: list[Reply], answer: Reply | None) -> None:
        self.replies, self.answer = replies, answer
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        self.url = ""

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            self.requests.append(request)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            last = len(self.replies) == 1 and self.answer is None
            reply = (self.replies[0] if last else self.replies.pop(0)) if self.replies else self.answer
        try:
            assert reply is not None
            assert handler.path == "/v1/chat/completions"
            reply(handler, request)
        except OSError:
            pass  # the client has left
        finally:
            with self._lock:
                self._now -= 1

    def questions(self) -> list[str]:
        return [request["messages"][-1]["content"] for request in self.requests]


@contextmanager
def serving(*replies: Reply, answer: Reply | None = None) -> Iterator[BadServer]:
    bad = BadServer(list(replies), answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bad.handle(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    bad.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield bad
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
