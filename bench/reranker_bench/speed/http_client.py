"""A client of a server over HTTP/1.1, with a connection of its own.

Requests are encoded beforehand and responses are not parsed, so that the clients take little of
the CPU that they may share with the server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from reranker.errors import InvalidRequest, RerankerError
from reranker_bench.speed.closed_loop import STAMP, next_stamp

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Attributes:
        host: name or IP address.
        port: of TCP.
        tls: whether the connection is encrypted.
        path: prefix of all paths.
        headers: sent with every request.
    """

    host: str
    port: int
    tls: bool = False
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str, api_key: str | None = None) -> Address:
        """Read a base address such as "http://127.0.0.1:8000".

        Raises:
            InvalidRequest: the text is none.
        """
        parts = urlsplit(url)
        try:
            port = parts.port or _PORTS[parts.scheme]
        except (KeyError, ValueError) as error:
            raise InvalidRequest(f"{url}: write an address like http://127.0.0.1:8000") from error
        if not parts.hostname:
            raise InvalidRequest(f"{url}: write an address like http://127.0.0.1:8000")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        return cls(parts.hostname, port, parts.scheme == "https", parts.path.rstrip("/"), headers)

    def encode(self, path: str, body: Mapping[str, Any]) -> bytes:
        """Return a POST request as bytes; `STAMP` in the body stays as it is."""
        content = json.dumps(body).encode()
        headers = {
            "Host": f"{self.host}:{self.port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            **self.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path}{path} HTTP/1.1\r\n{head}\r\n".encode() + content


class HttpClient:
    """A closed-loop client; see `closed_loop.Client`."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes, stamp: str) -> str | None:
        """Send a request; the next one opens another connection if this one broke."""
        try:
            status, _ = await self.exchange(request.replace(STAMP.encode(), stamp.encode()))
        except (OSError, EOFError, ValueError) as error:
            self.close()
            return type(error).__name__
        return None if status == "200" else status

    async def exchange(self, request: bytes) -> tuple[str, bytes]:
        """Send a request; return the response's status and body.

        Raises:
            OSError: there is no connection.
            EOFError: it ended early.
            ValueError: the response has no length.
        """
        address = self._address
        self._connection = self._connection or await asyncio.open_connection(
            address.host, address.port, ssl=address.tls or None
        )
        reader, writer = self._connection
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        if "content-length" not in headers:
            raise ValueError("the response has no length")
        return first.split()[1], await reader.readexactly(int(headers["content-length"]))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None


def ask(address: Address, request: bytes) -> Any:
    """Send one request; return the JSON of its response.

    Raises:
        RerankerError: the server cannot be reached, or responds with an error.
    """

    async def once() -> tuple[str, bytes]:
        client = HttpClient(address)
        try:
            return await client.exchange(request.replace(STAMP.encode(), next_stamp().encode()))
        finally:
            client.close()

    where = f"{address.host}:{address.port}"
    try:
        status, body = asyncio.run(once())
    except (OSError, EOFError, ValueError) as error:
        raise RerankerError(f"{where} gives no response: {error}") from error
    if status != "200":
        raise RerankerError(f"{where}: status {status}: {body.decode('utf-8', 'replace')[:500]}")
    return json.loads(body)
