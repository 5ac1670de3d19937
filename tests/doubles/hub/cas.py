"""Xet's content store, as little of it as hf_xet needs: chunks come in xorbs, shards say which chunks make a file.

Formats: github.com/huggingface/xet-core. Integers are little-endian; a hash is written as four 64-bit numbers in hex.
A route of version 2 that is not here answers 404, upon which the client uses version 1.
"""

from __future__ import annotations

import secrets
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import lz4.frame
from starlette.requests import Request
from starlette.responses import Response

from tests.doubles.hub.file_routes import serve
from tests.doubles.hub.repositories import Repositories
from tests.doubles.hub.web import KIND, REPO, REVISION, HubError, Router, answer

_RECORD = 48  # bytes of every record of a shard
_END = b"\xff" * 32
_VERIFICATION, _METADATA = 1 << 31, 1 << 30  # flags of a file: which records follow its segments
_TOKEN_S = 3600


@dataclass(frozen=True)
class Term:
    """Chunks of a xorb that are a piece of a file: from the first to before the last, and their bytes."""

    xorb: str
    first: int
    last: int
    size: int


@dataclass(frozen=True)
class Chunk:
    """Where a chunk is in a serialized xorb, packed, and its size unpacked."""

    start: int
    end: int
    size: int
    scheme: int


class Cas:
    """The content store and its routes.

    Args:
        repositories: For the rules of access; what comes in is put into their storage.
        folder: Where xorbs are kept.
        cdn: The other address, under which the store is.
        router: Where the routes go.
    """

    def __init__(self, repositories: Repositories, folder: Path, cdn: str, router: Router) -> None:
        self._repositories, self._folder = repositories, folder
        self._address = f"{cdn}/cas"
        self._files: dict[str, list[Term]] = {}
        self._chunks: dict[str, list[Chunk]] = {}
        self._tokens: dict[str, bool] = {}  # whether it may write
        folder.mkdir(parents=True, exist_ok=True)
        router.add("GET", f"/api/{KIND}/{REPO}/xet-(?P<what>read|write)-token/{REVISION}", self.token)
        router.add("POST", "/cas/v1/xorbs/default/(?P<name>[0-9a-f]{64})", self.receive_xorb)
        router.add("POST", "/cas/v1/shards", self.receive_shard)
        router.add("GET", "/cas/v1/reconstructions/(?P<name>[0-9a-f]{64})", self.reconstruct)
        router.add("GET", "/cas/xorbs/(?P<name>[0-9a-f]{64})", self.send_xorb)

    async def token(self, request: Request, kind: str, repo: str, what: str, revision: str) -> Response:
        if what == "write":
            repository, _ = self._repositories.writable(kind, repo, request)
            self._repositories.may_store(repository, 1)
        else:
            self._repositories.readable(kind, repo, request)
        made, expires = (
            f"xet_{secrets.token_hex(16)}",
            int(time.time()) + _TOKEN_S,
        )  # never of a skewed clock: hf_xet would ask on and on
        self._tokens[made] = what == "write"
        headers = {
            "X-Xet-Cas-Url": self._address,
            "X-Xet-Access-Token": made,
            "X-Xet-Token-Expiration": str(expires),
        }
        return answer({"casUrl": self._address, "accessToken": made, "exp": expires}, headers=headers)

    def _allow(self, request: Request, *, write: bool) -> None:
        may_write = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if may_write is None or (write and not may_write):
            raise HubError(401, "Unauthorized")

    async def receive_xorb(self, request: Request, name: str) -> Response:
        self._allow(request, write=True)
        body = await request.body()
        self._chunks[name] = _chunks(body)
        new = not (self._folder / name).exists()
        (self._folder / name).write_bytes(body)
        return answer({"was_inserted": new})

    async def receive_shard(self, request: Request) -> Response:
        self._allow(request, write=True)
        storage = self._repositories.storage
        for name, terms in _files(await request.body()).items():
            missing = [term.xorb for term in terms if term.xorb not in self._chunks]
            if missing:  # 400: a 5xx would be tried again for a minute
                raise HubError(400, f"The shard refers to a xorb that is not there: {missing[0]}")
            self._files[name] = terms
            storage.xet[storage.put(b"".join(self._unpacked(term) for term in terms))] = name
        return answer({"result": 1})

    def _unpacked(self, term: Term) -> bytes:
        with (self._folder / term.xorb).open("rb") as xorb:
            return b"".join(_unpack(xorb, chunk) for chunk in self._chunks[term.xorb][term.first : term.last])

    async def reconstruct(self, request: Request, name: str) -> Response:
        self._allow(request, write=False)
        if name not in self._files:
            raise HubError(404, "Not found")
        terms = self._files[name]
        size = sum(term.size for term in terms)
        start, end = 0, size
        if asked := request.headers.get("range", "").removeprefix("bytes="):
            first, _, last = asked.partition("-")
            start, end = int(first), min(size, int(last) + 1) if last else size
            if start >= size:
                raise HubError(416, "Range not satisfiable")
        wanted: list[Term] = []
        offset = at = 0
        for term in terms:
            if at < end and at + term.size > start:
                if not wanted:
                    offset = start - at
                wanted.append(term)
            at += term.size
        body = {
            "offset_into_first_range": offset,
            "terms": [
                {"hash": t.xorb, "unpacked_length": t.size, "range": {"start": t.first, "end": t.last}} for t in wanted
            ],
            "fetch_info": {xorb: self._fetches(xorb, wanted) for xorb in {term.xorb for term in wanted}},
        }
        return answer(body)

    def _fetches(self, xorb: str, terms: list[Term]) -> list[dict[str, Any]]:
        """Return what of a xorb is to be fetched; the client fails on ranges that overlap."""
        spans: list[list[int]] = []
        for first, last in sorted((term.first, term.last) for term in terms if term.xorb == xorb):
            if spans and first <= spans[-1][1]:
                spans[-1][1] = max(spans[-1][1], last)
            else:
                spans.append([first, last])
        chunks, url = self._chunks[xorb], f"{self._address}/xorbs/{xorb}?__sign=s"
        return [
            {
                "range": {"start": first, "end": last},
                "url": url,
                "url_range": {"start": chunks[first].start, "end": chunks[last - 1].end - 1},
            }
            for first, last in spans
        ]

    async def send_xorb(self, request: Request, name: str) -> Response:
        if name not in self._chunks:
            raise HubError(404, "NoSuchKey")
        return serve(request, self._folder / name, {})


