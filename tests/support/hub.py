"""A hub on the loopback interface: the few answers that downloading a snapshot asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves one folder as the repo `org/tiny`, at the revisions `COMMIT` and `main`.

    `cut_off` names a file of which only half is sent before the connection breaks.
    `asked` lists the paths that were asked for.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.cut_off: str | None = None
        self.asked: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def names(self) -> list[str]:
        return sorted(
            str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()
        )

    def downloads(self) -> list[str]:
        return [
            path.rpartition(f"{COMMIT}/")[2] for path in self.asked if path.startswith("GET /org")
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        if path in (f"/api/models/org/tiny/revision/{rev}" for rev in (COMMIT, "main")):
            siblings = [{"rfilename": name} for name in self.server.names]
            info = {"id": "org/tiny", "modelId": "org/tiny", "sha": COMMIT, "siblings": siblings}
            self._send(json.dumps(info).encode(), {"Content-Type": "application/json"}, body)
            return
        if path == f"/api/models/org/tiny/tree/{COMMIT}":
            files = [
                {
                    "type": "file",
                    "path": name,
                    "size": (self.server.folder / name).stat().st_size,
                    "oid": _digest(self.server.folder / name)[:40],
                }
                for name in self.server.names
            ]
            self._send(json.dumps(files).encode(), {"Content-Type": "application/json"}, body)
            return
        prefix = f"/org/tiny/resolve/{COMMIT}/"
        file = self.server.folder / path.removeprefix(prefix)
        if not path.startswith(prefix) or not file.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = file.read_bytes()
        etag = f'"{_digest(file)[:40]}"'
        cut = body and path.removeprefix(prefix) == self.server.cut_off
        self._send(data, {"ETag": etag, "X-Repo-Commit": COMMIT}, body, cut=cut)

    def _send(self, data: bytes, headers: dict[str, str], body: bool, cut: bool = False) -> None:
        self.send_response(200)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@contextmanager
def serve(folder: Path) -> Iterator[Hub]:
    """Run a hub in the background."""
    hub = Hub(folder)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
