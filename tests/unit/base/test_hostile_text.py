"""Text that attacks where it is shown: on a terminal, in a message, in a card; and names that attack where they are used."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from pipeline.base import project, words
from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.base.message import message
from pipeline.base.plain import code, json_text, markdown, plain
from pipeline.command import main as command_line
from pipeline.dataset import reading, sources
from pipeline.export import writing
from pipeline.export.options import ExportOptions, Provenance
from pipeline.filter.recipe import RuleEffect
from pipeline.models import reference

TERMINAL = {
    "a title is set": "\x1b]0;owned\x07",
    "the screen is cleared": "\x1b[2J\x1b[H",
    "a line is overwritten": "safe\rrm -rf",
    "C1 controls": "\x9b31mred\x9d0;t\x9c",
    "a clipboard is written": "\x1b]52;c;cm0gLXJm\x07",
    "backspaces": "evil\b\b\b\bgood",
    "a bell, a null, a delete": "\x07\x00\x7f",
    "direction is turned": "\u202egnp.exe\u202c",
    "isolates": "\u2066a\u2069\u2067b\u2069",
    "separators of lines": "a\u2028b\u2029c",
}
MARKDOWN = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://127.0.0.1:9/track.png)",
    "[x](javascript:alert(1))",
    "[x]: http://127.0.0.1:9",
    "`</code><b>`",
    "**bold** | another | cell",
    "a\n\n# title\n\n- item",
    "<!-- comment",
    "\\[x](http://127.0.0.1:9)",
    "\\![x](http://127.0.0.1:9)",
    "<http://127.0.0.1:9>",
]
TAGS = {"table", "thead", "tbody", "tr", "th", "td", "p", "h1", "h2", "code", "pre"}  # that a card has by itself
NAMES = [
    "../../etc/passwd",
    "..",
    ".",
    "a\0b",
    "a\nb",
    "x" * 300,
    "\u202egnp.exe",
    "CON",
    "nul.txt",
    "-rf",
    "--help",
    "<img src=x onerror=alert(1)>",
    "$(id)",
    "`id`",
    "; rm -rf ~",
    "%2e%2e%2f",
    "a/b\\c:d",
    "😀",
    "~nobody-is-called-so/x",
    "/" + "x/" * 3000,
    " ",
    "",
]


def controls(text: str) -> list[str]:
    """Return the characters of a text that a terminal or a line's direction obeys."""
    turning = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    return [
        sign
        for sign in text
        if (unicodedata.category(sign) == "Cc" and sign not in "\n\t") or unicodedata.bidirectional(sign) in turning
    ]


@pytest.mark.parametrize("text", TERMINAL.values(), ids=TERMINAL)
def test_controls_are_spelled_out(text: str) -> None:
    assert controls(text) or "\u2028" in text
    assert controls(plain(text)) == []
    assert controls(message("load.no_file", path=text).said()) == []
    assert plain("a\tb\nc é 模型 😀 שלום") == "a\tb\nc é 模型 😀 שלום"


@pytest.mark.parametrize("text", TERMINAL.values(), ids=TERMINAL)
def test_a_command_prints_no_control_of_a_datasets(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "rows.json"
    row = {
        "prompt": f"q {text}",
        "chosen": f"a {text}",
        "rejected": f"b {text}",
        f"col {text}": f"v {text}",
        "source": text,
    }
    file.write_text(json.dumps([row, {**row, "chosen": None, f"other {text}": 1}]))
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(tmp_path / "home"))
    for arguments in (
        ["dataset", "check", str(file)],
        ["dataset", "check", str(file), "--json"],
        ["dataset", "check", str(tmp_path / f"no {text.replace(chr(0), '')}")],
        ["dataset", "load", str(file)],
        ["dataset", "show", "rows"],
        ["dataset", "show", f"p {text}"],
    ):
        assert command_line.main(arguments) in (0, 1, 2)
        printed = capsys.readouterr()
        assert printed.out or printed.err
        assert controls(printed.out) == [] and controls(printed.err) == []
        if "--json" in arguments:
            found = json.loads(printed.out)
            assert any(text.strip() in name for name in found["columns_unused"]), "a program reads what is there"


def test_a_json_document_keeps_its_values() -> None:
    for text in TERMINAL.values():
        written = json_text(json.dumps({"a": text}, ensure_ascii=False, indent=2))
        assert controls(written) == [] and json.loads(written) == {"a": text}


@pytest.mark.parametrize("text", [*MARKDOWN, *TERMINAL.values()])
def test_text_in_a_card_is_text(text: str) -> None:
    page = MarkdownIt("commonmark").enable("table")
    shown = page.render(f"| a | b |\n|---|---|\n| {markdown(text)} | 2 |\n\n`{code(text)}`")
    assert re.findall(r"<(\w+)", shown) == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td", "p", "code"]
    assert "href" not in shown and "src=" not in shown.replace("img src=x", "")


@pytest.mark.parametrize("text", MARKDOWN)
def test_a_dataset_card_shows_sources_columns_and_files_as_text(text: str, tmp_path: Path) -> None:
    rows = [
        {"prompt": f"q{n}", "chosen": f"a {text}", "rejected": f"b {text}", "source": text, f"c {text}": "words of it"}
        for n in range(6)
    ]
    file = tmp_path / f"rows {text.replace('/', ' ')}.json"
    file.write_text(json.dumps(rows))
    loaded = reading.load_file(file)
    origin = Provenance(
        dataset=f"{text}.json",
        kind="file",
        sha256="0" * 64,
        languages=["en"],
        recipe={"contains": text},
        rule_effects=[RuleEffect("contains", message("load.no_file", path=text), 1, 1, [])],
        settle_policy={"preference": "plurality"},
        annotators=0,
        created="2026-11-20T12:00:00+00:00",
        studio_version="0.1.0",
        unused=[f"c {text}"],
    )
    writing.write(loaded.pairs, {}, ExportOptions(name="mine"), tmp_path / "out", origin)
    card = (tmp_path / "out" / "README.md").read_text("utf-8")
    _, _, body = card.partition("\n---\n")
    shown = MarkdownIt("commonmark").enable("table").render(body)
    foreign = set(re.findall(r"<(\w+)", shown)) - TAGS
    assert foreign == set()
    assert "127.0.0.1" not in "".join(re.findall(r'(?:href|src)="([^"]*)"', shown))


@pytest.mark.parametrize("name", NAMES)
def test_a_projects_name_is_letters_digits_and_hyphens_in_its_folder(name: str, tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    made = project.create(home, name)
    assert project.NAME.fullmatch(made.name)
    assert made.folder.resolve().parent == home.projects.resolve()
    assert len(list(home.projects.iterdir())) == 1
    with pytest.raises(StudioError):
        project.find(home, f"../{made.name}" if name == made.name else name)


@pytest.mark.parametrize("name", NAMES)
def test_a_models_name_is_a_folder_or_an_id_and_nothing_else(name: str) -> None:
    found = reference.problem(name)
    assert found is not None
    assert controls(found.said()) == []
    assert words.has(found.code)


@pytest.mark.parametrize("name", [f"{name}.jsonl" for name in NAMES] + NAMES)
def test_a_files_name_is_a_path_of_this_machine_or_refused(name: str, tmp_path: Path) -> None:
    for given in (name, f"{tmp_path}/{name}"):
        with pytest.raises(StudioError) as refused:
            sources.local_file(given)
        assert controls(refused.value.message.said()) == [] and refused.value.next
