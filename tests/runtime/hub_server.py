"""A local server that speaks the Hugging Face Hub's protocol as huggingface_hub's own client does: enough for models.

Repositories live in memory. Reading a private repository and every writing need the token. Large files take the route of
Git LFS: uploaded before the commit, which names their digest, and downloaded by a redirect.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_a_token_that_is_never_shown"  # noqa: S105 - of the local server
LARGE = (".onnx", ".npz")  # as in the .gitattributes that the Hub gives every new repository
LICENCES = ("apache-2.0", "mit", "cc-by-4.0", "other")


@dataclass
class Repository:
    """Branches and commits; each commit has all files."""

    private: bool
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, branch: str, changes: dict[str, bytes]) -> str:
        files = self.commits.get(self.branches.get(branch, ""), {}) | changes
        content = b"".join(name.encode() + hashlib.sha1(data).digest() for name, data in sorted(files.items()))  # noqa: S324
        oid = hashlib.sha1(content).hexdigest()  # noqa: S324 - as git does
        self.branches[branch], self.commits[oid] = oid, files
        return oid

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)


class Hub(ThreadingHTTPServer):
    """The server: `repositories` by name, `requests` as "METHOD path"."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.requests: list[str] = []
        self.objects: dict[str, bytes] = {}  # contents of large files by SHA-256

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def storage(self) -> str:
        """The same under another name: clients read the headers of a redirect to another host, and follow others."""
        return f"http://localhost:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def answer(self, status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def found(self, name: str) -> Repository | None:
        repository = self.server.repositories.get(name)
        return None if repository is None or (repository.private and not self.known) else repository

    def no_repository(self) -> None:
        self.answer(404 if self.known else 401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(f"{self.command} {path}")
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.resolve(*match.groups())
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
            repository = self.found(match[1])
            if repository is None:
                self.no_repository()
            else:
                self.answer(200, {"id": match[1], "private": repository.private, "sha": repository.branches.get("main")})
        elif path.startswith("/objects/"):
            self.answer(200, self.server.objects[path.removeprefix("/objects/")])
        else:
            self.answer(404, {"error": f"no {path}"})

    def do_PUT(self) -> None:
        """The content of a large file, by a signed address: without the token."""
        self.server.requests.append(f"PUT {self.path}")
        data, digest = self.rfile.read(int(self.headers["Content-Length"])), self.path.removeprefix("/objects/")
        if hashlib.sha256(data).hexdigest() == digest:
            self.server.objects[digest] = data
        self.answer(200 if digest in self.server.objects else 400)

    def batch(self, wanted: dict[str, Any]) -> None:
        """Where to put each large file; nothing for one that is here."""
        actions = {item["oid"]: {"upload": {"href": f"{self.server.url}/objects/{item['oid']}"}} for item in wanted["objects"]}
        known = self.server.objects
        objects = [item if item["oid"] in known else item | {"actions": actions[item["oid"]]} for item in wanted["objects"]]
        self.answer(200, {"transfer": "basic", "objects": objects}, Content_Type="application/vnd.git-lfs+json")

    def resolve(self, name: str, revision: str, file: str) -> None:
        repository = self.found(name)
        if repository is None:
            return self.no_repository()
        commit = repository.resolve(revision)
        if commit is None:
            return self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        data = repository.commits[commit].get(file)
        if data is None:
            return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        if (digest := hashlib.sha256(data).hexdigest()) in self.server.objects:
            linked = {"X_Linked_Size": str(len(data)), "X_Linked_ETag": f'"{digest}"', "X_Repo_Commit": commit}
            return self.answer(302, Location=f"{self.server.storage}/objects/{digest}", **linked)
        etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()  # noqa: S324
        return self.answer(200, data, ETag=f'"{etag}"', X_Repo_Commit=commit)

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(f"POST {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(branch|preupload|commit)/(.+)", path)
        if not self.known:
            self.answer(401, {"error": "Invalid username or password."})
        elif path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.validate(json.loads(body)["content"])
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.batch(json.loads(body))
        elif match is None or (repository := self.found(match[1])) is None:
            self.no_repository()
        elif match[2] == "branch":
            repository.branches[match[3]] = repository.branches.get("main", "")
            self.answer(200, {})
        elif match[2] == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = {path: "lfs" if path.endswith(LARGE) else "regular" for path in paths}
            self.answer(200, {"files": [{"path": p, "uploadMode": modes[p], "shouldIgnore": False} for p in paths]})
        else:
            self.commit(match[1], match[3], [json.loads(line) for line in body.splitlines()])

    def commit(self, name: str, branch: str, lines: list[dict[str, Any]]) -> None:
        values = [line["value"] for line in lines if line["key"] == "file"]
        changes = {value["path"]: base64.b64decode(value["content"]) for value in values}
        large = [line["value"] for line in lines if line["key"] == "lfsFile"]
        if any(value["oid"] not in self.server.objects for value in large):
            return self.answer(400, {"error": "a large file was not uploaded"})
        changes |= {value["path"]: self.server.objects[value["oid"]] for value in large}
        oid = self.server.repositories[name].commit(branch, changes)
        url = f"{self.server.url}/{name}/commit/{oid}"
        return self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        exists = name in self.server.repositories
        if not exists:
            private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
            self.server.repositories[name] = Repository(private)
        url = {"url": f"{self.server.url}/{name}", "id": "1", "name": name}
        self.answer(409 if exists else 200, url)

    def validate(self, card: str) -> None:
        match = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
        licence = re.search(r"^license: (.*)$", match[1], re.MULTILINE) if match else None
        if licence is None or licence[1] not in LICENCES:
            self.answer(400, {"errors": [{"message": '"license" must be one of [apache-2.0, mit]'}], "warnings": []})
        else:
            self.answer(200, {"errors": [], "warnings": []})


@contextmanager
def serving() -> Iterator[Hub]:
    """A running server, closed at the end."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()
