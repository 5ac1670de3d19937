"""What an export writes is, byte for byte, what the standard library's JSON and Arrow's rows give."""

from __future__ import annotations

import hashlib
import json
import random
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.base import project
from pipeline.base.home import open_home
from pipeline.base.message import verbatim
from pipeline.base.pair import Message, Messages, Pair, as_dicts, text_of
from pipeline.dataset.project import start_project
from pipeline.dataset.recognise import Loaded, Mapping
from pipeline.export import encoding
from pipeline.export.options import ExportOptions, Row
from pipeline.export.places import place, places_of
from pipeline.export.writing import plan, write
from pipeline.review.settle import Settled
from tests.unit.export.test_export import provenance, random_pairs

LETTERS = "aZ é中🙂\u0301\u2028\x00\x07\x1b\x7f\t\n\r\"\\/<>&'{}[]:,"


def hostile(seed: int) -> list[Row]:
    rng = random.Random(seed)

    def text() -> str:
        return "".join(rng.choices(LETTERS, k=rng.randrange(12)))

    def turns(number: int) -> Messages:
        return tuple(Message(rng.choice(("user", "assistant", text())), text()) for _ in range(number))

    def row(number: int) -> Row:
        pair = Pair(text(), turns(rng.randrange(4)), turns(1), turns(2), text(), {}, swapped=rng.random() < 0.5)
        verdict = Settled(pair.record_id, number, rng.choice((None, 3.0, 11 / 3, 1e-7, 4.5)), "chosen")
        return Row(pair, verdict if number % 3 else None, None)

    return [row(number) for number in range(50)]


def as_dict(row: Row) -> dict[str, object]:
    pair, verdict = row.pair, row.verdict
    return {
        "record_id": pair.record_id,
        **{part: as_dicts(getattr(pair, part)) for part in ("prompt", "chosen", "rejected")},
        "source": pair.source,
        "swapped": pair.swapped,
        "relevance": verdict.relevance if verdict else None,
        "answers": verdict.answers if verdict else 0,
    }


@pytest.mark.parametrize("seed", range(5))
def test_lines_and_columns_are_those_of_the_slow_way(seed: int) -> None:
    rows = hostile(seed)
    values = [as_dict(row) for row in rows]
    assert list(encoding.lines(rows, True)) == [f"{json.dumps(each, ensure_ascii=False)}\n".encode() for each in values]
    for each in values:
        del each["relevance"]
    bare = [f"{json.dumps(each, ensure_ascii=False)}\n".encode() for each in values]
    assert list(encoding.lines(rows, False)) == bare
    assert encoding.table(rows).equals(pa.Table.from_pylist([as_dict(row) for row in rows], schema=encoding.SCHEMA))


def test_a_file_knows_what_it_holds(tmp_path: Path) -> None:
    pieces = [b"x" * 10, b"y" * (3 << 20), b"", b"z"]
    with encoding.new_file(tmp_path / "file") as file:
        file.writelines(pieces)
    whole = b"".join(pieces)
    assert (tmp_path / "file").read_bytes() == whole
    assert (file.size, file.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    with pytest.raises(FileExistsError):
        encoding.NewFile(tmp_path / "file")


@pytest.mark.parametrize(
    "text", ["Why?", " WHY \t so ", "a  b", "a\x1fb\x0bc", "\n", "ǅ ﬁne ２", "Straße ẞ", "a\u2003b\u00a0 c", "ſ K"]
)
def test_the_place_of_a_prompt_is_that_of_its_plain_text(text: str) -> None:
    prompt = (Message("system", "Be brief."), Message("user", text))
    plain = " ".join(unicodedata.normalize("NFKC", text_of(prompt)).casefold().split())
    assert place(prompt, 7) == hashlib.sha256(f"7\n{plain}".encode()).digest()


def test_places_known_already_change_nothing(tmp_path: Path) -> None:
    pairs = random_pairs(5)
    mapping = Mapping(prompt="prompt", chosen="chosen", rejected="rejected")
    loaded = Loaded(pairs, [], verbatim("made"), mapping, ["prompt", "chosen", "rejected"])
    of: project.Project = start_project(open_home(tmp_path / "home"), loaded, "file", "made.jsonl")
    options = ExportOptions(name="one", seed=3, test_share=0.3)
    places = places_of(of, options.seed)
    assert places.keys() == {pair.record_id for pair in pairs} and places_of(of, 3) is places
    assert places_of(of, 4) != places
    one = write(pairs, {}, options, tmp_path / "one", provenance())
    other = write(pairs, {}, options, tmp_path / "other", provenance(), places=places_of(of, options.seed))
    assert one.files == other.files and one.plan == other.plan == plan(pairs, {}, options, places)
