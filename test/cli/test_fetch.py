# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`vljepa fetch` against a server that speaks the hub's API: whole, resumed, broken, wrong, refused, absent, offline after."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vljepa_ros.cli.fetch.catalogue import CATALOGUE, find
from vljepa_ros.cli.main import main

NAME, PINNED = "vjepa2-vitl", CATALOGUE["vjepa2-vitl"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"  # of repositories without a pin
WEIGHTS = bytes(range(256)) * 2000
FILES = {"config.json": b'{"hidden_size": 1024}', "model.safetensors": WEIGHTS, "pytorch_model.bin": b"not asked for"}


class Hub(ThreadingHTTPServer):
    """The hub's paths: /api/models/REPO/revision/REV, and /REPO/resolve/REV/FILE, by a redirect for large files."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.requests, self.tokens = dict(FILES), [], []
        self.lie: dict[str, bytes] = {}  # file -> what is sent instead of it
        self.refuse: dict[str, int] = {}  # "api" or a file -> status
        self.break_after: list[int] = []  # bytes after which the next transfers of the weights break off
        self.commit = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server, self.path.split("?")[0]
        hub.requests.append((path, self.headers.get("Range")))
        hub.tokens.append(self.headers.get("Authorization"))
        if api := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(\w+)", path):
            return self.say(hub.refuse.get("api", 200), self.info(*api.groups()))
        if found := re.fullmatch(r"/[^/]+/[^/]+/resolve/\w+/(.+)", path):
            name = found[1]
            if name in hub.refuse:
                return self.say(hub.refuse[name], b"{}")
            if name.endswith(".safetensors"):
                self.send_response(302)
                self.send_header("Location", f"{hub.url}/cdn/{name}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            return self.content(name)
        if path.startswith("/cdn/"):
            return self.content(path.removeprefix("/cdn/"))
        self.say(404, b"{}")

    def info(self, repo: str, revision: str) -> bytes:
        siblings = []
        for name, content in self.server.files.items():
            one = {
                "rfilename": name,
                "size": len(content),
                "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
            }
            if name.endswith((".safetensors", ".bin", ".pt")):
                one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            siblings.append(one)
        commit = self.server.commit or (COMMIT if revision == "main" else revision)
        return json.dumps(
            {"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "tags": [], "private": False}
        ).encode()

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status == 403:
            self.send_header("X-Error-Code", "GatedRepo")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def content(self, name: str) -> None:
        body = self.server.lie.get(name, self.server.files[name])
        start = int(match[1]) if (match := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        if name == "model.safetensors" and self.server.break_after:
            self.wfile.write(body[start : start + self.server.break_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(body[start:])


@pytest.fixture
def hub(monkeypatch):
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # what is written at once; 10 MB otherwise
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(out, name=NAME) -> int:
    return main(["fetch", name, "--out", str(out)])


def ranges(hub) -> list:
    return [asked for path, asked in hub.requests if path.startswith("/cdn/")]


def test_whole_and_then_offline(hub, tmp_path, capsys):
    assert fetch(tmp_path) == 0
    out = capsys.readouterr().out
    assert PINNED.revision in out and "MIT" in out and "512.02 kB" not in out and "512 kB" in out
    folder = tmp_path / NAME
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS and (folder / "config.json").read_bytes() == FILES[
        "config.json"
    ]
    assert not (folder / "pytorch_model.bin").exists()
    lock = json.loads((tmp_path / "fetch.lock.json").read_text())[NAME]
    assert lock["commit"] == PINNED.revision
    assert lock["files"]["model.safetensors"] == {"size": len(WEIGHTS), "sha256": hashlib.sha256(WEIGHTS).hexdigest()}
    assert "Bearer hf_of_the_test" in hub.tokens
    asked = len(hub.requests)
    assert fetch(tmp_path) == 0 and len(hub.requests) == asked, "what is there is not asked for"
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert fetch(tmp_path) == 0 and (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_transfer_that_breaks_goes_on_where_it_was(hub, tmp_path):
    hub.break_after = [100_000]
    assert fetch(tmp_path) == 0
    first, second = ranges(hub)
    assert first is None and 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 100_000
    assert (tmp_path / NAME / "model.safetensors").read_bytes() == WEIGHTS


def test_the_next_fetch_goes_on_where_the_last_one_was(hub, tmp_path, capsys):
    part = tmp_path / NAME / ".partial" / PINNED.revision / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:300_000])
    hub.refuse["model.safetensors"] = 503
    assert fetch(tmp_path) == 4 and "503" in capsys.readouterr().err
    assert part.stat().st_size == 300_000
    hub.refuse.clear()
    assert fetch(tmp_path) == 0 and ranges(hub) == ["bytes=300000-"]
    assert (tmp_path / NAME / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_wrong_hash_is_removed(file, hub, tmp_path, capsys):
    true = FILES[file]
    hub.lie[file] = bytes([true[0] ^ 1]) + true[1:]
    assert fetch(tmp_path) == 5
    error = capsys.readouterr().err
    assert file in error and "the hub says" in error and error.count("\n") == 1
    assert not (tmp_path / NAME / file).exists() and not (tmp_path / "fetch.lock.json").exists()
    hub.lie.clear()
    assert fetch(tmp_path) == 0


def test_another_commit_than_the_pinned_one_is_refused(hub, tmp_path, capsys):
    hub.commit = COMMIT
    assert fetch(tmp_path) == 5 and COMMIT in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "status", "exit_status", "says"),
    [
        ("api", 401, 3, "settings/tokens"),
        ("api", 403, 3, "accept the terms at https://huggingface.co/meta-llama/Llama-3.2-1B"),
        ("model.safetensors", 401, 3, "HF_TOKEN"),
        ("model.safetensors", 403, 3, "accept the terms"),
        ("api", 404, 2, "404"),
        ("config.json", 404, 2, "config.json"),
        ("api", 500, 4, "try again later"),
    ],
)
def test_refusals_are_one_line(where, status, exit_status, says, hub, tmp_path, capsys):
    hub.refuse[where] = status
    assert fetch(tmp_path, "llama-3.2-1b") == exit_status
    error = capsys.readouterr().err
    assert says in error and str(status) in error
    assert [line.startswith("vljepa fetch: ") for line in error.splitlines() if "it/s" not in line].count(True) == 1


def test_without_a_network(tmp_path, capsys, monkeypatch):
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.server_close()  # nobody listens there now
    assert fetch(tmp_path) == 4
    error = capsys.readouterr().err
    assert server.url in error and "HF_ENDPOINT" in error and error.count("\n") == 1


def test_without_a_pin_the_lock_holds_the_commit(hub, tmp_path, capsys):
    hub.files["best.pt"] = b"weights"
    assert fetch(tmp_path, "open-vljepa") == 0
    assert COMMIT in capsys.readouterr().out
    assert (tmp_path / "open-vljepa" / "best.pt").read_bytes() == b"weights"
    (tmp_path / "open-vljepa" / "best.pt").unlink()
    assert fetch(tmp_path, "cun-bjy/open-vljepa") == 0
    assert hub.requests[-2][0].endswith(f"/revision/{COMMIT}"), "the second time by the commit of the first"
    (tmp_path / "open-vljepa" / "best.pt").unlink()
    hub.files["best.pt"] = b"changed"  # under the same commit
    assert fetch(tmp_path, "open-vljepa") == 5 and "fetch.lock.json has" in capsys.readouterr().err


def test_names(tmp_path, capsys):
    assert fetch(tmp_path, "vjepa3") == 2 and "vjepa2-vitl" in capsys.readouterr().err
    assert main(["fetch"]) == 0 and "meta-llama/Llama-3.2-1B@4e20de362430" in capsys.readouterr().out
    assert set(find("all")) == set(CATALOGUE)


def test_every_pin_is_a_commit():
    assert all(re.fullmatch("[0-9a-f]{40}", one.revision) for one in CATALOGUE.values() if one.pinned)
