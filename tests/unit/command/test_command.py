"""The command line without engines: arguments, output, exit codes, both languages."""

from __future__ import annotations

import argparse
import inspect
import io
import json
import re
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.base.preflight import Preflight
from pipeline.command import main as command_line
from pipeline.command import price, table
from pipeline.command.frame import Call
from pipeline.hardware import flavors
from pipeline.hardware.pricing import JobOptions, quote
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run, State
from tests.tiny_model import make_pairs, make_tiny_model

CHINESE = "[一-鿿]"


@dataclass(frozen=True)
class Done:
    """A finished call."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Do = Callable[..., Done]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ALIGN_STUDIO_ENGINES", str(tmp_path / "engines"))
    return tmp_path / "home"


@pytest.fixture
def do(home: Path, capsys: pytest.CaptureFixture[str]) -> Do:
    """Call the command line in this process."""

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = command_line.main([str(each) for each in arguments])
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return Ledger(open_home(home))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is started for a run: it stays queued."""
    monkeypatch.setattr(launch, "supervise", lambda home, run: None)


def rows(count: int, **more: object) -> list[dict[str, Any]]:
    made = [
        {"prompt": f"Question {n}?", "chosen": f"A long good answer, {n}.", "rejected": f"No, {n}."}
        for n in range(count)
    ]
    return [row | more for row in made]


def write(file: Path, values: list[Any]) -> Path:
    file.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in values), "utf-8")
    return file


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def exported_project(do: Do, home: Path, file: Path, name: str = "first") -> str:
    """Make a project with an export, without a run."""
    project = do("dataset", "load", file, "--json").json["project"]
    folder = home / "projects" / project / "exports" / name
    folder.mkdir(parents=True)
    for split, lines in (("train", make_pairs(32)), ("test", make_pairs(8, seed=1))):
        write(folder / f"{split}.jsonl", [{"record_id": f"{n:016x}", **pair} for n, pair in enumerate(lines)])
    (folder / "export.json").write_text("{}")
    return str(project)


# --- what a file holds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "layout", "used", "unused"),
    [
        (rows(3, topic="rivers"), "explicit", ["prompt", "chosen", "rejected"], ["topic"]),
        (
            [
                {
                    "source": "web",
                    "chosen": [turn("user", f"Why {n}?"), turn("assistant", "Because.")],
                    "rejected": [turn("user", f"Why {n}?"), turn("assistant", "No.")],
                    "question": f"Why {n}?",
                }
                for n in range(3)
            ],
            "mix",
            ["source", "chosen", "rejected"],
            ["question"],
        ),
        (
            [
                {
                    "chosen": f"\n\nHuman: Why {n}?\n\nAssistant: So.",
                    "rejected": f"\n\nHuman: Why {n}?\n\nAssistant: No.",
                }
                for n in range(3)
            ],
            "transcripts",
            ["chosen", "rejected"],
            [],
        ),
    ],
)
def test_check_names_layout_and_columns(
    do: Do, tmp_path: Path, made: list[Any], layout: str, used: list[str], unused: list[str]
) -> None:
    found = do("dataset", "check", write(tmp_path / "pairs.jsonl", made), "--json")
    assert found.code == 0, found
    said = found.json
    assert (said["layout"], said["rows"], said["pairs"], said["unusable"]) == (layout, 3, 3, [])
    assert (said["columns_used"], said["columns_unused"]) == (used, unused)
    assert said["recognised"] and said["name"] == "pairs.jsonl" and said["format"] == "JSON Lines"
    assert set(said["mapping"].values()) == set(used)


def test_check_names_every_unusable_row_with_number_and_reason(do: Do, tmp_path: Path) -> None:
    good = rows(2)
    bad = [good[0] | {"chosen": ""}, "{not json", good[0] | {"rejected": good[0]["chosen"]}]
    found = do("dataset", "check", write(tmp_path / "some.jsonl", [good[0], *bad, good[1]]), "--json")
    assert (found.code, found.json["rows"], found.json["pairs"]) == (0, 5, 2)
    unusable = {row["number"]: row["reason"] for row in found.json["unusable"]}
    assert list(unusable) == [2, 3, 4]
    assert found.json["unusable"][0]["code"].startswith("row.")
    assert "chosen is empty" in unusable[2] and "identical" in unusable[4] and unusable[3]
    shown = do("dataset", "check", tmp_path / "some.jsonl")
    assert "Row 2: chosen is empty" in shown.out and "Unusable rows" in shown.out


