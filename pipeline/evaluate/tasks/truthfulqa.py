"""TruthfulQA's multiple choice, as lighteval has it (Lin, Hilton and Evans 2021, arXiv 2109.07958)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base.message import Message, Option, message
from pipeline.base.pair import Pair
from pipeline.base.project import Project
from pipeline.engines import protocol, task_data
from pipeline.evaluate.options import EvaluateOptions
from pipeline.evaluate.task import DATA, Counted, Metric, Sent, Source, Task
from pipeline.hardware.machine import size
from pipeline.models import reference
from pipeline.train.trainings import TrainedModel

LARGEST_FILE = 20 << 20  # of questions sent along, bytes


class TruthfulQA(Task):
    """Questions about common misbeliefs, from the Hub or from a file."""

    name = "truthfulqa:mc"
    metrics = (
        Metric("truthfulqa_mc1", share=True, kind="mc1"),
        Metric("truthfulqa_mc2", share=True, kind="mc2"),
    )
    samples = 817  # rows of the Hub's truthfulqa/truthful_qa, config multiple_choice
    repository = "truthfulqa/truthful_qa"
    config = "multiple_choice"
    split = "validation"
    choices = 30  # mc1's and mc2's
    tokens = (250, 12)  # with its six example questions
    slow_from = 40  # two processor cores score so many in about half an hour with 135 million parameters
    unit = "questions"

    def counted(self, project: Project, options: EvaluateOptions) -> Counted:
        """Return how many questions there are, and what is wrong with them."""
        if options.truthfulqa_data is None:
            instead = message("evaluation.truthfulqa_instead", option=Option("truthfulqa_data", "evaluate"))
            return Counted(self.samples, reference.dataset_problem(self.repository, instead))
        file = options.truthfulqa_data.expanduser()
        if not file.is_file():
            return Counted(0, message("evaluation.no_file", file=file))
        try:
            return Counted(len(task_data.read(self.name, file)))
        except protocol.Problem as error:
            detail: Message | str = message(error.code, **error.values)
        except (ValueError, OSError) as error:  # pyarrow's errors about damaged files are ValueErrors
            detail = str(error)
        return Counted(0, message("evaluation.no_truthfulqa", file=file.name, detail=detail))

    def told(self, project: Project, options: EvaluateOptions) -> dict[str, Any]:
        """Return the file of the questions, None: from the Hub."""
        file = options.truthfulqa_data
        return {"data": str(file.expanduser().resolve()) if file else None}

    def reads_hub(self, options: EvaluateOptions) -> bool:
        """Return whether the questions come from the Hub."""
        return options.truthfulqa_data is None

    def cares(
        self, project: Project, options: EvaluateOptions, model: TrainedModel, trained: list[Pair]
    ) -> list[Message]:
        """Warn of training pairs that were written for this task."""
        truthy = sum("truthy" in pair.source.lower() for pair in trained)
        return [message("evaluation.truthy", count=truthy, pairs=len(trained))] if truthy else []

    def job_problems(self, project: Project, options: EvaluateOptions) -> list[Message]:
        """Refuse a file that is too large to be sent along."""
        file = options.truthfulqa_data.expanduser() if options.truthfulqa_data else None
        if file is None or not file.is_file() or file.stat().st_size <= LARGEST_FILE:
            return []
        sizes = {"size": size(file.stat().st_size), "most": size(LARGEST_FILE)}
        return [message("evaluation.file_too_large", file=file.name, **sizes)]

    def sent(self, project: Project, options: EvaluateOptions, told: Mapping[str, Any]) -> Sent:
        """Return the file that is sent along, if there is one."""
        if not told.get("data"):
            return Sent()
        place = f"{DATA}/{Path(told['data']).name}"
        return Sent(place, {place: told["data"]})

    def source(self, told: Mapping[str, Any], dataset: str) -> Source | None:
        """Return the Hub's dataset; a file is nobody else's."""
        if told.get("data") is not None:
            return None
        return Source(self.repository, "TruthfulQA (multiple choice)", config=self.config, split=self.split)


TRUTHFULQA = TruthfulQA()
