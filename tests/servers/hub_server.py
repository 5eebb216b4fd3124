"""A hub on this machine: the part of its HTTP API that huggingface_hub 2.4 calls to push and to fetch a model.

Two servers, as there are two hosts in truth: the hub itself, and the storage of large files, to which uploads go and
downloads are redirected, and which must never see a token. Xet, the hub's other storage, is not here: set
``HF_HUB_DISABLE_XET=1`` (files are then sent by git LFS, as to a hub without Xet).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

WRITE, READ = "hf_write", "hf_read"
"""Tokens: of a member of the organisation ``lab``, and of one who may only read."""

LICENCES = (
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m afl-3.0 "
    "artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 "
    "cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 "
    "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 "
    "epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research "
    "intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0 openrail++ osl-3.0 postgresql "
    "ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license fair-noncommercial-research-license llama2 llama3 "
    "llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma unknown other"
)
"""What the hub lets stand as ``license`` in a card; https://github.com/huggingface/huggingface_hub/issues/4218."""


class Refused(Exception):
    """An answer that is an error: status, the hub's code for it (or none), and words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class Repo:
    """A repository: what each branch points at, and what each commit holds, path → bytes."""

    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        parent = self.branches.get(branch, "")
        held = {**self.commits.get(parent, {}), **files}
        sha = hashlib.sha1(repr((parent, message, sorted(held.items()))).encode()).hexdigest()
        self.commits[sha], self.branches[branch] = held, sha
        self.messages.append(message)
        return sha

    def find(self, revision: str) -> str:
        sha = self.branches.get(revision, revision)
        if sha not in self.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha


class Hub:
    """What the two servers hold, and what was asked of them.

    Attributes
    ----------
    url
        Where the client finds the hub.
    requests
        Every request, ``METHOD path``, in order.
    storage_saw
        Headers of every request to the storage of large files.
    blobs
        Large files by their sha256.
    spoil
        Set by a test: what storage sends instead of a file's bytes (content → bytes).
    cut
        Set by a test: after how many bytes the next download breaks off, once.
    lose_next_commit
        Set by a test: the next commit is made, and the connection closed without an answer.
    status
        Set by a test: answered to everything, with words.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []
        self.storage_saw: list[dict[str, str]] = []
        self.blobs: dict[str, bytes] = {}
        self.spoil: Callable[[bytes], bytes] = bytes
        self.cut: int | None = None
        self.lose_next_commit = False
        self.status: tuple[int, str] | None = None
        self.url = self.storage_url = ""
        self._servers: list[ThreadingHTTPServer] = []

    def start(self) -> None:
        for handler in (HubHandler, StorageHandler):
            server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (handler,), {"hub": self}))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            self._servers.append(server)
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def stop(self) -> None:
        """Stop answering: connections are refused from here on."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self._servers = []

    def put(self, name: str, files: dict[str, bytes], *, branch: str = "main", private: bool = False) -> str:
        """Put files into a repository without asking anyone; returns the commit."""
        repo = self.repos.setdefault(name, Repo(private))
        self.blobs |= {hashlib.sha256(content).hexdigest(): content for content in files.values()}
        return repo.commit(branch, files, "put")


@contextmanager
def run_hub() -> Iterator[Hub]:
    """Run an empty hub; gives what it holds and its address."""
    hub = Hub()
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.0: a connection per request, so that a stopped server is gone at once."""

    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_json(self, value: object, status: int = 200, **headers: str) -> None:
        self.send(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def answer(self) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append(f"{self.command} {path}")
        try:
            self.answer()
        except Refused as no:
            code = {"X-Error-Code": no.code} if no.code else {}
            self.send_json({"error": no.message}, no.status, X_Error_Message=no.message, **code)

    do_HEAD = do_POST = do_PUT = do_GET


class StorageHandler(Handler):
    """Where large files lie, under their sha256."""

    def answer(self) -> None:
        self.hub.storage_saw.append(dict(self.headers))
        oid = urlsplit(self.path).path.strip("/")
        if self.command == "PUT":
            content = self.body()
            if hashlib.sha256(content).hexdigest() != oid:
                raise Refused(400, "", "BadDigest")
            self.hub.blobs[oid] = content
            self.send(200)
            return
        content = self.hub.spoil(self.hub.blobs[oid])
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[1])
        ranged = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        if self.hub.cut is not None:
            cut, self.hub.cut = self.hub.cut, None
            self.send(200, content[:cut], Content_Length=str(len(content)))  # fewer than were promised
            return
        self.send(206 if start else 200, content[start:], **ranged)


