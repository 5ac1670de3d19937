"""Every text in every language: it can be said, with no other language's words in it; and nothing below the page words."""

from __future__ import annotations

import ast
import functools
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base import words

PIPELINE = Path(__file__).resolve().parents[3] / "pipeline"
PARTS = ("", ".why", ".next")

# What is called the same in all languages: products, formats, methods, and words that stand in data, code or on the Hub.
NAMES = frozenset(
    [
        "Align",
        "Studio",
        "Argilla",
        "AutoTrain",
        "Space",
        "Docker",
        "spaces",
        "Team",
        "Enterprise",
        "Hub",
        "Hugging",
        "OpenAI",
        "NumPy",
        "SQLite",
        "Feather",
        "Avro",
        "pickle",
        "git",
        "lfs",
        "pull",
        "Git",
        "LFS",
        "Face",
        "Job",
        "Jobs",
        "lighteval",
        "MinHash",
        "Python",
        "PyTorch",
        "TruthfulQA",
        "UltraFeedback",
        "ShareGPT",
        "Arrow",
        "Parquet",
        "JSON",
        "Lines",
        "Schema",
        "LoRA",
        "zip",
        "gzip",
        "zstandard",
        "torch",
        "transformers",
        "Kaplan",
        "arXiv",
        "annotators",
        "Ctrl",
        "python",
        "hf",
        "alpha",
        "beta",
        "dropout",
        "loss",
        "nll",
        "owner",
        "secret",
        "token",
        "write",
        "read",
        "true",
        "false",
        "null",
        "none",
        "unknown",
        "A",
        "B",
        "r",
        "x",
        "y",
        "yes",
        "is",
        "m",
        "Submitted",
        "Draft",
        "Publish",
        "My",
        "settings",
        "chosen",
        "rejected",
        "prompt",
        "question",
        "choices",
        "labels",
        "role",
        "content",
        "from",
        "value",
        "system",
        "Human",
        "Assistant",
        "orpo",
        "train",
        "sample",
        "hub",
        "save",
        "follow",
        "runs",
        "stop",
        "pipeline",
        "parquet",
        "pickle",
        "safetensors",
        "annotate",
        "en",
        "zh",
        "json",
        "dry",
        "run",
        "simpo",
        "dpo",
    ]
)
# A name of a file, an option, a variable, an abbreviation, a unit: nobody's language.
NEUTRAL = re.compile(r".*[\d_./:|+-].*|[A-Z]{2,}s?|[GM]iB|[A-Z]|min|h|s")
WORD = re.compile(r"[._]?[A-Za-z][\w.:/|+-]*[A-Za-z0-9]|[A-Za-z]", re.ASCII)
CHINESE = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")


class Sample(str):
    """A value of any kind: text, number, message, list."""

    what = why = next = "X1"

    def said(self) -> str:
        return "X1"

    def __format__(self, spec: str) -> str:
        return "X1"


def samples(pattern: str) -> dict[str, object]:
    """Return a value for each name in a text; where a number chooses the form, a number."""
    fields = [(name, spec or "") for _, name, spec, _ in string.Formatter().parse(pattern) if name]
    return {
        name: 2 if spec.startswith("|") else Sample("X1")
        for name, spec in sorted(fields, key=lambda f: f[1][:1] == "|")
    }


@pytest.mark.parametrize("language", words.languages())
def test_every_text_can_be_said(language: str) -> None:
    with words.speaking(language):
        for code in words.catalogues()[words.ENGLISH]:
            pattern = words.catalogues()[language][code]
            said = words.say(code, **samples(pattern))
            foreign = CHINESE.findall(said) if language == "en" else english(said) if language == "zh" else []
            assert not foreign, f"{code} says {foreign}: {said}; what is called so in all languages belongs into NAMES"


def english(text: str) -> list[str]:
    """Return the English words in a Chinese text."""
    text = re.sub(r"`[^`]*`|https?://\S+|<[^>]+>|--[\w-]+|%(\(\w+\))?[rs]|X1", " ", text)
    return [word for word in WORD.findall(text) if word not in NAMES and not NEUTRAL.fullmatch(word)]


def test_the_word_list_finds_a_sentence_that_was_not_translated() -> None:
    assert english("请检查 Hub，then try again。") == ["then", "try", "again"]
    assert english("请在 ALIGN_STUDIO_HOME 中写 `any thing`，见 tokenizer.json。") == []


# Calls whose first text is a code; and calls that say what they are given.
CODES = frozenset(("StudioError", "message", "Moved", "Problem", "worded"))
SAYS = CODES | frozenset(("verbatim", "stage", "warn", "fail", "tell", "explain", "explained", "start"))
CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_-]+)+")


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Yield the calls in the pipeline that say something: where, the call, and what is called."""
    for path in sorted(PIPELINE.rglob("*.py")):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
                if name in SAYS:
                    yield f"{path.relative_to(PIPELINE)}:{node.lineno}", node, name


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_every_code_that_the_pipeline_says_has_words_and_is_given_what_they_name() -> None:
    known = words.catalogues()[words.ENGLISH]
    for where, call, name in calls():
        first = call.args[0] if call.args else None
        if name not in CODES or not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            continue
        if not CODE.fullmatch(first.value):
            continue
        assert first.value in known, f"{where} says {first.value}, which has no words"
        given = {keyword.arg for keyword in call.keywords}
        texts = [known[f"{first.value}{part}"] for part in PARTS if f"{first.value}{part}" in known]
        named = {field for text in texts for _, field, _, _ in string.Formatter().parse(text) if field}
        assert None in given or named <= given, f"{where}: {first.value} lacks {sorted(named - given)}"


def test_codes_put_together_begin_like_some_in_the_catalogue() -> None:
    known = words.catalogues()[words.ENGLISH]
    for where, call, name in calls():
        first = call.args[0] if call.args else None
        if name in CODES and isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
            begins = str(first.values[0].value)
            assert any(code.startswith(begins) for code in known), f"{where} says {begins}…"


def test_nothing_is_worded_below_the_page() -> None:
    for where, call, _ in calls():
        for part in (*call.args, *(keyword.value for keyword in call.keywords)):
            for node in ast.walk(part):
                text = node.value if isinstance(node, ast.Constant) else None
                assert not (isinstance(text, str) and _sentence(text)), f"{where} words {text!r}"


def _sentence(text: str) -> bool:
    """Return whether a text is a sentence: words with blanks between them, ended, or more than three."""
    many = len(text.split())
    return bool(re.search(r"\b[a-z]{2,}\b", text)) and many > 1 and (many > 3 or text.rstrip()[-1:] in ".!?…")