def test_check_of_a_file_without_a_pair_names_all_its_rows(do: Do, tmp_path: Path) -> None:
    file = write(tmp_path / "bad.jsonl", [row | {"rejected": row["chosen"]} for row in rows(30)])
    found = do("dataset", "check", file, "--json")
    assert (found.code, found.json["layout"], found.json["rows"], found.json["pairs"]) == (1, "explicit", 30, 0)
    assert [row["number"] for row in found.json["unusable"]] == list(range(1, 31))
    assert "and 10 more" in do("dataset", "check", file).out
    assert do("dataset", "load", file).code == 1


def test_check_of_an_unknown_layout_proposes_columns_and_says_no(do: Do, tmp_path: Path) -> None:
    file = write(tmp_path / "odd.jsonl", [{"ask": "a", "better_one": "b", "worse_one": "c"}] * 2)
    found = do("dataset", "check", file, "--json")
    assert (found.code, found.json["layout"], found.json["pairs"]) == (1, None, 0)
    assert found.json["mapping"] == {"prompt": "ask", "chosen": "better_one", "rejected": "worse_one"}
    assert found.json["columns_unused"] == ["ask", "better_one", "worse_one"]
    assert "--chosen" in do("dataset", "check", file).out
    named = do(
        "dataset", "check", file, "--prompt", "ask", "--chosen", "better_one", "--rejected", "worse_one", "--json"
    )
    assert (named.code, named.json["layout"], named.json["pairs"]) == (0, "columns", 2)
    assert do("dataset", "load", file).code == 1 and do("dataset", "list", "--json").json == {"projects": []}


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv", "pairs.json"])
def test_check_reads_every_format(do: Do, tmp_path: Path, name: str) -> None:
    file, made = tmp_path / name, rows(2)
    sign = "\t" if name.endswith("tsv") else ";"
    if name.endswith("json"):
        file.write_text(json.dumps(made))
    else:
        text = "\n".join([sign.join(made[0]), *(sign.join(row.values()) for row in made)])
        file.write_text(text.replace(", ", " ").replace(";", ","))
    found = do("dataset", "check", file, "--json")
    assert (found.code, found.json["pairs"]) == (0, 2), found


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "nowhere.jsonl"], 1),
        (["check"], 2),
        (["check", "--sample", "--hub", "a/b"], 2),
        (["check", "--sample", "--chosen", "x"], 2),
        (["check", "--sample", "--limit", "many"], 2),
        (["show", "nothing"], 1),
        (["sing"], 2),
    ],
)
def test_errors_are_json_with_a_true_exit_code(do: Do, arguments: list[str], code: int) -> None:
    found = do("dataset", *arguments, "--json")
    assert found.code == code
    assert set(found.json) == {"error", "blockers", "warnings"}
    assert set(found.json["error"]) == {"code", "values", "what", "why", "next"}
    people = do("dataset", *arguments)
    assert people.code == code and people.out == "" and people.err.startswith("error: ")


def test_a_relative_path_is_meant_from_here(do: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "here.jsonl", rows(2))
    monkeypatch.chdir(tmp_path)
    assert do("dataset", "load", "here.jsonl", "--json").json["project"] == "here"
    assert do("dataset", "list").out == "here\n"
    shown = do("dataset", "show", "here", "--json").json
    assert (shown["dataset"]["pairs"], shown["exports"], shown["models"], shown["answers"]) == (2, [], [], 0)


def test_the_home_is_named_on_the_command_line(do: Do, tmp_path: Path) -> None:
    assert do("--home", tmp_path / "other", "dataset", "load", "--sample").code == 0
    assert do("dataset", "list", "--json", "--home", tmp_path / "other").json == {"projects": ["sample"]}


# --- filter and export ---------------------------------------------------------------------------------------------


def test_filter_says_what_each_rule_removes_and_saves(do: Do, tmp_path: Path, tiny: Path) -> None:
    made = [*rows(4), rows(1)[0], rows(1)[0] | {"prompt": "river " * 50}]
    project = do("dataset", "load", write(tmp_path / "six.jsonl", made), "--json").json["project"]
    short = ["--min-chosen-tokens", "0", "--min-rejected-tokens", "0"]
    found = do("filter", project, *short, "--base-model", tiny, "--max-prompt-tokens", 40, "--json").json
    assert (found["total"], found["kept"], found["saved"], found["unit"]) == (6, 4, False, "tokens")
    effects = {rule["rule"]: (rule["removes_alone"], rule["removes_first"]) for rule in found["rules"]}
    assert effects == {"max_prompt_tokens": (1, 1), "drop_duplicates": (1, 1)}
    assert do("filter", project, *short, "--max-prompt-tokens", 40, "--save", "--json").json["saved"] is True
    kept = do("filter", project, "--json").json
    assert (kept["kept"], kept["recipe"]["max_prompt_tokens"]) == (4, 40)
    assert do("filter", project, "--max-prompt-tokens", "none", "--no-drop-duplicates", "--json").json["kept"] == 6
    assert do("filter", project, "--reset", "--json").json["saved"] is False
    text = do("filter", project).out
    assert "Kept 4 of 6 pairs" in text and "Saved" in text
    wrong = do("filter", project, "--min-relevance", "9", "--json")
    assert wrong.code == 2 and "min_relevance must be at most 5" in wrong.json["error"]["why"]


