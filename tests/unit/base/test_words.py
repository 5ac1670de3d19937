"""The words of every message, by code and language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from pipeline.base import words
from pipeline.base.errors import Wrong
from pipeline.base.message import Message, Option, message, verbatim
from pipeline.base.options import readable
from ui.text import dictionaries


@pytest.fixture
def extensions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ALIGN_STUDIO_EXTENSIONS", str(tmp_path))
    words.catalogues.cache_clear()
    yield tmp_path
    words.catalogues.cache_clear()


@pytest.mark.parametrize(
    ("wanted", "spoken"),
    [("zh-TW,zh;q=0.9,en;q=0.8", "zh"), ("fr-CA,en", "en"), ("fr,zh", "zh"), ("", "en"), ("EN-us", "en"), ("*", "en")],
)
def test_a_browser_is_spoken_to_in_the_first_language_there_is(wanted: str, spoken: str) -> None:
    with words.speaking(wanted):
        assert words.spoken() == spoken
    assert words.spoken() == "en"


def test_values_may_be_messages_options_and_lists() -> None:
    said = message("verbatim", what="{}", why=[message("run.none", run="x"), "y"], next=Option("batch_size", "train"))
    assert said.what == "{}"  # braces of somebody's text are no places for values
    assert (said.why, said.next) == ("There is no run x. Choose one in the tab's history., y", "“Batch size”")
    with words.speaking("zh", flags=True):
        assert (said.why, said.next) == ("没有运行 x。`runs list` 会列出所有运行。、y", "--batch-size")
    assert Message.from_dict(json.loads(json.dumps(said.as_dict()))) == Message(said.code, {**said.values})


def test_a_number_chooses_its_form(extensions: Path) -> None:
    (extensions / "en.json").write_text(json.dumps({"test.count": "{n} {n:|pair|pairs}"}))
    assert [words.say("test.count", n=n) for n in (0, 1, 2)] == ["0 pairs", "1 pair", "2 pairs"]


def test_an_older_homes_words_are_said_as_they_stand() -> None:
    old = Message.from_dict({"what": "It {failed}.", "why": "", "next": "Again."})
    assert old == verbatim("It {failed}.", "", "Again.")
    assert old.said() == "It {failed}. Again."


def test_a_language_is_one_file_outside_the_tree(extensions: Path) -> None:
    (extensions / "fr.json").write_text(
        json.dumps({"run.none": "Il n'y a pas d'exécution {run}.", "tab.train": "Entraîner"})
    )
    assert words.languages() == ["en", "fr", "zh"]
    with words.speaking("fr-CA"):
        assert message("run.none", run=7).said() == "Il n'y a pas d'exécution 7. Choose one in the tab's history."
    assert dictionaries()["fr"]["tab.train"] == "Entraîner"


def test_wrong_values_are_said_in_the_readers_language() -> None:
    class Options(BaseModel, extra="forbid"):
        batch_size: int = Field(4, ge=1)
        block_size: int = 4

        @field_validator("block_size")
        @classmethod
        def _small(cls, value: int) -> int:
            if value > 9:
                raise Wrong("hardware.no_place", place="x", places=["a", "b"])
            return value

    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"batch_size": 0, "block_size": 10, "more": ""})
    plain, labelled = readable(caught.value), readable(caught.value, "train")
    assert plain.what == "3 values cannot be used."
    assert plain.why == (
        "batch_size must be at least 1; it is 0. block_size: There is no place “x”; there are a, b."
        " more is no option here."
    )
    assert plain.next == "Change batch_size, block_size, more, then try again."
    assert labelled.why.startswith("“Batch size” must be at least 1; it is 0.")
    with words.speaking("zh"):
        assert labelled.why.startswith("“批大小”不得小于 1；当前为 0。")
        assert "没有位置“x”；现有：a、b。" in labelled.why
