"""A Hugging Face Hub on the loopback: models and data sets from memory, for the unmodified clients.

It answers what `huggingface_hub`, `datasets`, `transformers` and `sentence-transformers` ask to download: facts about
a repository, lists of its files, and the files, each at a revision.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

Kind = Literal["models", "datasets"]
Files = dict[str, bytes]


class Hub:
    """Repositories and the server that offers them.

    Attributes:
        requests: paths asked for so far.
    """

    def __init__(self) -> None:
        self._repositories: dict[tuple[Kind, str], dict[str, Files]] = {}
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.requests: list[str] = []
        self.start()

    @property
    def url(self) -> str:
        """Where the clients find it: the value of `HF_ENDPOINT`."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make the clients use it; they are read when the clients are imported."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_none"}

    def start(self) -> None:
        """Listen, on the port of the time before."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop listening: the Hub cannot be reached."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def add_model(self, name: str, folder: Path, *, revision: str = "main") -> None:
        """Offer the files of a folder as a model."""
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self._add("models", name, files, revision)

    def add_parallel_sentences(
        self,
        name: str,
        splits: Mapping[str, Mapping[str, Sequence[tuple[str, ...]]]],
        *,
        columns: tuple[str, ...] = ("english", "non_english"),
        revision: str = "main",
    ) -> None:
        """Offer a data set laid out as sentence-transformers/parallel-sentences-talks is.

        Args:
            name: owner and name.
            splits: configuration (such as en-uk) → split → rows of texts.
            columns: names of the columns.
            revision: branch or tag.
        """
        tables = {
            config: {
                split: {column: [row[i] for row in rows] for i, column in enumerate(columns)}
                for split, rows in by_split.items()
            }
            for config, by_split in splits.items()
        }
        self.add_dataset(name, tables, revision=revision)

    def add_dataset(
        self, name: str, splits: Mapping[str, Mapping[str, Mapping[str, Sequence[Any]]]], *, revision: str = "main"
    ) -> None:
        """Offer a data set in parquet.

        Args:
            name: owner and name.
            splits: configuration → split → column → values.
            revision: branch, tag or commit.
        """
        files: Files = {}
        configs = []
        for config, by_split in splits.items():
            data_files = []
            for split, table in by_split.items():
                files[f"{config}/{split}-00000-of-00001.parquet"] = _parquet(table)
                data_files.append({"split": split, "path": f"{config}/{split}-*"})
            configs.append({"config_name": config, "data_files": data_files})
        front_matter = json.dumps({"language": ["en"], "configs": configs}, indent=1)  # JSON is YAML
        files["README.md"] = f"---\n{front_matter}\n---\n# {name}\n".encode()
        self._add("datasets", name, files, revision)

    def add_conversion(self, name: str, splits: Mapping[str, Mapping[str, Mapping[str, Sequence[Any]]]]) -> None:
        """Offer a data set as the Hub converts those that come with a loading script, which clients no longer run.

        Args:
            name: owner and name.
            splits: configuration → split → column → values.
        """
        script = f"{name.split('/')[1]}.py"
        self._add("datasets", name, {"README.md": b"---\nlanguage: [en]\n---\n", script: b"raise OSError"}, "main")
        files = {
            f"{config}/{split}/0000.parquet": _parquet(table)
            for config, by_split in splits.items()
            for split, table in by_split.items()
        }
        self._add("datasets", name, files, "refs/convert/parquet")

    def _add(self, kind: Kind, name: str, files: Files, revision: str) -> None:
        self._repositories.setdefault((kind, name), {})[revision] = files

    def find(self, kind: Kind, name: str, revision: str) -> tuple[str, Files] | str:
        """Return commit and files of a repository at a branch, tag or commit, or the Hub's code for what is missing."""
        revisions = self._repositories.get((kind, name))
        if revisions is None:
            return "RepoNotFound"
        for other, files in revisions.items():
            commit = hashlib.sha1(f"{kind}/{name}@{other}".encode()).hexdigest()
            if revision in (other, commit):
                return commit, files
        return "RevisionNotFound"


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or an answer's body waits 40 ms for the client to acknowledge its headers
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        self.hub.requests.append(self.path)

    def _answer(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = parse_qs(url.query) | (json.loads(body) if "json" in self.headers.get("Content-Type", "") else {})
        query |= parse_qs(body.decode()) if "urlencoded" in self.headers.get("Content-Type", "") else {}
        match [unquote(part) for part in url.path.strip("/").split("/")]:
            case ["api", ("models" | "datasets") as kind, owner, name, *rest]:
                operation, revision, *inside = rest or ["revision", "main"]
                self._facts(kind, f"{owner}/{name}", operation, revision, "/".join(inside), query)
            case ["datasets", owner, name, "resolve", revision, *path]:
                self._file("datasets", f"{owner}/{name}", revision, "/".join(path))
            case [owner, name, "resolve", revision, *path]:
                self._file("models", f"{owner}/{name}", revision, "/".join(path))
            case _:
                self._missing("EntryNotFound")

    def _facts(
        self, kind: Kind, name: str, operation: str, revision: str, inside: str, query: Mapping[str, Any]
    ) -> None:
        found = self.hub.find(kind, name, revision)
        if isinstance(found, str):
            return self._missing(found)
        commit, files = found
        if operation == "revision":
            siblings = [{"rfilename": path} for path in files]
            facts = {"id": name, "sha": commit, "private": False, "gated": False, "disabled": False, "tags": []}
            return self._json({**facts, "downloads": 0, "likes": 0, "siblings": siblings})
        if operation == "tree":
            paths = [path for path in files if not inside or path.startswith(f"{inside}/")]
            if not paths:
                return self._missing("EntryNotFound")
            if "true" not in [value.lower() for value in query.get("recursive", [])]:
                depth = inside.count("/") + 1 if inside else 0
                paths = list(dict.fromkeys("/".join(path.split("/")[: depth + 1]) for path in paths))
            return self._json([_entry(path, files) for path in paths])
        if operation == "paths-info":
            folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
            return self._json([_entry(path, files) for path in query["paths"] if path in files or path in folders])
        return self._missing("EntryNotFound")

    def _file(self, kind: Kind, name: str, revision: str, path: str) -> None:
        found = self.hub.find(kind, name, revision)
        if isinstance(found, str):
            return self._missing(found)
        commit, files = found
        if path not in files:
            return self._missing("EntryNotFound")
        content, status, headers = files[path], 200, {}
        if (asked := self.headers.get("Range", "")).startswith("bytes="):
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        headers |= {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha256(files[path]).hexdigest()}"'}
        self._send(status, content, {**headers, "Accept-Ranges": "bytes"})

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _missing(self, code: str) -> None:
        self._send(404, b'{"error": "not found"}', {"X-Error-Code": code, "X-Error-Message": "not found"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _parquet(table: Mapping[str, Sequence[Any]]) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.table({column: list(values) for column, values in table.items()}), content)
    return content.getvalue()


def _entry(path: str, files: Files) -> dict[str, Any]:
    """Return what the Hub says of one file or folder."""
    if path not in files:
        return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}
    oid = hashlib.sha1(files[path]).hexdigest()
    return {"type": "file", "path": path, "oid": oid, "size": len(files[path])}