def _hex(raw: bytes) -> str:
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", raw))


def _chunks(body: bytes) -> list[Chunk]:
    """Return the chunks of a serialized xorb; a footer, which old clients send, is left."""
    found, at = [], 0
    while at + 8 <= len(body) and body[at : at + 7] != b"XETBLOB":
        packed, size = (int.from_bytes(body[at + i : at + i + 3], "little") for i in (1, 5))
        found.append(Chunk(at, at + 8 + packed, size, body[at + 4]))
        at += 8 + packed
    return found


def _unpack(xorb: BinaryIO, chunk: Chunk) -> bytes:
    """Return a chunk's bytes: as they are, LZ4, or LZ4 of the bytes grouped by their position modulo four."""
    xorb.seek(chunk.start + 8)
    packed = xorb.read(chunk.end - chunk.start - 8)
    if chunk.scheme == 0:
        return packed
    plain: bytes = lz4.frame.decompress(packed)
    if chunk.scheme == 1:
        return plain
    if chunk.scheme != 2:
        raise HubError(400, f"Unknown compression scheme: {chunk.scheme}")
    whole, at = bytearray(len(plain)), 0
    for place in range(4):
        count = len(range(place, len(plain), 4))
        whole[place::4] = plain[at : at + count]
        at += count
    return bytes(whole)


def _files(shard: bytes) -> dict[str, list[Term]]:
    """Return the files of a shard: the terms of each by its hash."""
    found: dict[str, list[Term]] = {}
    at = _RECORD  # the shard's header
    while shard[at : at + 32] != _END:
        name = _hex(shard[at : at + 32])
        flags, count = struct.unpack_from("<II", shard, at + 32)
        at += _RECORD
        terms = []
        for _ in range(count):
            _, size, first, last = struct.unpack_from("<4I", shard, at + 32)
            terms.append(Term(_hex(shard[at : at + 32]), first, last, size))
            at += _RECORD
        at += _RECORD * (count if flags & _VERIFICATION else 0) + _RECORD * bool(flags & _METADATA)
        found[name] = terms
    return found
