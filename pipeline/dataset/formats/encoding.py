"""The encoding of a text file: UTF-8, or what it is instead."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charset_normalizer import from_bytes

from pipeline.base.message import Message, message
from pipeline.dataset.rows import unreadable

PIECE = 1 << 20  # bytes or characters of a file looked at at once
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LOOKED_AT = 1 << 18  # bytes with others than ASCII by which an encoding is told
# Tried in this order where the statistics of letters do not tell: the text may be a few words long.
_ESCAPED = re.compile("[\udc80-\udcff]")
_BESIDE_ASCII_BYTES = re.compile(rb"[\x80-\xff]+")
_BESIDE_ASCII = re.compile(r"[^\x00-\x7f]")
_OTHERS = ("gb18030", "big5", "shift_jis", "euc_kr", "cp1251", "cp1252")


@dataclass(frozen=True)
class Text:
    """A text file.

    Attributes:
        path: The file.
        encoding: How its characters are written, a codec of Python.
        notes: What the reader should know of it.
    """

    path: Path
    encoding: str
    notes: tuple[Message, ...] = ()

    def open(self, newline: str | None = "\n") -> IO[str]:
        """Open it for reading; bytes that are no characters become lone surrogates, which no pair may have."""
        errors = "replace" if self.encoding.startswith(("utf-16", "utf-32")) else "surrogateescape"
        return self.path.open(encoding=self.encoding, errors=errors, newline=newline)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield number and text of every line that is not blank."""
        with self.open() as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line


def text(path: Path, head: bytes) -> Text:
    """Tell how a text file is written.

    A byte here and there that is not UTF-8 is left to the row that it stands in.

    Args:
        path: The file.
        head: Its first bytes.

    Raises:
        StudioError: It is no text.
    """
    marked = next((codec for mark, codec in _MARKS.items() if head.startswith(mark)), "") or _unmarked(head)
    if marked and marked != "utf-8-sig":
        return Text(path, marked, (message("load.note.encoding", encoding=marked.upper()),))
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    if control * 20 > len(head):
        raise unreadable(path, "load.binary")
    wrong, right, sample = _counted(path)
    if not wrong or wrong <= max(3, right // 10):
        return Text(path, "utf-8-sig")
    found = _guessed(sample)
    if not found:
        return Text(path, "utf-8-sig")
    return Text(path, found, (message("load.note.encoding", encoding=found.upper().replace("_", "-")),))


def _unmarked(head: bytes) -> str:
    """Return UTF-16 where every other byte is zero: text of Latin letters, written by Windows without a mark."""
    for codec, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        others = head[::2] if zeros is not head[::2] else head[1::2]
        if len(head) >= 4 and 2 * zeros.count(0) > len(zeros) and others.count(0) * 20 <= len(others):
            return codec
    return ""


def _counted(path: Path) -> tuple[int, int, bytes]:
    """Return how many bytes are not UTF-8, how many characters beside ASCII are, and a piece with the former."""
    if _is_utf8(path):
        return 0, 0, b""
    wrong = right = 0
    sample = b""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            words = decoder.decode(piece)
            escaped = len(_ESCAPED.findall(words))
            right += len(_BESIDE_ASCII.findall(words)) - escaped
            wrong += escaped
            if escaped and not sample:  # from the beginning of the file or of a line, for no character is cut there
                start = piece.find(b"\n") + 1 if file.tell() > len(piece) else 0
                sample = piece[start : start + _LOOKED_AT]
    return wrong + len(decoder.decode(b"", final=True)), right, sample


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while piece := file.read(PIECE):  # not line by line: JSON can be a single line of any length
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _guessed(sample: bytes) -> str:
    """Return the encoding of a text in none of Unicode's, "" where it cannot be told."""
    # Korean first: its syllables are all common characters in GB 2312, while few Chinese texts are all syllables.
    runs = _BESIDE_ASCII_BYTES.findall(sample)
    in_words = len(b"".join(runs)) >= 3 * len(runs)  # Western letters with accents stand alone among others
    for encoding, share in (
        (("euc_kr", 0.98), ("gb18030", 0.9), ("shift_jis", 0.9), ("cp874", 0.98)) if in_words else ()
    ):
        if _is_common(sample, encoding, share):
            return encoding
    best = from_bytes(sample, cp_isolation=list(_OTHERS)).best()
    # Without a language that it reads like, a guess would make nonsense of the text: its rows are named instead.
    return best.encoding if best is not None and best.percent_coherence > 0 else ""


def _is_common(sample: bytes, encoding: str, share: float) -> bool:
    """Whether nearly all characters of a text are common ones of an East Asian encoding."""
    try:
        decoded = codecs.getincrementaldecoder(encoding)().decode(sample)  # it may end within a character
    except UnicodeDecodeError:
        return False
    beside = [letter for letter in decoded if letter > "\x7f"]
    if not beside:
        return False
    return sum(_common(letter, encoding) for letter in beside) >= share * len(beside)


def _common(letter: str, encoding: str) -> bool:
    """Whether a character is of those that most of a text is made of: GB 2312's first level, syllables, kana."""
    if letter in "，。！？、；：“”‘’（）《》「」【】…—·　％～":
        return True
    if encoding == "euc_kr":
        return "\uac00" <= letter <= "\ud7a3"
    if encoding == "cp874":
        return "\u0e00" <= letter <= "\u0e7f"
    if encoding == "shift_jis":
        return "\u3040" <= letter <= "\u30ff" or "\u4e00" <= letter <= "\u9fff"
    written = letter.encode("gb2312", "ignore")
    return len(written) == 2 and 0xB0 <= written[0] <= 0xD7
