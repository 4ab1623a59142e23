"""A hub of our own on this machine, with files that come as slowly and as badly as a test wants."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote


@dataclass
class Hub:
    """A server with files, which breaks off when told to."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: int | None = None
    """Bytes of an answer, once, or every time when it `always_breaks`."""
    always_breaks: bool = False
    heeds_if_range: bool = True
    begins_wrong: int = 0
    """Bytes by which a range begins too late."""
    moved: dict[str, str] = field(default_factory=dict)
    """Redirects: path to Location (none when empty)."""
    during: Callable[[], None] = lambda: None
    """Called before the bytes of a file are sent."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range) of every request for a file."""
    tokens: list[str | None] = field(default_factory=list)
    """What each request said about who asks."""

    def repository(self, name: str, files: dict[str, bytes], sha: str = "abc123") -> None:
        """Serve `files` as a repository at commit `sha`, hashes told for the weights."""
        rows: list[dict[str, Any]] = []
        for path, content in files.items():
            self.files[f"/{name}/resolve/{sha}/{quote(path)}"] = content
            rows.append({"rfilename": path, "size": len(content)})
            if path.endswith(".safetensors"):
                rows[-1]["lfs"] = {"sha256": hashlib.sha256(content).hexdigest()}
        self.files[f"/api/models/{name}"] = json.dumps({"sha": sha, "siblings": rows}).encode()


@contextlib.contextmanager
def served() -> Iterator[Hub]:
    """The server, as long as the context lasts."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, wanted = self.path.partition("?")[0], self.headers.get("Range")
            made.tokens.append(self.headers.get("Authorization"))
            if path in made.moved:
                self.send_response(302)
                if made.moved[path]:
                    self.send_header("Location", made.moved[path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if path not in made.files:
                self.send_error(404)
                return
            if not path.startswith("/api"):
                made.asked.append((path, wanted))
                made.during()
            content = made.files[path]
            tag = f'"{hashlib.sha256(content).hexdigest()}"'
            if made.heeds_if_range and self.headers.get("If-Range", tag) != tag:
                wanted = None
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
            if wanted:
                start += made.begins_wrong
            self.send_response(206 if wanted else 200)
            self.send_header("ETag", tag)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = made.breaks_after
            if not made.always_breaks:
                made.breaks_after = None
            with contextlib.suppress(ConnectionError):  # who asked has heard enough
                self.wfile.write(content[start:] if end is None else content[start : start + end])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    made = Hub(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()
