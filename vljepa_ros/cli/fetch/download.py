# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One entry of the catalogue onto the disk: at one commit, every file compared with what the hub says its hash is.

    OUT/<short name>/...    the files, as the repository has them
    OUT/fetch.lock.json     for every entry: repository, commit, size and sha256 of each file

What the lock names and the disk has is not asked for again, so that a second fetch needs no network. Partial files lie in
`.partial` of its folder and are gone on with. Knows nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .catalogue import NEVER, Entry

LOCK = "fetch.lock.json"
BLOCK = 1 << 20


class FetchError(Exception):
    """One line: what failed and what to do. `status`: the exit status that it leads to."""

    status = 2


class AccessError(FetchError):
    status = 3


class NetworkError(FetchError):
    status = 4


class HashError(FetchError):
    status = 5


@dataclass(frozen=True)
class Expected:
    """A file as the hub describes it. `sha256` of files in large-file storage; of the others the hub tells git's own hash."""

    path: str
    size: int
    sha256: str | None
    blob: str | None


def fetch(name: str, entry: Entry, out: Path, endpoint: str, token: str | None, say: Callable[[str], None] = print) -> str:
    """The commit that lies in `out / name` afterwards, whole and verified. FetchError; what came stays for the next try."""
    folder, lock = out / name, read_lock(out)
    known = lock.get(name)
    if known and (known["repo"] != entry.repo or (entry.pinned and known["commit"] != entry.revision)):
        known = None  # the catalogue has moved on
    if known and all(_matches(folder / path, facts) for path, facts in known["files"].items()):
        say(f"{name}: {entry.repo} at {known['commit']} is there, {len(known['files'])} files verified")
        return known["commit"]
    commit, files = _describe(entry, known["commit"] if known else entry.revision, endpoint, token)
    if not files:
        raise FetchError(f"{entry.repo} at {commit} has none of the files {', '.join(entry.files)}; is the endpoint a model hub?")
    if entry.pinned and commit != entry.revision:
        raise HashError(f"{entry.repo}: asked for {entry.revision}, the hub answers with {commit}; do not use what it serves")
    say(
        f"{name}: {entry.repo} at {commit}, {len(files)} files, {_size(sum(one.size for one in files))}; licence: {entry.licence}"
    )
    if not entry.pinned and not known:
        say(f"{name}: no commit is pinned; this one goes into {out / LOCK}, and later fetches keep to it")
    done = {}
    for k, one in enumerate(files, 1):
        facts = _one(entry, commit, one, folder, endpoint, token)
        before = known and known["files"].get(one.path)
        if before and facts != before:
            (folder / one.path).unlink()
            changed = f"sha256 {facts['sha256']}, {LOCK} has {before['sha256']}"
            raise HashError(f"{entry.repo}/{one.path}: {changed}; removed, look who changed it")
        done[one.path] = facts
        say(f"  [{k}/{len(files)}] {one.path}  {_size(one.size)}  sha256 {facts['sha256'][:16]}")
    _write_lock(out, read_lock(out) | {name: {"repo": entry.repo, "commit": commit, "files": done}})
    return commit


def read_lock(out: Path) -> dict[str, Any]:
    """What has been fetched into this folder, by short name. FetchError for a file that cannot be read."""
    file = out / LOCK
    if not file.exists():
        return {}
    try:
        return json.loads(file.read_text())
    except (ValueError, OSError) as error:
        raise FetchError(f"{file} cannot be read ({error}); delete it to fetch and verify anew") from None


def _write_lock(out: Path, lock: dict[str, Any]) -> None:
    """Whole or not at all."""
    beside = out / (LOCK + ".part")
    beside.write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n")
    os.replace(beside, out / LOCK)


def _describe(entry: Entry, revision: str, endpoint: str, token: str | None) -> tuple[str, list[Expected]]:
    from huggingface_hub import HfApi

    with _translated(entry, revision, endpoint):
        info = HfApi(endpoint=endpoint, token=token or False).model_info(
            entry.repo, revision=revision, files_metadata=True, timeout=30
        )
    files = [
        Expected(one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else None, one.blob_id)
        for one in info.siblings or []
        if any(fnmatch(one.rfilename, p) for p in entry.files) and not any(fnmatch(one.rfilename, p) for p in NEVER)
    ]
    return info.sha, sorted(files, key=lambda one: one.path)


