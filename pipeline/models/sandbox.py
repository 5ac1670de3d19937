"""The environment of chat templates, which are programs of a model's author, and a process in which one is tried.

    python -m pipeline.models.sandbox < TRIAL.json

Light to import: a trial starts a process of its own, which is ended when the template takes too much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.engines import budget

SECONDS = 5  # of processor time that one conversation may take; it takes less than a millisecond
MEBIBYTES = 512  # of memory that all of them may take together
FINE, TIME, MEMORY = 0, 3, 4  # how a trial ends


class _Generation(Extension):
    """The tag in which templates put what the assistant says; what is in it is written as it stands."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise(text: str) -> None:
    raise jinja2.TemplateError(text)


def _tojson(value: Any, **options: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False, **options})


def environment() -> ImmutableSandboxedEnvironment:
    """Return transformers' own (`utils/chat_template_utils.py`, 4.48).

    jinja2's immutable sandbox, blocks trimmed, loop controls, `tojson`, `raise_exception`, `strftime_now` and the
    `generation` tag.
    """
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    made.filters["tojson"] = _tojson
    made.globals["raise_exception"] = _raise
    made.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    return made


def tried(
    template: str,
    special: dict[str, str],
    conversations: Iterable[list[dict[str, str]]],
    seconds: float = SECONDS,
) -> str:
    """Render conversations in a process of its own; return what the template takes too much of: time, memory or "".

    Args:
        template: The chat template.
        special: Its special tokens by name.
        conversations: Turns; what the template refuses or makes of them does not matter here.
        seconds: Of processor time that one of them may take.
    """
    trial = json.dumps(
        {"template": template, "special": special, "conversations": list(conversations), "seconds": seconds}
    )
    command = [sys.executable, "-m", "pipeline.models.sandbox"]
    root = Path(__file__).resolve().parents[2]
    keep = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH", "SYSTEMROOT") if name in os.environ}
    process = subprocess.run(command, input=trial.encode(), cwd=root, env=keep, capture_output=True, check=False)
    if process.returncode == FINE:
        return ""
    return "time" if process.returncode in (TIME, -24) else "memory"  # 24: SIGXCPU, for what no signal interrupts


def main() -> int:
    """Render what stands on standard input, in bounds; return how it ended."""
    trial = json.load(sys.stdin)
    with budget.memory(MEBIBYTES):
        try:
            return _render(trial)
        except budget.TooMuch:
            return TIME
        except MemoryError:
            return MEMORY


def _render(trial: dict[str, Any]) -> int:
    seconds = trial["seconds"]
    try:
        with _bounded(seconds):  # what is constant is worked out as it is compiled
            template = environment().from_string(trial["template"])
    except jinja2.TemplateError:
        return FINE
    for turns in trial["conversations"]:
        for ask in (True, False):
            with _bounded(seconds):
                try:
                    template.render(
                        messages=turns, tools=None, documents=None, add_generation_prompt=ask, **trial["special"]
                    )
                except MemoryError:
                    raise
                except Exception:  # whatever it says, it came to an end
                    continue
    return FINE


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    with budget.processor(seconds):
        if sys.platform.startswith("linux"):
            import resource  # noqa: PLC0415 - not on Windows

            used = resource.getrusage(resource.RUSAGE_SELF)
            # One operation in C, such as a power with a million digits, is over before a signal is heard.
            resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + 2 * seconds) + 1, -1))
        yield


if __name__ == "__main__":
    raise SystemExit(main())
