# Copyright 2026 the vljepa_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is left of an mcap file: its records from front to back, without the index that a recorder writes last.

A recorder that was killed, or a disk that ran full, leaves a file that ends in the middle and has no index; readers refuse it
whole. Everything up to the break is sound, chunk by chunk. Layout: mcap.dev/spec.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F
MAX_RECORD = 1 << 31  # bytes; beyond it a length is damage, not a record


@dataclass(frozen=True)
class Channel:
    """A topic as the file names it."""

    id: int
    topic: str
    msgtype: str
    encoding: str  # of the definition: ros2msg, ros2idl
    definition: str


class Salvage:
    """`complete` says, after `messages` ran to its end, whether the file was sound to the end of its data."""

    def __init__(self, path: Path) -> None:
        """ValueError where this is no mcap file at all."""
        self.path = path
        self.channels: dict[int, Channel] = {}
        self.complete = False
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError("does not begin as an mcap file does")

    def messages(self) -> Iterator[tuple[Channel, int, bytes]]:
        """(channel, recording time in nanoseconds, bytes) in the file's order, up to the first thing that cannot be read."""
        self.complete = False
        schemas: dict[int, tuple[str, str, str]] = {}
        with self.path.open("rb") as file:
            file.seek(len(MAGIC))
            for kind, record in _records(file):
                if kind == CHUNK:
                    for inner, part in _records(BytesIO(_unpacked(record))):
                        yield from self._take(inner, part, schemas)
                elif kind == DATA_END:
                    self.complete = True
                    return
                else:
                    yield from self._take(kind, record, schemas)

    def _take(self, kind: int, record: bytes, schemas: dict) -> Iterator[tuple[Channel, int, bytes]]:
        try:
            if kind == MESSAGE:
                channel = self.channels.get(struct.unpack_from("<H", record)[0])
                if channel is not None:
                    yield channel, struct.unpack_from("<Q", record, 6)[0], record[22:]
            elif kind == SCHEMA:
                (number,), at = struct.unpack_from("<H", record), 2
                name, at = _text(record, at)
                encoding, at = _text(record, at)
                schemas[number] = name, encoding, _text(record, at)[0]
            elif kind == CHANNEL:
                number, schema = struct.unpack_from("<HH", record)
                name, encoding, definition = schemas.get(schema, ("", "", ""))
                self.channels.setdefault(number, Channel(number, _text(record, 4)[0], name, encoding, definition))
        except (struct.error, UnicodeDecodeError):
            return  # one record that lies; its length was sound, so the next may be


def _records(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Whole records only: the first one that is cut ends it."""
    while len(head := file.read(9)) == 9:
        kind, length = struct.unpack("<BQ", head)
        if length > MAX_RECORD:
            return
        record = file.read(length)
        if kind == CHUNK or len(record) == length:  # of a cut chunk, what is there
            yield kind, record
        if len(record) < length:
            return


def _unpacked(record: bytes) -> bytes:
    """The records inside a chunk, as many as can be unpacked."""
    try:
        compression, at = _text(record, 28)
    except (struct.error, UnicodeDecodeError):
        return b""
    packed = record[at + 8 :]
    if not compression:
        return packed
    try:
        if compression == "zstd":
            from rosbags.rosbag2.reader import zstd

            return zstd.ZstdDecompressor().decompress(packed)
        if compression == "lz4":
            from lz4.frame import LZ4FrameDecompressor

            return LZ4FrameDecompressor().decompress(packed)
    except Exception:  # noqa: BLE001  each library has its own
        return b""
    return b""


def _text(record: bytes, at: int) -> tuple[str, int]:
    """A text behind its length, and where it ends. UnicodeDecodeError, struct.error where it is none."""
    (length,) = struct.unpack_from("<I", record, at)
    if at + 4 + length > len(record):
        raise struct.error(f"a text of {length} bytes reaches beyond its record")
    return record[at + 4 : at + 4 + length].decode(), at + 4 + length
