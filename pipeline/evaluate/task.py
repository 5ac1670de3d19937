"""Tasks: what models are scored on; each is one file in `tasks/` or in the folder of extensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.base import words
from pipeline.base.members import members
from pipeline.base.message import Message
from pipeline.base.pair import Pair
from pipeline.base.project import Project
from pipeline.train.trainings import TrainedModel

if TYPE_CHECKING:
    from pipeline.evaluate.options import EvaluateOptions


@dataclass(frozen=True)
class Metric:
    """One measure of a task.

    Attributes:
        name: As the engine has it; its words are `evaluate.metric.<name>`, and `card.metric.<name>` on a model's card.
        headline: Whether it is one to look at first, and written on a model's card.
        directed: Whether more of it is better; else neither more nor less is.
        share: Whether it lies between 0 and 1 and is drawn as a bar.
        kind: The Hub's type of it on a model's card.
    """

    name: str
    headline: bool = True
    directed: bool = True
    share: bool = False
    kind: str = "score"

    def called(self, where: str = "evaluate") -> str:
        """Return what people call it, in the present language; its name where nobody has given it words."""
        code = f"{where}.metric.{self.name}"
        return words.say(code) if words.has(code) else self.name


@dataclass(frozen=True)
class Counted:
    """What there is to score.

    Attributes:
        samples: How many.
        problem: What is wrong with them, which stops the evaluation.
    """

    samples: int
    problem: Message | None = None


@dataclass(frozen=True)
class Reading:
    """What one model reads.

    Attributes:
        longest: Tokens of the longest sequence.
        total: Tokens of all sequences.
    """

    longest: int
    total: int


@dataclass(frozen=True)
class Sent:
    """What a Job gets for a task.

    Attributes:
        data: File of the task's data in the Job's work folder; None: it takes its own.
        files: Local files that are sent along, by their place there.
        downloads: Files that it fetches from the Hub, see `pipeline/engines/job/run.py`.
    """

    data: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    downloads: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Source:
    """Where a task's samples can be found by others, for a model's card.

    Attributes:
        repository: Id of the dataset.
        name: Its name for people.
        revision: Its commit, "" where it is not known.
        config: Its configuration, None for the default.
        split: Its split.
    """

    repository: str
    name: str
    revision: str = ""
    config: str | None = None
    split: str = "test"


DATA = "data"  # folder of a task's data in a Job's work folder


class Task:
    """One task; a stock task of lighteval's needs `name`, `metrics`, `samples` and `repository` alone.

    Attributes:
        name: As lighteval and the options have it.
        metrics: Its measures, the most telling first.
        samples: How many there are where they come from the Hub.
        repository: Dataset on the Hub that they come from.
        config: Configuration of that dataset.
        split: Split of that dataset.
        choices: Sequences of a sample at most.
        tokens: Tokens of a sequence, about; and of how many sequences a sample has, on the average.
        slow_from: Samples from which a machine without a GPU is slow.
        unit: What its samples are called: `evaluate.<unit>` has the words.
    """

    name: str = ""
    metrics: tuple[Metric, ...] = ()
    samples: int = 0
    repository: str = ""
    config: str | None = None
    split: str = "test"
    choices: int = 4
    tokens: tuple[int, int] = (250, 4)
    slow_from: int = 200
    unit: str = "samples"

    @property
    def called(self) -> str:
        """What people call it, in the present language; its name where nobody has given it words."""
        code = f"evaluate.{self.name}"
        return words.say(code) if words.has(code) else self.name

    def metric(self, name: str) -> Metric:
        """Return a measure by its name; one that is not declared is no headline."""
        return next((each for each in self.metrics if each.name == name), Metric(name, headline=False))

    def counted(self, project: Project, options: EvaluateOptions) -> Counted:
        """Return how many samples there are, and what is wrong with them."""
        from pipeline.models import reference  # noqa: PLC0415 - declared tasks do not pay for what checks them

        return Counted(self.samples, reference.dataset_problem(self.repository, "evaluation.task_off"))

    def told(self, project: Project, options: EvaluateOptions) -> dict[str, Any]:
        """Return what the worker is told of it, besides its name."""
        return {"data": None}

    def reads_hub(self, options: EvaluateOptions) -> bool:
        """Return whether its samples come from the Hub."""
        return True

    def reading(self, project: Project, options: EvaluateOptions, count: int) -> Reading:
        """Return what a model reads for so many samples."""
        length, sequences = self.tokens
        return Reading(length, count * sequences * length)

    def cares(
        self, project: Project, options: EvaluateOptions, model: TrainedModel, trained: list[Pair]
    ) -> list[Message]:
        """Return where the trained model's training data and this task touch, as far as this project knows."""
        return []

    def few(self, samples: int, available: int) -> Message | None:
        """Return what is to be said of how few samples there are."""
        return None

    def job_problems(self, project: Project, options: EvaluateOptions) -> list[Message]:
        """Return what a Job could not read."""
        return []

    def sent(self, project: Project, options: EvaluateOptions, told: Mapping[str, Any]) -> Sent:
        """Return what a Job gets for it.

        Args:
            project: Holds the data.
            options: The evaluation's.
            told: From `told`.
        """
        return Sent()

    def source(self, told: Mapping[str, Any], dataset: str) -> Source | None:
        """Return where others find its samples; None: nowhere, and a model's card does not name its scores.

        Args:
            told: From `told`, as a run's spec has it.
            dataset: Name of the evaluation's export.
        """
        return Source(self.repository, self.called, config=self.config, split=self.split)


def tasks() -> dict[str, Task]:
    """Return all tasks by name."""
    return {each.name: each for each in members(Task, "pipeline.evaluate.tasks")}


def task_of(name: str) -> Task:
    """Return a task; of a run whose task is not there any more, one that knows its name alone."""
    found = tasks().get(name)
    if found is None:
        found = Task()
        found.name = name
    return found