@pytest.mark.usefixtures("still")
def test_export_plans_starts_once_and_returns(do: Do, tmp_path: Path, ledger: Ledger) -> None:
    project = do("dataset", "load", write(tmp_path / "ten.jsonl", rows(10)), "--json").json["project"]
    do("filter", project, "--min-chosen-tokens", "0", "--min-rejected-tokens", "0", "--save")
    planned = do("export", project, "--test-share", "0.2", "--check", "--json").json
    assert (planned["name"], planned["run"], planned["folder"]) == ("ten-v1", None, "")
    assert (planned["counts"]["train"], planned["counts"]["test"]) == (8, 2)
    assert ledger.list() == []
    started = do("export", project, "--test-share", "0.2", "--detach", "--json")
    (run,) = ledger.list()
    assert (started.code, started.json["run"]["id"], started.json["run"]["state"]) == (0, run.id, "queued")
    assert f"runs follow {run.id}" in started.err
    do("export", project, "--test-share", "0.2", "--detach")
    assert len(ledger.list()) == 1
    do("filter", project, "--min-chosen-tokens", "900", "--save")
    empty = do("export", project, "--json")
    assert (empty.code, empty.json["error"]["code"]) == (1, "command.export.filtered")


# --- training and evaluation ---------------------------------------------------------------------------------------


def test_train_checks_and_reports(do: Do, home: Path, tmp_path: Path, tiny: Path, ledger: Ledger) -> None:
    project = exported_project(do, home, write(tmp_path / "pairs.jsonl", rows(4)))
    given = ["train", project, "--base-model", tiny, "--mixed-precision", "none"]
    found = do(*given, "--check", "--epochs", "2", "--no-lora", "--json")
    assert (found.code, found.json["numbers"]["steps"], found.json["numbers"]["pairs"]) == (0, 4, 32)
    assert (found.json["blockers"], found.json["run"], found.json["numbers"]["price"]) == ([], None, None)
    blocked = do(*given, "--check", "--block-size", "4096", "--lora-r", "8", "--no-lora", "--json")
    assert blocked.code == 1 and len(blocked.json["blockers"]) == 1 and len(blocked.json["warnings"]) == 1
    assert "is beyond what the base model reads" in do(*given, "--check", "--block-size", "4096").out
    started = do(*given, "--block-size", "4096", "--lora-r", "8", "--no-lora", "--json")
    assert started.code == 1
    assert started.json["error"] == started.json["blockers"][0] and len(started.json["warnings"]) == 1
    assert "--block-size" in started.json["error"]["next"] or "block_size" in started.json["error"]["next"]
    wrong = do(*given, "--epochs", "many")
    assert wrong.code == 2 and "epochs must be a whole number; it is “many”." in wrong.err
    assert ledger.list() == []


@pytest.mark.usefixtures("still")
def test_train_asked_twice_is_one_run(do: Do, home: Path, tmp_path: Path, tiny: Path, ledger: Ledger) -> None:
    project = exported_project(do, home, write(tmp_path / "pairs.jsonl", rows(4)))
    given = ["train", project, "--base-model", tiny, "--mixed-precision", "none", "--detach", "--json"]
    first, second = do(*given), do(*given)
    assert (first.code, second.code) == (0, 0)
    assert first.json["run"]["id"] == second.json["run"]["id"] == ledger.list()[0].id
    assert first.json["numbers"]["steps"] == 2 and second.json["numbers"] is None


