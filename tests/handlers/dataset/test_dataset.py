"""The Dataset tab's handlers: sources that can be had and that cannot, columns chosen by hand, the preview."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.project import names
from pipeline.dataset import task
from pipeline.dataset.project import pairs_of
from pipeline.runs import launch
from pipeline.runs.ledger import Run, State
from pipeline.runs.spec import spec_of
from pipeline.runs.task import Reporter
from pipeline.studio import Studio
from pipeline.visit import FILES, Visit
from tests.handlers.conftest import Built, value
from ui.dataset import load, preview, tab
from ui.handlers import Given, prefixed
from ui.text import speak

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> **bold** [a](javascript:alert(1))"


@pytest.fixture
def carried(visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads are carried at once, in this process, as the supervisor would."""
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(studio.home.path))

    def carry(home: Home, run: Run) -> None:
        spec: dict[str, Any] = json.loads(run.spec.read_text())
        try:
            studio.ledger.end(run.id, State.SUCCEEDED, result=task.load_dataset(spec, Reporter(spec)))
        except StudioError as error:
            studio.ledger.end(run.id, State.FAILED, problem=error.message)

    monkeypatch.setattr(launch, "supervise", carry)


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"prompt": f"Question {n}?", "chosen": f"Good answer {n}.", "rejected": f"Bad answer {n}.", "source": "web"}
        for n in range(count)
    ]