def _one(entry: Entry, commit: str, one: Expected, folder: Path, endpoint: str, token: str | None) -> dict[str, Any]:
    """{"size", "sha256"} of a file that is there and right."""
    path = folder / one.path
    if folder.resolve() not in path.resolve().parents:
        raise FetchError(f"{entry.repo} names a file {one.path!r} that lies outside {folder}; do not use what it serves")
    if not path.exists() or not _right(path, one):
        part = folder / ".partial" / commit / (one.path.replace("/", "--") + ".part")
        _transfer(entry, commit, one, part, endpoint, token)
        if not _right(part, one):
            found = f"{part.stat().st_size} bytes, sha256 {_hash(part, hashlib.sha256())}"
            part.unlink()
            expected = f"{one.size} bytes, " + (f"sha256 {one.sha256}" if one.sha256 else f"git blob {one.blob}")
            raise HashError(f"{entry.repo}/{one.path}: got {found}; the hub says {expected}; removed, fetch again")
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, path)
    return {"size": one.size, "sha256": _hash(path, hashlib.sha256())}


def _transfer(entry: Entry, commit: str, one: Expected, part: Path, endpoint: str, token: str | None) -> None:
    """Into `part`, from where an earlier try broke off: hf_hub_download throws its own partial files away, http_get does not."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    if have > one.size:
        part.unlink()
        have = 0
    with _translated(entry, commit, endpoint, one.path), part.open("ab") as file:
        if have == one.size:
            return
        http_get(
            hf_hub_url(entry.repo, one.path, revision=commit, endpoint=endpoint),
            file,
            resume_size=have,
            headers=build_hf_headers(token=token or False),
            expected_size=one.size,
            displayed_filename=one.path,
        )


def _right(path: Path, one: Expected) -> bool:
    if path.stat().st_size != one.size:
        return False
    if one.sha256:
        return _hash(path, hashlib.sha256()) == one.sha256
    return not one.blob or _hash(path, hashlib.sha1(b"blob %d\0" % one.size)) == one.blob


def _matches(path: Path, facts: dict[str, Any]) -> bool:
    return path.is_file() and path.stat().st_size == facts["size"] and _hash(path, hashlib.sha256()) == facts["sha256"]


def _hash(path: Path, state: Any) -> str:
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()


class _translated:
    """The hub's many errors as ours."""

    def __init__(self, entry: Entry, revision: str, endpoint: str, path: str = "") -> None:
        self._entry, self._revision, self._endpoint = entry, revision, endpoint
        self._what = f"{entry.repo}/{path}" if path else entry.repo

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type | None, error: BaseException | None, _: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        status = next((s for e in _chain(error) if (s := getattr(getattr(e, "response", None), "status_code", None))), None)
        page = f"https://huggingface.co/{self._entry.repo}"
        how = "make a token at https://huggingface.co/settings/tokens (read access) and give it as HF_TOKEN or by `hf auth login`"
        if status == 401:
            raise AccessError(
                f"{self._what}: 401, the hub does not know you, or there is no such repository: "
                + (f"accept the terms at {page}, then {how}" if self._entry.gated else how)
            ) from error
        if status == 403:
            raise AccessError(
                f"{self._what}: 403, your account has no access yet: accept the terms at {page} (the owner may take hours to "
                "grant it) and see that the token may read gated repositories"
            ) from error
        if status == 404:
            raise FetchError(f"{self._what}: 404, {self._endpoint} has no such thing at revision {self._revision}") from error
        if status is not None:
            raise NetworkError(f"{self._what}: {self._endpoint} answers {status}; try again later, what came is kept") from error
        if isinstance(error, OSError) and error.errno == 28:
            raise FetchError(f"{self._what}: the disk is full; free some space and fetch again, what came is kept") from error
        raise NetworkError(
            f"{self._what}: {self._endpoint} cannot be reached or broke off ({type(error).__name__}: {_line(error)}); check the "
            "network or HF_ENDPOINT and fetch again, what has arrived is kept"
        ) from error


def _chain(error: BaseException | None) -> list[BaseException]:
    out: list[BaseException] = []
    while error is not None and error not in out:
        out.append(error)
        error = error.__cause__ or error.__context__
    return out


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"