class HubHandler(Handler):
    """The hub's own addresses, one method each."""

    ROUTES = (
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate_card"),
        ("GET", r"/api/models/(?P<name>[^/]+/[^/]+)(/revision/(?P<revision>[^/]+))?", "info"),
        ("GET", r"/api/models/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)", "tree"),
        ("POST", r"/api/models/(?P<name>[^/]+/[^/]+)/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", r"/api/models/(?P<name>[^/]+/[^/]+)/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", r"/api/models/(?P<name>[^/]+/[^/]+)/branch/(?P<revision>[^/]+)", "branch"),
        ("POST", r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs_batch"),
        ("POST", r"/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/verify", "lfs_verify"),
        ("HEAD|GET", r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)", "resolve"),
    )

    def answer(self) -> None:
        if self.hub.status is not None:
            raise Refused(self.hub.status[0], "", self.hub.status[1])
        for methods, pattern, name in self.ROUTES:
            found = re.fullmatch(pattern, urlsplit(self.path).path)
            if found and self.command in methods.split("|"):
                getattr(self, name)(**{key: unquote(value or "main") for key, value in found.groupdict().items()})
                return
        raise Refused(404, "", f"this stand-in does not know {self.command} {self.path}")

    # --- who may what ---

    def token(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in ("", WRITE, READ):
            raise Refused(401, "", "Invalid credentials in Authorization header")
        return token

    def may_write(self, name: str) -> None:
        if not self.token():
            raise Refused(401, "", "Invalid username or password.")
        if self.token() != WRITE or name.split("/")[0] != "lab":
            raise Refused(403, "", f"You don't have the rights to write to {name}")

    def repo(self, name: str) -> Repo:
        token, repo = self.token(), self.hub.repos.get(name)
        if repo is None or (repo.private and not token):
            if token:
                raise Refused(404, "RepoNotFound", "Repository not found")
            raise Refused(401, "", "Invalid username or password.")  # the hub does not say which names are taken
        return repo

    # --- pushing ---

    def create(self) -> None:
        asked = json.loads(self.body())
        name = f"{asked['organization']}/{asked['name']}"
        self.may_write(name)
        url = {"url": f"{self.hub.url}/{name}"}
        if name in self.hub.repos:
            self.send_json({"error": "You already created this model repo", **url}, 409)
            return
        self.hub.put(name, {".gitattributes": b"*.safetensors filter=lfs"}, private=asked["visibility"] == "private")
        self.send_json(url)

    def validate_card(self) -> None:
        header = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", json.loads(self.body())["content"], re.DOTALL)[1])
        if header["license"] not in LICENCES.split():
            message = f'"license" must be one of [{", ".join(LICENCES.split())}]'
            self.send_json({"errors": [{"message": message}], "warnings": []}, 400)
            return
        self.send_json({"errors": [], "warnings": []})

    def branch(self, name: str, revision: str) -> None:
        repo = self.repo(name)
        self.may_write(name)
        self.body()
        if revision in repo.branches:
            raise Refused(409, "", "Reference already exists")
        repo.branches[revision] = repo.find("main")
        self.send_json({})

    def preupload(self, name: str, revision: str) -> None:
        held = self.repo(name).commits[self.repo(name).find(revision)]
        self.may_write(name)
        asked = json.loads(self.body())["files"]
        for file in asked:
            assert len(base64.b64decode(file["sample"])) == min(512, file["size"])
        self.send_json(
            {"files": [{"path": f["path"], "shouldIgnore": False, **upload_of(f["path"], held)} for f in asked]}
        )

    def lfs_batch(self, name: str) -> None:
        self.may_write(name)
        asked = json.loads(self.body())
        assert (asked["operation"], asked["hash_algo"]) == ("upload", "sha256")
        verify = {"href": f"{self.hub.url}/{name}.git/info/lfs/objects/verify"}
        objects = []
        for one in asked["objects"]:
            new = one["oid"] not in self.hub.blobs
            actions = {"upload": {"href": f"{self.hub.storage_url}/{one['oid']}"}, "verify": verify}
            objects.append({**one, **({"actions": actions} if new else {})})
        self.send_json({"transfer": "basic", "objects": objects})

    def lfs_verify(self, name: str) -> None:
        self.may_write(name)
        asked = json.loads(self.body())
        if len(self.hub.blobs.get(asked["oid"], b"")) != asked["size"]:
            raise Refused(404, "", "object was not uploaded")
        self.send_json({})

    def commit(self, name: str, revision: str) -> None:
        repo = self.repo(name)
        self.may_write(name)
        head, *lines = (json.loads(line) for line in self.body().splitlines())
        assert head["key"] == "header"
        if revision not in repo.branches:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "lfsFile" and value["oid"] not in self.hub.blobs:
                raise Refused(400, "", f"LFS pointer pointed to a file that does not exist: {value['path']}")
            content = {"lfsFile": lambda v: self.hub.blobs[v["oid"]], "file": lambda v: base64.b64decode(v["content"])}
            files[value["path"]] = content[line["key"]](value)
        sha = repo.commit(revision, files, head["value"]["summary"])
        if self.hub.lose_next_commit:
            self.hub.lose_next_commit = False
            return
        self.send_json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})

    # --- fetching ---

    def info(self, name: str, revision: str) -> None:
        repo = self.repo(name)
        self.send_json({"id": name, "sha": repo.find(revision), "private": repo.private, "tags": [], "siblings": []})

    def tree(self, name: str, revision: str) -> None:
        """Two entries a page, so that paging is met with: the hub gives a thousand."""
        repo = self.repo(name)
        held = sorted(repo.commits[repo.find(revision)].items())
        start = int(parse_qs(urlsplit(self.path).query).get("cursor", ["0"])[0])
        following = f"{self.hub.url}/api/models/{name}/tree/{revision}?recursive=true&cursor={start + 2}"
        link = {"Link": f'<{following}>; rel="next"'} if start + 2 < len(held) else {}
        self.send_json([entry_of(path, content) for path, content in held[start : start + 2]], **link)

    def resolve(self, name: str, revision: str, file: str) -> None:
        repo = self.repo(name)
        sha = repo.find(revision)
        if file not in repo.commits[sha]:
            raise Refused(404, "EntryNotFound", "Entry not found")
        content = repo.commits[sha][file]
        if not is_large(file):
            self.send(200, content, ETag=f'"{git_sha(content)}"', X_Repo_Commit=sha)
            return
        oid = hashlib.sha256(content).hexdigest()
        headers = {"X_Linked_ETag": f'"{oid}"', "X_Linked_Size": str(len(content)), "X_Repo_Commit": sha}
        self.send(302, Location=f"{self.hub.storage_url}/{oid}", **headers)


def is_large(path: str) -> bool:
    """Whether a file is kept in storage: those that .gitattributes of a new repository names."""
    return path.endswith((".safetensors", ".bin", ".pkl"))


def git_sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def upload_of(path: str, held: dict[str, bytes]) -> dict[str, str]:
    """How a file is to be sent, and the id of what is there already."""
    hash_of = (lambda content: hashlib.sha256(content).hexdigest()) if is_large(path) else git_sha
    there = {"oid": hash_of(held[path])} if path in held else {}
    return {"uploadMode": "lfs" if is_large(path) else "regular", **there}


def entry_of(path: str, content: bytes) -> dict[str, object]:
    """A file as a listing shows it."""
    large = {"lfs": {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}}
    return {
        "type": "file",
        "path": path,
        "size": len(content),
        "oid": git_sha(content),
        **(large if is_large(path) else {}),
    }