def test_evaluate_takes_the_newest_model_by_name_and_checks(
    do: Do, home: Path, tmp_path: Path, tiny: Path, ledger: Ledger
) -> None:
    project = exported_project(do, home, write(tmp_path / "pairs.jsonl", rows(4)))
    none = do("evaluate", project, "--check", "--tasks", "reviewed_pairs", "--json")
    assert none.code == 1 and none.json["blockers"]
    spec = {"project_name": "mine", "base_model": str(tiny), "dataset": "first"}
    run, _ = ledger.add("train", project, "Train mine", spec)
    ledger.end(run.id, State.SUCCEEDED, result={"model_path": str(shutil.copytree(tiny, tmp_path / "mine"))})
    found = do("evaluate", project, "--check", "--tasks", "reviewed_pairs", "--json")
    assert (found.code, found.json["numbers"]["samples"]) == (0, {"reviewed_pairs": 8}), found
    named = do("evaluate", project, "--tuned", "mine", "--tasks", "reviewed_pairs", "--max-samples", "3", "--check")
    assert named.code == 0 and "reviewed_pairs  3" in named.out
    wrong = do("evaluate", project, "--tasks", "gsm8k")
    assert wrong.code == 2


def test_what_costs_money_is_said_first_and_needs_consent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer = quote(JobOptions(where="job", budget=1), listing=flavors.snapshot())
    found: Preflight[None] = Preflight(None)
    call: Call = Call(None, command_line.argparse.Namespace())  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(StudioError, match="--yes"):
        price.agree(call, offer, found, {})
    assert "US$0.99" in capsys.readouterr().err
    price.agree(Call(None, call.given, yes=True), offer, found, {})  # type: ignore[arg-type]
    assert "US$0.99" in capsys.readouterr().err
    for answer, agreed in (("yes\n", True), ("\n", False), ("no\n", False)):
        terminal = io.StringIO(answer)
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr(sys, "stdin", terminal)
        if agreed:
            price.agree(call, offer, found, {})
        else:
            with pytest.raises(StudioError, match="Nothing was done"):
                price.agree(call, offer, found, {})


# --- runs ----------------------------------------------------------------------------------------------------------


def ended(ledger: Ledger, state: State, number: int = 0) -> Run:
    run, _ = ledger.add("export", "work", f"Export {number}", {"number": number})
    ledger.end(run.id, state)
    return ledger.get(run.id)


@pytest.mark.parametrize(
    ("state", "code"), [(State.SUCCEEDED, 0), (State.FAILED, 1), (State.LOST, 1), (State.CANCELLED, 130)]
)
def test_the_exit_code_says_how_a_run_ended(do: Do, ledger: Ledger, state: State, code: int) -> None:
    run = ended(ledger, state)
    found = do("runs", "follow", run.id, "--json")
    assert (found.code, found.json["state"]) == (code, state.value)
    assert do("runs", "show", run.id, "--json").code == 0


@pytest.mark.usefixtures("still")
def test_runs_are_listed_stopped_and_their_log_read(do: Do, ledger: Ledger) -> None:
    assert do("runs", "list").out == "There are no runs.\n"
    first, second = ended(ledger, State.SUCCEEDED, 1), ledger.add("export", "work", "Export 2", {})[0]
    assert [run["id"] for run in do("runs", "list", "--json").json["runs"]] == [second.id, first.id]
    assert [run["id"] for run in do("runs", "list", "--active", "--json").json["runs"]] == [second.id]
    assert do("runs", "list", "--kind", "train", "--json").json == {"runs": []}
    assert do("runs", "list", "--project", "none", "--json").code == 1
    assert first.id in do("runs", "list").out
    assert do("runs", "stop", second.id).code == 0 and second.stop_file.exists() and not second.kill_file.exists()
    do("runs", "stop", second.id, "--now")
    assert second.kill_file.exists()
    second.log.write_text("one\ntwo\nthree\n")
    assert do("runs", "log", second.id, "--lines", "2").out == "two\nthree\n"
    assert do("runs", "log", first.id, "--json").json == {"run": first.id, "lines": []}
    none = do("runs", "show", "export-1")
    assert none.code == 1 and "runs list" in none.err and "tab" not in none.err


