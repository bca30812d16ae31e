"""Which endpoint may be asked about which data.

Credentialed data (MIMIC-CXR and what is made from it) may not be sent to third parties, online language models among
them (PhysioNet, physionet.org/news/post/llm-responsible-use, 2025). They are refused to every endpoint but one in the
user's own network, and to that one until the user confirms that it is the user's own.

The host is looked up once, before the first question; whoever runs the name server of a private name is trusted.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from knowmvg.core.errors import EndpointError

RULE = "PhysioNet's rules forbid to send credentialed data to third parties, online models among them"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked endpoint. ``url`` is the base, as ``http://localhost:8000/v1``; ``key`` is never shown."""

    url: str
    model: str
    private: bool
    key: str | None = field(default=None, repr=False)


def is_credentialed(folder: Path) -> bool | None:
    """What ``dataset.json`` says of a folder's data; ``None`` where it says nothing. Simulated data are not."""
    try:
        content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    if isinstance(content.get("credentialed"), bool):
        return bool(content["credentialed"])
    return False if content.get("schema") == "knowmvg.dataset/1" else None


def allowed_endpoint(
    url: str, model: str, key: str | None, *, credentialed: bool | None, confirmed_own: bool = False
) -> Endpoint:
    """The endpoint, where it may be asked.

    Args:
        url: base of an OpenAI-compatible interface, without ``/chat/completions``.
        model: name that the endpoint knows.
        key: sent as a bearer token.
        credentialed: whether the data are; ``None``, not known, counts as yes.
        confirmed_own: the user says that the endpoint is the user's own.

    Raises:
        EndpointError: no such URL, or an endpoint that is not allowed for these data or this key.
    """
    try:
        parts = urlsplit(url)
        host, _, _ = parts.hostname, parts.port, httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL) as error:
        raise _no_url() from error
    if (
        not url.isprintable()
        or " " in url
        or parts.scheme not in ("http", "https")
        or not host
        or parts.query
        or parts.fragment
    ):
        raise _no_url()
    if parts.username is not None or parts.password is not None:
        todo = "Put the key into an environment variable."
        raise EndpointError("an endpoint without a name or password in its URL", "one with them", todo)
    if not model.strip():
        raise EndpointError("a model's name", "none", "Give --model NAME.")
    if key is not None and not (key.isascii() and key.isprintable()):
        raise EndpointError("a key of printable ASCII characters", "another one", "Check the environment variable.")
    private = is_private(host)
    if credentialed is not False:
        _refuse_third_parties(host, private, confirmed_own, known=credentialed is not None)
    if key is not None and not private and parts.scheme != "https":
        raise EndpointError("https, as a key is sent", f"http to {host}", "Name the endpoint with https.")
    return Endpoint(url.rstrip("/").removesuffix("/chat/completions"), model, private, key)


def is_private(host: str) -> bool:
    """Whether every address of a host is the machine itself or in a private network (RFC 1918, RFC 4193)."""
    try:
        addresses = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    found = [ipaddress.ip_address(address) for address in addresses]
    return bool(found) and all(_is_own(address) for address in found)


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_link_local or (address.is_reserved and not address.is_loopback):
        return False
    return address.is_loopback or any(
        address.version == network.version and address in network for network in _OWN_NETWORKS
    )


_OWN_NETWORKS = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))


def _refuse_third_parties(host: str, private: bool, confirmed: bool, *, known: bool) -> None:
    what = "credentialed data" if known else "data of unknown origin, which count as credentialed"
    if not private:
        todo = f"{RULE}: name a model that runs on your own machines, or leave --endpoint out: templates work offline."
        raise EndpointError(f"an endpoint in your own network for {what}", host, todo)
    if not confirmed:
        todo = f"{RULE}: say --own-endpoint if it is yours and keeps nothing."
        raise EndpointError(f"a confirmed endpoint for {what}", f"{host}, not confirmed", todo)


def _no_url() -> EndpointError:
    return EndpointError("the base URL of an endpoint", "something else", "For example http://localhost:8000/v1.")
