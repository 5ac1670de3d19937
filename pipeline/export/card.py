"""The dataset card of an export: where its pairs come from, what was done to them, how to load them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from statistics import median

from pipeline.export.options import ExportOptions, ExportPlan, Provenance, Row
from pipeline.filter.recipe import NO_SOURCE, PARTS

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))  # the Hub's size categories

_LOAD = re.compile(r"^pairs = load_dataset\(.*$", re.MULTILINE)
_LICENSE = re.compile(r"^license: (.*)$", re.MULTILINE)
_LICENSE_TEXT = "Whoever publishes this states the license; the source dataset's own license applies to its texts."

_COLUMNS = {
    "record_id": "Id of the pair, the same in every export of it",
    "prompt": "The turns both completions share, a list of `{role, content}`",
    "chosen": "The preferred completion, a list of `{role, content}` without the prompt",
    "rejected": "The other completion, in the same form",
    "source": "Where the pair comes from",
    "swapped": "Whether reviewers preferred what was the rejected completion, so that the two were exchanged",
    "relevance": "Rating by the reviewers, 1 to 5, or null; in the JSONL files only when every pair has one",
    "answers": "Number of reviewers who answered",
}


def render(rows: Sequence[Row], planned: ExportPlan, options: ExportOptions, provenance: Provenance) -> str:
    """Return the dataset card: front matter that the Hub and `datasets` read, then what a person wants to know."""
    who = f"{provenance.annotators} annotator{'' if provenance.annotators == 1 else 's'}"
    return "\n\n".join(
        [
            _front_matter(planned, options, provenance),
            f"# {options.name}",
            "Preference pairs in TRL's conversational format with an explicit prompt, for ORPO and its like. "
            f"Made with Align Studio {provenance.studio_version} on {provenance.created[:10]}, reviewed by {who}.",
            "```python\nfrom datasets import load_dataset\n\n"
            f"pairs = load_dataset({json.dumps(options.name)})  # this folder, or its repository on the Hub\n```",
            "## Content",
            *_content(rows, planned, options, provenance.token_unit),
            "## Origin",
            *_origin(planned, options, provenance),
            "## License",
            _LICENSE_TEXT,
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
    stated = f"This dataset is published under {license}. The texts of its source keep the source's own license."
    text = _LOAD.sub(lambda _: f"pairs = load_dataset({json.dumps(repository)})", text, count=1)
    text = _LICENSE.sub(lambda _: f"license: {license}", text, count=1)
    return text.replace(_LICENSE_TEXT, stated) if license != "unknown" else text


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
        (source, count, found[source, "train"], found[source, "test"]) for source, count in by_source.most_common()
    ]
    splits = [("train", planned.train, "for training"), ("test", planned.test, "held out for evaluation")]
    parts = [
        _table(["Split", "Pairs", "Made"], [split for split in splits if split[1]]),
        "Each split is there twice, with the same rows: as Parquet under `data/`, which `load_dataset` reads, and as"
        f" `{'`, `'.join(f'{split}.jsonl' for split, count, _ in splits if count)}` for training programs.",
        _table(["Source", "Pairs", "Train", "Test"], [*pairs, ("all", planned.kept, planned.train, planned.test)]),
        f"{planned.prompts} different prompts, none of them in both splits (seed {options.seed}).",
        _table(["Column", "Meaning"], list(_COLUMNS.items())),
    ]
    counts = [row.counts for row in rows if row.counts is not None]
    if counts:
        lengths = [(part, [getattr(count, part) for count in counts]) for part in PARTS]
        table = [(part, f"{median(values):g}", max(values), sum(values)) for part, values in lengths]
        parts.append(_table([f"Length in {unit}", "Median", "Longest", "All"], table))
    return parts


def _origin(planned: ExportPlan, options: ExportOptions, provenance: Provenance) -> list[str]:
    """Return how the pairs came here: source, filter, settling, what became of each verdict."""
    source = _source(provenance)
    if provenance.sha256:
        source.append(("SHA-256 of its file", provenance.sha256))
    effects = [(effect.label, effect.removes_alone, effect.removes_first) for effect in provenance.rule_effects]
    verdicts = [
        ("undecided", options.undecided, planned.dropped["undecided"]),
        ("tie", options.ties, planned.dropped["ties"]),
        ("rejected is better", options.rejected_better, planned.dropped["rejected_better"] or planned.swapped),
    ]
    policy = [(of.replace("_", " "), str(how).replace("_", " ")) for of, how in provenance.settle_policy.items()]
    return [
        _table(["", ""], source),
        *([_table(["Rule", "Pairs removed alone", "After the rules above"], effects)] if effects else []),
        f"Filter recipe:\n\n```json\n{json.dumps(provenance.recipe, ensure_ascii=False, indent=2)}\n```",
        *([_table(["Several answers became one", "By"], policy)] if policy else []),
        _table(["Reviewers say", "What was done", "Pairs dropped or exchanged"], verdicts),
    ]


def _source(provenance: Provenance) -> list[tuple[str, str]]:
    """Return names and values that say which rows of what were read."""
    if provenance.kind != "hub":
        kind = {"file": "a file", "sample": "the sample that comes with Align Studio"}.get(provenance.kind, "")
        return [("Source dataset", provenance.dataset), ("Kind", kind or provenance.kind)]
    name, revision = provenance.dataset, provenance.revision
    where = f"https://huggingface.co/datasets/{name}"
    lines = [
        ("Source dataset", f"[{name}]({where})"),
        ("Configuration", provenance.config),
        ("Split", provenance.split),
        ("Revision", f"[{revision}]({where}/tree/{revision})" if revision else ""),
        ("Rows read", f"the first {provenance.limit:,}" if provenance.limit else "all"),
    ]
    return [(name, value) for name, value in lines if value]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; text from data cannot end a cell or begin HTML."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