@pytest.mark.usefixtures("still")
def test_ctrl_c_leaves_a_run_and_says_how_to_come_back(do: Do, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    run = ledger.add("export", "work", "Export", {})[0]

    def pressed(seconds: float) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("pipeline.command.follow.time.sleep", pressed)
    found = do("runs", "follow", run.id, "--json")
    assert (found.code, found.json["id"], found.json["state"]) == (130, run.id, "queued")
    assert f"python -m pipeline runs follow {run.id}" in found.err
    assert ledger.get(run.id).active and not run.stop_file.exists()


# --- output --------------------------------------------------------------------------------------------------------


def test_every_output_has_a_schema_and_every_command_is_in_it(do: Do) -> None:
    found = do("schema", "--json")
    assert found.code == 0
    assert list(found.json["commands"]) == [command.name for command in command_line.commands()]
    assert found.json["error"] == {"$ref": "#/$defs/Failure"}
    assert {"Checked", "RunReport", "Training", "Scored"} <= set(found.json["$defs"])
    assert list(do("schema", "runs", "--json").json["commands"]) == [
        command.name for command in command_line.commands() if command.name.startswith("runs")
    ]
    assert json.loads(do("schema").out) == found.json


def test_outputs_hold_what_their_schema_says(do: Do, tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.jsonl", rows(12))
    calls = {
        "dataset check": [file],
        "dataset load": [file],
        "dataset show": ["pairs"],
        "dataset list": [],
        "filter": ["pairs"],
        "runs list": [],
    }
    models = {command.name: command.output for command in command_line.commands()}
    for name, arguments in calls.items():
        found = do(*name.split(), *arguments, "--json")
        model = models[name].model_validate(found.json)  # extra fields would be lost on the way back
        assert json.loads(model.model_dump_json(by_alias=True)) == found.json, name


def test_every_command_explains_itself_in_every_language(do: Do) -> None:
    for language in words.languages():
        with words.speaking(language, flags=True):
            parser = command_line.build()
            for command in command_line.commands():
                with pytest.raises(SystemExit) as end:
                    parser.parse_args([*command.name.split(), "--help"])
                assert end.value.code == 0
    found = do("train", "--help", "--lang", "zh")
    assert found.code == 0 and re.search(CHINESE, found.out)
    assert re.findall("show this|usage:|arguments|options", found.out) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["nonsense"], "参数 STEP：没有选项 'nonsense'（可选："),
        (["train"], "缺少必需的参数：PROJECT"),
        (["train", "x", "--bogus"], "无法识别的参数：--bogus"),
        (["train", "x", "--block-size"], "参数 --block-size：需要一个值"),
        (["train", "x", "--check=3"], "参数 --check：此处不接受值 '3'"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said_in_chinese(do: Do, given: list[str], said: str) -> None:
    done = do("--lang", "zh", *given)
    assert done.code == 2
    assert said in done.err


def test_argparse_says_what_is_translated() -> None:
    source = inspect.getsource(argparse)
    ours = {code: text for code, text in words.catalogues()["en"].items() if code.startswith("command.argparse.")}
    assert len(ours) > 10
    assert [text for text in ours.values() if repr(text)[1:-1] not in source] == []


def test_chinese_is_spoken_throughout(do: Do, tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "pairs.jsonl", [*rows(3, topic="x"), "{}"])
    run = ended(ledger, State.SUCCEEDED)
    outputs = [
        do("dataset", "load", file, "--lang", "zh"),
        do("dataset", "show", "pairs", "--lang", "zh"),
        do("filter", "pairs", "--lang", "zh"),
        do("runs", "list", "--lang", "zh"),
        do("runs", "show", run.id, "--lang", "zh"),
        do("runs", "show", "nothing", "--lang", "zh"),
        do("export", "pairs", "--check", "--lang", "zh"),
    ]
    for done in outputs:
        text = (done.out + done.err).replace(str(tmp_path), "")
        assert re.search(CHINESE, text)
        left = [line for line in text.splitlines() if re.search(r"\b(the|is|are|of|has|not|with|and)\b", line)]
        assert left == [], left
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert do("runs", "show", "nothing").err.startswith("错误")


def test_columns_are_aligned_where_characters_are_wide() -> None:
    lines = table.aligned([("状态", 12), ("ab", 3)], right=(1,)).splitlines()
    assert lines == ["状态  12", "ab     3"]
    assert table.aligned([("a\x1b[31m", "b")]) == "a [31m  b"


def test_a_command_from_one_file_outside_the_tree(do: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extensions = tmp_path / "extensions"
    extensions.mkdir()
    (extensions / "greet.py").write_text(
        "from pydantic import BaseModel\n"
        "from pipeline.command.frame import Command\n"
        "class Greeting(BaseModel):\n    text: str\n"
        "GREET = Command('greet', Greeting, lambda call: Greeting(text='hello'), lambda found: found.text)\n"
    )
    (extensions / "en.json").write_text(json.dumps({"command.greet": "Say hello."}))
    with monkeypatch.context() as context:
        context.setenv("ALIGN_STUDIO_EXTENSIONS", str(extensions))
        words.catalogues.cache_clear()
        assert (do("greet", "--json").json, do("greet").out) == ({"text": "hello"}, "hello\n")
        assert "Say hello." in do("--help").out and "greet" in do("schema", "--json").json["commands"]
    words.catalogues.cache_clear()
    assert do("greet").code == 2
