"""The dataset card of an export: where its pairs come from, what was done to them, how to load them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

from pipeline.base import words
from pipeline.base.plain import json_text, markdown
from pipeline.export.options import ExportOptions, ExportPlan, Provenance, Row
from pipeline.filter.recipe import NO_SOURCE, PARTS

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))  # the Hub's size categories

_LOAD = re.compile(r"^pairs = load_dataset\(.*$", re.MULTILINE)
_LICENSE = re.compile(r"^license: (.*)$", re.MULTILINE)

_COLUMNS = {
    name: "column.source" if name == "source" else name
    for name in ("record_id", "prompt", "chosen", "rejected", "source", "swapped", "relevance", "answers")
}


def _said(name: str, **values: object) -> str:
    return words.say(f"card.dataset.{name}", **values)


def render(
    rows: Sequence[Row],
    planned: ExportPlan,
    options: ExportOptions,
    provenance: Provenance,
    language: str = words.ENGLISH,
) -> str:
    """Return the dataset card: front matter that the Hub and `datasets` read, then what a person wants to know.

    Args:
        rows: What is exported.
        planned: Its counts.
        options: The options of the export.
        provenance: Where the pairs come from.
        language: Language of its sentences.
    """
    date = provenance.created[:10]
    with words.speaking(language):
        return "\n\n".join(
            [
                _front_matter(planned, options, provenance),
                f"# {options.name}",
                _said("about", version=provenance.studio_version, date=date, count=provenance.annotators),
                "```python\nfrom datasets import load_dataset\n\n"
                f"pairs = load_dataset({json.dumps(options.name)})  # {_said('load')}\n```",
                f"## {_said('content')}",
                *_content(rows, planned, options, provenance.token_unit),
                f"## {_said('origin')}",
                *_origin(planned, options, provenance),
                f"## {_said('license')}",
                _said("license.unknown"),
                "",
            ]
        )


def for_repository(text: str, repository: str, license: str) -> str:
    """Return a card as it stands in a repository on the Hub.

    Args:
        text: What `render` made.
        repository: Id of the dataset.
        license: The Hub's id of its license.
    """
    text = _LOAD.sub(lambda _: f"pairs = load_dataset({json.dumps(repository)})", text, count=1)
    text = _LICENSE.sub(lambda _: f"license: {license}", text, count=1)
    if license != "unknown":
        for language in words.languages():
            with words.speaking(language):
                text = text.replace(_said("license.unknown"), _said("license.stated", license=license))
    return text


def _front_matter(planned: ExportPlan, options: ExportOptions, provenance: Provenance) -> str:
    """Return the YAML block; strings are written as JSON, which is YAML."""
    size = next((label for limit, label in _SIZES if planned.kept < limit), "100K<n<1M")
    splits = ["train", "test"] if planned.test else ["train"]
    return "\n".join(
        [
            "---",
            f"pretty_name: {json.dumps(options.name)}",
            "license: unknown",
            *([f"language: {json.dumps(provenance.languages)}"] if provenance.languages else []),
            "tags: [preference, orpo, align-studio]",
            f"size_categories: [{size}]",
            *([f"source_datasets: [{json.dumps(provenance.dataset)}]"] if provenance.kind == "hub" else []),
            "configs:",
            "- config_name: default",
            "  data_files:",
            *(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in splits),
            "---",
        ]
    )


def _content(rows: Sequence[Row], planned: ExportPlan, options: ExportOptions, unit: str) -> list[str]:
    """Return what the files hold: pairs by source and split, columns, lengths."""
    found = Counter((row.pair.source or NO_SOURCE, row.split) for row in rows)
    by_source = Counter(row.pair.source or NO_SOURCE for row in rows)
    pairs = [
        (markdown(source), count, found[source, "train"], found[source, "test"])
        for source, count in by_source.most_common()
    ]
    splits = [("train", planned.train, _said("train")), ("test", planned.test, _said("test"))]
    files = f"`{'`, `'.join(f'{split}.jsonl' for split, count, _ in splits if count)}`"
    found_all = (_said("all"), planned.kept, planned.train, planned.test)
    parts = [
        _table([_said("split"), _said("pairs"), _said("made")], [split for split in splits if split[1]]),
        _said("twice", files=files),
        _table([_said("source"), _said("pairs"), _said("column.train"), _said("column.test")], [*pairs, found_all]),
        _said("prompts", prompts=planned.prompts, seed=options.seed),
        _table([_said("column"), _said("meaning")], [(name, _said(meaning)) for name, meaning in _COLUMNS.items()]),
    ]
    counts = [row.counts for row in rows if row.counts is not None]
    if counts:
        lengths = [(_said(f"part.{part}"), [getattr(count, part) for count in counts]) for part in PARTS]
        table = [(part, f"{median(values):g}", max(values), sum(values)) for part, values in lengths]
        heads = [_said("length", unit=unit), _said("median"), _said("longest"), _said("length.all")]
        parts.append(_table(heads, table))
    return parts


def _origin(planned: ExportPlan, options: ExportOptions, provenance: Provenance) -> list[str]:
    """Return how the pairs came here: source, filter, settling, what became of each verdict."""
    source = _source(provenance)
    if provenance.sha256:
        source.append((_said("sha256"), provenance.sha256))
    if provenance.left_out:
        source.append((_said("left_out"), f"{provenance.left_out:,}"))
    if provenance.unused:
        source.append((_said("unused"), ", ".join(map(markdown, provenance.unused))))
    effects = [
        (markdown(effect.label.said()), effect.removes_alone, effect.removes_first)
        for effect in provenance.rule_effects
    ]
    verdicts = [
        ("too_few", options.too_few, planned.dropped["too_few"]),
        ("undecided", options.undecided, planned.dropped["undecided"]),
        ("tie", options.ties, planned.dropped["ties"]),
        ("rejected_better", options.rejected_better, planned.dropped["rejected_better"] or planned.swapped),
    ]
    became = [(_said(verdict), _said(done), count) for verdict, done, count in verdicts]
    policy = [(_said(f"settle.{of}"), _policy(of, by)) for of, by in provenance.settle_policy.items()]
    return [
        _table(["", ""], source),
        *([_table([_said("rule"), _said("alone"), _said("after")], effects)] if effects else []),
        f"{_said('recipe')}\n\n```json\n{json_text(json.dumps(provenance.recipe, ensure_ascii=False, indent=2))}\n```",
        *([_table([_said("several"), _said("by")], policy)] if policy else []),
        _table([_said("verdict"), _said("done"), _said("affected")], became),
    ]


def _policy(of: str, by: object) -> str:
    code = f"settle.{of}.{by}"
    return _said(code) if words.has(f"card.dataset.{code}") else str(by)


def _source(provenance: Provenance) -> list[tuple[str, str]]:
    """Return names and values that say which rows of what were read."""
    if provenance.kind != "hub":
        kind = _said(f"kind.{provenance.kind}") if provenance.kind in ("file", "sample") else provenance.kind
        return [(_said("from"), markdown(provenance.dataset)), (_said("kind"), kind)]
    name, revision = provenance.dataset, provenance.revision
    where = f"https://huggingface.co/datasets/{name}"
    lines = [
        (_said("from"), f"[{name}]({where})"),
        (_said("config"), markdown(provenance.config)),
        (_said("split"), markdown(provenance.split)),
        (_said("revision"), f"[{revision}]({where}/tree/{revision})" if revision else ""),
        (_said("rows"), _said("rows.first", count=provenance.limit) if provenance.limit else _said("all")),
    ]
    return [(name, value) for name, value in lines if value]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; what comes from data is made plain before."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("<", "&lt;")
