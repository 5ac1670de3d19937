"""Examine pairs by all checks: notes of each, in several processes where there are many, then all together."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.pair import Pair, as_dicts
from pipeline.engines import budget
from pipeline.engines.examined import Examiner, Limits
from pipeline.models import sandbox, template
from pipeline.train.doctor.check import Check, Found, Sample, Subject, checks
from pipeline.train.doctor.finding import EXAMPLES, RANK, Example, Finding, Report

CHUNK = 500  # pairs noted at once
_ALONE = 3000  # pairs up to which a second process is not worth its start
_WORKERS = 4
_ENDLESS = 1 << 30

Progress = Callable[[int, int], None]
Notes = dict[str, list[Any]]

_subject: Subject | None = None
_examiner: Examiner | None = None


def _take(subject: Subject) -> None:
    """Keep what a process examines with, once for all its chunks."""
    global _subject, _examiner
    with budget.processor(sandbox.SECONDS):
        reader = template.ModelReader(subject.files)
    limits = subject.limits if reader.tokenizer else Limits(_ENDLESS, _ENDLESS, 2 * _ENDLESS)
    _subject, _examiner = subject, Examiner(reader, limits)


def _notes(pairs: Sequence[Pair]) -> Notes:
    """Return the notes of some pairs, by check."""
    assert _subject is not None and _examiner is not None
    samples = []
    for pair in pairs:
        with budget.processor(sandbox.SECONDS):
            seen = _examiner.examine(as_dicts(pair.prompt), as_dicts(pair.chosen), as_dicts(pair.rejected))
        samples.append(Sample(pair, seen))
    return {check.code: list(check.note(_subject, samples)) for check in checks() if check.note}


def _chunks(subject: Subject) -> Iterator[Notes]:
    """Yield the notes of one chunk of pairs after the other, in order."""
    pairs, bare = subject.pairs, replace(subject, pairs=())
    parts = [pairs[start : start + CHUNK] for start in range(0, len(pairs), CHUNK)]
    cores = _cores()
    if len(pairs) <= _ALONE or cores == 1:
        _take(bare)
        yield from map(_notes, parts)
        return
    # Spawned: a process with threads (an app, tokenizers) cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, context, initializer=_take, initargs=(bare,)) as pool:
        try:
            yield from pool.map(_notes, parts)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _cores() -> int:
    try:
        return min(_WORKERS, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on Linux
        return min(_WORKERS, os.cpu_count() or 1)


def examine(
    pairs: Sequence[Pair],
    base_model: str,
    files: template.Files,
    limits: Limits,
    told: Progress | None = None,
    context: int | None = None,
) -> Report:
    """Examine pairs as they would be trained on.

    Args:
        pairs: The train split.
        base_model: Name of the model to train.
        files: What its files say of its text.
        limits: Lengths to which pairs are cut, tokens.
        told: Called with pairs noted so far and in all; what it raises ends the examination.
        context: Longest sequence that the model reads, tokens; None where it is not known.

    Raises:
        StudioError: The model's chat template does not come to an end.
    """
    began = time.monotonic()
    subject = Subject(base_model, files, limits, pairs, context)
    notes: Notes = {}
    done = 0
    try:
        for part in _chunks(subject):
            for code, found in part.items():
                notes.setdefault(code, []).extend(found)
            done = min(len(pairs), done + CHUNK)
            if told:
                told(done, len(pairs))
    except budget.TooMuch as error:
        raise StudioError("doctor.endless", model=base_model, seconds=sandbox.SECONDS) from error
    made = checks()
    judged = [(check, check.judge(subject, notes.get(check.code, []))) for check in made]
    findings = [_finding(check, found, pairs) for check, found in judged if found is not None]
    findings.sort(key=lambda found: RANK[found.severity])
    return Report(
        pairs=len(pairs),
        seconds=round(time.monotonic() - began, 2),
        tokenizer=files.tokenizer is not None,
        findings=findings,
        checks=[check.code for check in made],
    )


def _finding(check: Check, found: Found, pairs: Sequence[Pair]) -> Finding:
    numbers = list(range(1, len(pairs) + 1)) if found.whole else [int(number) for number in found.pairs]
    examples = [] if found.whole else [_example(number, found, pairs) for number in numbers[:EXAMPLES]]
    offered = [each for each in check.remedies if each != "otherwise" or found.settings]
    return Finding(
        code=check.code,
        severity=check.severity,
        count=len(numbers),
        of=len(pairs),
        pairs=[] if found.whole else numbers,
        examples=examples,
        remedies=offered,
        settings=dict(found.settings),
        values=dict(found.values),
    )


def _example(number: int, found: Found, pairs: Sequence[Pair]) -> Example:
    pair = pairs[number - 1]
    return Example(
        number=number,
        record_id=pair.record_id,
        prompt=pair.prompt[-1].content[:160],
        shown=found.shown.get(number, "")[:160],
    )