def write(path: Path, lines: list[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def odd(path: Path) -> Path:
    return write(path, ["ask,good,bad\n", *(f"Q{n},yes {n},no {n}\n" for n in range(7))])


def named(built: Built, visit: Visit, path: Path | str, **more: Any) -> Given:
    """Load a file of this machine."""
    return built.call(load.load, visit, form__kind="path", form__path=str(path), **more)


def over(built: Built, visit: Visit, shown: Given) -> Given:
    """Return what is shown when a load has ended."""
    return built.call(load.ended, visit, form__view__ended=shown["form.view.run"])


def draw(built: Built, visit: Visit, project: str) -> Given:
    shown = built.call(preview.draw, visit, page__project=project)
    return {**built.call(tab.draw, visit, page__project=project), **prefixed("preview.", shown)}


def test_an_empty_studio_offers_to_load_one(built: Built, visit: Visit) -> None:
    shown = draw(built, visit, "")
    assert (shown["empty"]["visible"], shown["form.fold"]["open"], shown["preview.box"]["visible"]) == (
        True,
        True,
        False,
    )
    assert shown["form.load"]["variant"] == "primary"
    assert built.call(preview.counted, visit, page__project="", page=1) == {}
    assert built.call(load.resumed, visit) == {}


@pytest.mark.parametrize("kind", tab.KINDS)
def test_each_kind_has_its_panel(built: Built, visit: Visit, kind: str) -> None:
    shown = built.call(tab.choose, visit, form__kind=kind)
    assert [name for name in tab.KINDS if shown[f"form.panels.{name}"]["visible"]] == [kind]
    assert shown["form.load"]["visible"] is (kind != "upload")
    assert shown["form.problem"]["visible"] is False and built.call(tab.calm, visit)["form.problem"]["value"] == ""


def test_the_sample_is_there_at_once(built: Built, visit: Visit) -> None:
    shown = built.call(load.load, visit, form__kind="sample")
    drawn = draw(built, visit, shown["page.project"])
    assert re.search(r"(\d+) of \1 rows", drawn["preview.facts"]) and "Chinese" in drawn["preview.facts"]
    assert drawn["preview.bad_fold"]["visible"] is False and drawn["form.fold"]["open"] is False
    assert value(drawn["preview.table"])["data"][0][5] == "…"  # not counted yet
    speak("zh-CN")
    try:
        assert "拉丁字母" in draw(built, visit, shown["page.project"])["preview.facts"]
    finally:
        speak("en")


def test_pages_are_turned_and_rows_chosen(built: Built, visit: Visit) -> None:
    project = built.call(load.load, visit, form__kind="sample")["page.project"]
    known = {"page__project": project}
    assert built.call(preview.count, visit, **known) == {}
    counted = built.call(preview.counted, visit, **known, page=1)
    assert "words (estimate): Prompt" in counted["facts"]  # offline: no tokenizer, and the unit says so
    assert "1 to 10 of 211" in counted["pager"] and counted["before"]["interactive"] is False
    shown = built.call(preview.forth, visit, **known, page=1)
    assert (shown["page"], "11 to 20 of" in shown["pager"], "Pair 11" in shown["pair.head"]) == (2, True, True)
    assert re.search(r"Chosen · \d+ words", shown["pair.chosen"]["label"])
    last = built.call(preview.forth, visit, **known, page=22)
    assert (last["page"], "211 to 211" in last["pager"], last["after"]["interactive"]) == (22, True, False)
    assert built.call(preview.back, visit, **known, page=1)["page"] == 1
    chosen = built.call(preview.select, visit, **known, event=SimpleNamespace(row_value=["13", "", ""]))
    assert "Pair 13" in chosen["pair.head"]
    late = built.call(preview.counted, visit, **known, page=2, at=chosen["at"])
    assert "Pair 13" in late["pair.head"], "what is counted late takes no reader back to the first pair"
    prompt = pairs_of(visit.project(project))[12].prompt[-1].content
    assert prompt.split()[0] in str(value(chosen["pair.prompt"]))
    assert built.call(preview.select, visit, **known, event=SimpleNamespace(row_value=["9,999"])) == {}


@pytest.mark.parametrize(
    ("path", "why"),
    [("", "No file is named"), ("data.csv", "not a whole path"), ("/no/such.csv", "no such file"), ("/", "a folder")],
)
def test_a_path_that_is_no_file_is_said_before_anything_starts(
    built: Built, visit: Visit, started: list[list[str]], path: str, why: str
) -> None:
    shown = named(built, visit, path)
    assert why in value(shown["form.problem"]) and shown["form.problem"]["visible"]
    assert started == [] and visit.ledger.list() == []


def test_what_cannot_be_read_is_said_by_the_run(built: Built, visit: Visit, carried: None, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    shown = named(built, visit, tmp_path / "bad.parquet")
    assert shown["form.load"]["interactive"] is False
    end = over(built, visit, shown)
    assert end.keys() == {"form.load"} and end["form.load"]["interactive"]
    problem = visit.run(shown["form.view.run"]).problem
    assert problem is not None and "cannot be read" in str(problem)
    assert visit.projects() == []


def test_an_upload_shows_bad_rows_and_hostile_text_as_text(
    built: Built, visit: Visit, carried: None, tmp_path: Path
) -> None:
    lines: list[object] = [
        *rows(2),
        "this is no JSON\n",
        {"prompt": "Same?", "chosen": "same", "rejected": "same"},
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": HOSTILE}],
            "chosen": f"{HOSTILE}\n    indented",
            "rejected": "No.",
            "note": f"see {HOSTILE}",
        },
    ]
    cached = write(tmp_path / "gradio" / "1" / "hostile pairs.jsonl", lines)
    shown = built.call(load.upload, visit, form__file=str(cached))
    assert shown["form.file"] is None and not cached.parent.exists()
    end = over(built, visit, shown)
    assert list(visit.home.uploads.rglob("*.jsonl")) == []
    drawn = draw(built, visit, end["page.project"])
    assert "3 of 5 rows" in drawn["preview.facts"]
    assert drawn["preview.bad_fold"]["label"] == "Rows that are no pairs: 2"
    first, second = value(drawn["preview.bad"])["data"]
    assert first[0] == "3" and "cannot be parsed as JSON" in first[1]
    assert "chosen and rejected are identical" in second[1]
    pair = built.call(preview.select, visit, page__project=end["page.project"], event=SimpleNamespace(row_value=["3"]))
    for part in ("pair.prompt", "pair.chosen", "pair.head"):
        assert "<script" not in str(value(pair[part])) and "<img" not in str(value(pair[part]))
        assert "&lt;script&gt;" in str(value(pair[part]))
    assert value(pair["pair.chosen"])[0]["content"][0]["text"].endswith("\n    indented")
    assert "Be brief." in str(value(pair["pair.prompt"])) and "**bold**" in pair["pair.head"]
    assert built.call(load.upload, visit, form__file=None) == {}
    with pytest.raises(StudioError, match="no file"):  # it does not lie where Gradio puts uploads
        built.call(load.upload, visit, form__file=str(write(tmp_path / "else" / "a.jsonl", list(rows(2)))))


def test_an_unknown_layout_asks_for_its_columns(built: Built, visit: Visit, carried: None, tmp_path: Path) -> None:
    shown = named(built, visit, odd(tmp_path / "odd.csv"))
    asked = over(built, visit, shown)
    assert asked["columns.box"]["visible"] and asked["form.view.run"] == ""
    assert value(asked["columns.raw"])["data"][3] == ["Q3", "yes 3", "no 3"]
    assert "None of them is known to hold" in value(asked["columns.why"])
    assert asked["columns.prompt"]["choices"] == [(name, name) for name in ("ask", "good", "bad")]
    assert asked["columns.chosen"]["choices"] == ["ask", "good", "bad"]
    held = {"columns__held": asked["columns.held"]}
    missing = built.call(load.use_columns, visit, **held, columns__chosen="good", columns__rejected=None)
    assert "not chosen yet" in value(missing["form.problem"])
    picked = {"columns__prompt": ["ask"], "columns__chosen": "good", "columns__rejected": "bad"}
    wrong = built.call(load.use_columns, visit, **held, **{**picked, "columns__rejected": "good"})
    assert over(built, visit, wrong).keys() == {"form.load"}  # it goes on waiting
    end = over(built, visit, built.call(load.use_columns, visit, **held, **picked))
    assert end["columns.box"]["visible"] is False
    facts = draw(built, visit, end["page.project"])["preview.facts"]
    assert "Columns chosen by hand: “ask”, “good” and “bad”." in facts and "7 of 7 rows" in facts
    with pytest.raises(StudioError):  # what was read is not kept any longer
        built.call(load.use_columns, visit, **held, **picked) and over(built, visit, {"form.view.run": "none"})


def test_columns_chosen_make_prompt_and_system_turn_and_the_rest_is_named(
    built: Built, visit: Visit, carried: None, tmp_path: Path
) -> None:
    lines = [
        {"role_play": "Be a cook.", "lead": f"Story {n}.", "ask": f"Q{n}?", "good": "yes", "bad": "no", "seen": "why"}
        for n in range(3)
    ]
    asked = over(built, visit, named(built, visit, write(tmp_path / "odd.jsonl", list(lines))))
    picked = {"columns__prompt": ["lead", "ask"], "columns__chosen": "good", "columns__rejected": "bad"}
    picked |= {"columns__system": "role_play", "columns__held": asked["columns.held"]}
    end = over(built, visit, built.call(load.use_columns, visit, **picked))
    pair = pairs_of(visit.project(end["page.project"]))[0]
    assert [turn.content for turn in pair.prompt] == ["Be a cook.", "Story 0.\n\nQ0?"]
    facts = draw(built, visit, end["page.project"])["preview.facts"]
    assert "lead + ask" in facts and "The system turn is “role_play”" in facts
    assert "Text left unused" in facts and "seen" in facts


def test_columns_by_hand_are_asked_for_in_any_case(built: Built, visit: Visit, carried: None, tmp_path: Path) -> None:
    file = write(tmp_path / "known.jsonl", list(rows(3)))
    asked = over(built, visit, named(built, visit, file, form__by_hand=True))
    assert (value(asked["columns.chosen"]), value(asked["columns.source"])) == ("chosen", "source")
    asked = over(built, visit, built.call(load.load, visit, form__kind="sample", form__by_hand=True))
    assert asked["columns.box"]["visible"]
    left = built.call(load.cancel, visit)
    assert left["columns.box"]["visible"] is False and left["columns.held"] == ""
    assert visit.projects() == []


@pytest.mark.parametrize(
    ("described", "wanted"),
    [
        (["maker/pairs", "main"], ("other", "test", "v2", 250)),
        (["maker/else", "main"], ("", "", "", 250)),  # the pickers are another one's
    ],
)
def test_a_load_from_the_hub_is_a_run(
    built: Built, visit: Visit, started: list[list[str]], described: list[str], wanted: tuple[str, str, str, int]
) -> None:
    hub = {"name": " maker/pairs ", "config": "other", "split": "test", "revision": "v2", "limit": 250}
    fields = {f"form__hub__{name}": given for name, given in hub.items()}
    shown = built.call(load.load, visit, form__kind="hub", **fields, form__hub__described=described)
    run = visit.run(shown["form.view.run"])
    asked = spec_of(run)["wanted"]
    assert (asked["config"], asked["split"], asked["revision"], asked["limit"]) == wanted
    assert (run.kind, run.project, asked["name"], len(started)) == ("load", "", "maker/pairs", 1)
    assert built.call(load.resumed, visit)["form.view.run"] == run.id  # a page that is opened meanwhile shows it
    assert draw(built, visit, "")["form.problem"]["visible"] is False


def test_what_is_foreign_is_not_found(
    built: Built, studio: Studio, visit: Visit, carried: None, tmp_path: Path
) -> None:
    bob = Visit(studio, "bob", may=frozenset())
    project = built.call(load.load, visit, form__kind="sample")["page.project"]
    assert names(bob.home) == []
    for handler in (tab.draw, preview.draw, preview.count, preview.counted, preview.back, preview.forth):
        more = {"page": 1} if "page" in built.of(handler).inputs else {}
        with pytest.raises(StudioError, match="There is no project"):
            built.call(handler, bob, page__project=project, **more)
    run = over(built, visit, named(built, visit, odd(tmp_path / "odd.csv")))["columns.held"]
    with pytest.raises(StudioError, match="There is no run"):
        built.call(load.ended, bob, form__view__ended=run)
    picked = {"columns__chosen": "good", "columns__rejected": "bad", "columns__prompt": ["ask"]}
    said = built.call(load.use_columns, bob, columns__held=run, **picked)
    assert "There is no run" in value(said["form.problem"]) and bob.ledger.list() == []
    assert built.call(load.resumed, bob) == {}
    assert FILES not in bob.may
    assert "owner" in value(named(built, bob, odd(tmp_path / "other.csv"))["form.problem"])


def test_each_owner_loads_for_themselves(
    built: Built, studio: Studio, visit: Visit, carried: None, tmp_path: Path
) -> None:
    bob = Visit(studio, "bob", may=frozenset())
    cached = write(tmp_path / "gradio" / "2" / "theirs.jsonl", list(rows(3)))
    end = over(built, bob, built.call(load.upload, bob, form__file=str(cached)))
    assert bob.projects() == [end["page.project"]] and visit.projects() == []
    sample = built.call(load.load, bob, form__kind="sample")
    assert sample["page.project"] in bob.projects() and visit.projects() == []
