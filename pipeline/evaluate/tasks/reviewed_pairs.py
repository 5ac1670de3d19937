"""Reviewed pairs: does a model prefer what the reviewers preferred, in pairs held out of training?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, Option, message
from pipeline.base.pair import Pair
from pipeline.base.project import Project
from pipeline.engines import protocol, task_data
from pipeline.evaluate.options import EvaluateOptions
from pipeline.evaluate.task import DATA, Counted, Metric, Reading, Sent, Source, Task
from pipeline.export import exported
from pipeline.hub import look
from pipeline.models import reference, tokens
from pipeline.train.lengths import of_split
from pipeline.train.trainings import TrainedModel

TEST_FILE = f"{DATA}/test.jsonl"
_FALLBACK_TOKENS = 1024  # of a pair, where the test split cannot be read
_FEW = 100  # pairs


class ReviewedPairs(Task):
    """The export's test split, written with the chat template of the training run."""

    name = "reviewed_pairs"
    metrics = (
        Metric("pref_acc_norm", share=True, kind="accuracy"),
        Metric("pref_margin_norm", kind="preference_margin"),
        Metric("pref_acc", headline=False),
        Metric("pref_tie", headline=False, directed=False),
        Metric("pref_nan", headline=False, directed=False),
    )
    choices = 2  # chosen, rejected
    slow_from = 1 << 30
    unit = "pairs"

    def counted(self, project: Project, options: EvaluateOptions) -> Counted:
        """Return how many test pairs there are, and what is wrong with them or the template they are written with."""
        if not options.dataset:
            return Counted(0, message("evaluation.no_export"))
        test = exported.split_file(project, options.dataset, "test")
        if test is None or not test.stat().st_size:
            return Counted(0, message("evaluation.no_test", export=options.dataset))
        try:
            count = len(task_data.read(self.name, test))
        except protocol.Problem as error:
            return Counted(0, message("evaluation.test_damaged", detail=message(error.code, **error.values)))
        except ValueError as error:
            return Counted(0, message("evaluation.test_damaged", detail=str(error)))
        if options.tuned and reference.problem(options.tuned) is None and not reference.template_of(options.tuned):
            return Counted(count, message("evaluation.no_template"))
        return Counted(count)

    def told(self, project: Project, options: EvaluateOptions) -> dict[str, Any]:
        """Return the test split, the template, and where the export was published."""
        there = exported.published(project, options.dataset)
        return {
            "data": str(project.exports / options.dataset / "test.jsonl"),
            "chat_template": reference.template_of(options.tuned),
            "published": {"repository": there.repository, "revision": there.revision} if there else None,
        }

    def reads_hub(self, options: EvaluateOptions) -> bool:
        """Return that the pairs are here."""
        return False

    def reading(self, project: Project, options: EvaluateOptions, count: int) -> Reading:
        """Return the tokens of the test split's longest sequence, and of all sequences of so many pairs."""
        file = exported.split_file(project, options.dataset, "test")
        try:
            counts = of_split(file, tokens.counter(reference.path_for_worker(options.tuned))) if file else []
        except StudioError:  # a damaged split is told elsewhere
            counts = []
        if not counts:
            return Reading(_FALLBACK_TOKENS, count * 2 * _FALLBACK_TOKENS)
        longest = max(each.prompt + max(each.chosen, each.rejected) for each in counts)
        whole = sum(2 * each.prompt + each.chosen + each.rejected for each in counts)
        return Reading(longest, round(whole * count / len(counts)))

    def cares(
        self, project: Project, options: EvaluateOptions, model: TrainedModel, trained: list[Pair]
    ) -> list[Message]:
        """Warn of test pairs that were training pairs."""
        if options.dataset == model.dataset:
            return []
        file = exported.split_file(project, options.dataset, "test")
        try:
            test = exported.read_pairs(file) if file else []
        except StudioError:  # a damaged split is told elsewhere
            test = []
        seen = {pair.record_id for pair in trained} & {pair.record_id for pair in test}
        if not seen:
            return []
        names = {"model": model.name, "trained": model.dataset, "export": options.dataset}
        return [message("evaluation.seen", count=len(seen), **names)]

    def few(self, samples: int, available: int) -> Message | None:
        """Say what the number of pairs means for the error."""
        if not 0 < samples < _FEW:
            return None
        numbers = {"pairs": samples, "available": available, "stderr": f"{0.5 / samples**0.5:.2f}"}
        if samples < available:
            return message("evaluation.few_scored", option=Option("max_samples", "evaluate"), **numbers)
        return message("evaluation.few", **numbers)

    def job_problems(self, project: Project, options: EvaluateOptions) -> list[Message]:
        """Refuse an export that a Job cannot read."""
        if not options.dataset:
            return []
        there = exported.published(project, options.dataset)
        if there is None:
            return [message("evaluation.unpublished", export=options.dataset)]
        if look.at("dataset", there.repository, there.revision).state in ("missing", "no revision", "gated"):
            return [message("evaluation.export_gone", repository=there.repository, export=options.dataset)]
        return []

    def sent(self, project: Project, options: EvaluateOptions, told: Mapping[str, Any]) -> Sent:
        """Return the published test split."""
        there = exported.published(project, options.dataset)
        assert there is not None  # see job_problems
        source = {"repo": there.repository, "type": "dataset", "revision": there.revision, "file": "test.jsonl"}
        return Sent(TEST_FILE, downloads=(source | {"to": TEST_FILE},))

    def source(self, told: Mapping[str, Any], dataset: str) -> Source | None:
        """Return the published export, or its name."""
        published = told.get("published") or {}
        name = str(message("card.evaluation.pairs", export=dataset))
        return Source(str(published.get("repository") or dataset), name, str(published.get("revision") or ""))


REVIEWED = ReviewedPairs()
