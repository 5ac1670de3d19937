"""trl's ORPOTrainer as it runs here: all pairs in every pass, steps of their own pairs, a loss that stays a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ending  # type: ignore[import-not-found]
from pairs import UNMASKED, cut_prompt  # type: ignore[import-not-found]
from protocol import Problem, Reporter  # type: ignore[import-not-found]
from specification import Job  # type: ignore[import-not-found]
from state import State  # type: ignore[import-not-found]

CERTAIN = -1e-7  # the greatest log-probability whose complement float32 resolves (1 - exp(-1e-7) = 1.2e-7)


@dataclass(frozen=True)
class Step:
    """What an optimizer step is made of.

    Attributes:
        pairs: Pairs of all its batches.
        tokens: Tokens whose loss its language-model term is the mean of.
    """

    pairs: int
    tokens: int


def log1mexp(values: Any) -> Any:
    """Return log(1 - exp(x)) of a tensor x < 0, by the branch that loses no digits (Mächler 2012, eq. 7)."""
    import torch

    near = values > -0.6931471805599453  # -ln 2
    # The other branch's gradient is no number where it is not meant; `where` would let it through.
    small, large = torch.where(near, values, -0.5), torch.where(near, -1.0, values)
    return torch.where(near, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))


def log_odds(chosen: Any, rejected: Any) -> Any:
    """Return the log odds ratio of answers (Hong, Lee and Thorne 2024, eq. 4 and 7), in float32.

    trl 0.13 takes log1p(-exp(x)): of an answer the model is certain of (x = -1e-8) its value is finite and its gradient
    no number. Here such an x counts as -1e-7 and keeps its gradient, whose limit for x → 0 is finite.

    Args:
        chosen: Mean log-probability per token of each chosen answer, nats; shape (pairs,).
        rejected: Of each rejected answer.
    """
    chosen, rejected = (_below_certain(side.float()) for side in (chosen, rejected))
    return (chosen - rejected) - (log1mexp(chosen) - log1mexp(rejected))


def _below_certain(values: Any) -> Any:
    return values + (values.clamp(max=CERTAIN) - values).detach()


def rate(step: int, steps: int, warmup: int) -> float:
    """Return the share of the peak learning rate in a step: never 0, neither in the first step nor in the last.

    Linear as transformers' schedule, which begins at 0 and so wastes a step (of a run of one: all).

    Args:
        step: From 0.
        steps: Of the whole run.
        warmup: Steps of warm-up.
    """
    warmup = min(warmup, steps - 1)
    return (step + 1) / (warmup + 1) if step < warmup else max(0.0, (steps - step) / (steps - warmup))


def trainer_class(job: Job, state: State, reporter: Reporter) -> type:
    """Return trl's ORPOTrainer with what it and transformers 4.48's Trainer get wrong put right.

    - The last batches of a pass are a step of their own: 4.48 takes them or not by a remainder of pairs, not batches.
    - A step's loss is trl's of all its pairs together: the language-model term the mean over its tokens, the odds ratio
      the mean over its pairs, however many batches they come in and however full those are.
    - No learning rate is 0, and the one that is logged is that of its step.
    - A loss or gradient that is no number ends the run before it reaches the weights.
    """
    import torch
    from torch.nn import functional
    from torch.optim.lr_scheduler import LambdaLR
    from trl import ORPOTrainer

    class Trainer(ORPOTrainer):  # type: ignore[misc]
        def __init__(self, *args: Any, processing_class: Any, **kwargs: Any) -> None:
            self.blank = ending.blanks(processing_class.decode)
            super().__init__(*args, processing_class=processing_class, **kwargs)
            self.step = Step(1, 1)
            self.share = self.rate = 0.0
            self.unlogged = 0  # steps since the last log
            self.clip = self.accelerator.clip_grad_norm_
            self.accelerator.clip_grad_norm_ = self.clip_finite

        def build_tokenized_answer(self, prompt: str, answer: str) -> dict[str, Any]:
            """Tokenize an answer and end it after its first end token."""
            found: dict[str, Any] = super().build_tokenized_answer(prompt, answer)
            kept = ending.length(found["input_ids"], self.processing_class.eos_token_id, self.blank)
            return {**found, **{name: found[name][:kept] for name in ("input_ids", "attention_mask")}}

        def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
            """Tokenize a pair and keep the last `max_prompt_length` tokens of its prompt."""
            if state.tokenized == 0:
                reporter.stage("tokenizing", "engines.tokenizing", pairs=state.pairs)
            row: dict[str, Any] = super().tokenize_row(feature, model)
            cut_prompt(row, job.params.max_prompt_length)
            ends = {row[f"{side}_input_ids"][-1] for side in ("chosen", "rejected")}
            state.sequences_cut += ends != {self.processing_class.eos_token_id}
            state.tokenized += 1
            reporter.progress("tokenizing", state.tokenized, state.pairs, "pairs")
            return row

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            """Make the schedule of `rate`."""
            warmup = self.args.get_warmup_steps(num_training_steps)
            optimizer = optimizer or self.optimizer
            self.lr_scheduler = LambdaLR(optimizer, lambda step: rate(step, num_training_steps, warmup))
            self._created_lr_scheduler = True
            return self.lr_scheduler

        def _get_learning_rate(self) -> float:
            return self.rate  # the scheduler is at the next step's by the time of a log

        def get_batch_samples(self, epoch_iterator: Any, num_batches: int) -> tuple[list[Any], None]:
            """Return a step's batches, or those that are left of the pass, and take the measure of the step."""
            batches, _ = super().get_batch_samples(epoch_iterator, self.args.gradient_accumulation_steps)
            if batches:
                pairs = sum(len(batch["chosen_labels"]) for batch in batches)
                self.step = Step(pairs, sum(int(self.counted(batch).sum()) for batch in batches))
                self.rate = self.optimizer.param_groups[0]["lr"]
                self.unlogged += 1
            return batches, None

        def counted(self, batch: dict[str, Any]) -> Any:
            """Return the tokens per pair that the language-model term is the mean of; a first one has no prediction."""
            if job.params.nll == "answer":
                return (batch["chosen_labels"][:, 1:] != UNMASKED).sum(-1)
            return batch["chosen_attention_mask"][:, 1:].sum(-1)

        def concatenated_forward(self, model: Any, batch: dict[str, Any]) -> tuple[Any, ...]:
            """Return trl's results, the language-model term as the batch's part of the step's."""
            chosen, rejected, chosen_logits, rejected_logits, nll, *more = super().concatenated_forward(model, batch)
            counts = self.counted(batch)
            if job.params.nll == "answer":  # the log-probabilities are means per answer token
                nll = -(chosen * counts).sum() / counts.sum()
            nll = nll * (int(counts.sum()) / self.step.tokens / self.share)
            return (chosen, rejected, chosen_logits, rejected_logits, nll, *more)

        def odds_ratio_loss(self, policy_chosen_logps: Any, policy_rejected_logps: Any) -> tuple[Any, ...]:
            """Return what trl's does, from `log_odds`."""
            odds = log_odds(policy_chosen_logps, policy_rejected_logps)
            ratio = functional.logsigmoid(odds)
            rewards = (self.beta * side.detach() for side in (policy_chosen_logps, policy_rejected_logps))
            return (self.beta * ratio, *rewards, ratio.mean(), odds.mean())

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """Return a batch's part of its step's loss, times the batches that transformers divides it by."""
            pairs = len(inputs["chosen_labels"])
            self.share = pairs / self.step.pairs
            loss = super().compute_loss(model, inputs)
            if not torch.isfinite(loss):
                raise Problem("engines.not_finite", step=self.state.global_step + 1)
            state.pairs_seen += pairs
            state.tokens += int(inputs["chosen_attention_mask"].sum() + inputs["rejected_attention_mask"].sum())
            return loss * self.share * self.args.gradient_accumulation_steps

        def clip_finite(self, parameters: Any, *limits: Any) -> Any:
            """Clip gradients, unless their norm is no number; with fp16 the scaler leaves such steps out itself."""
            norm = self.clip(parameters, *limits)
            if self.accelerator.scaler is None and not torch.isfinite(norm):
                raise Problem("engines.gradient_not_finite", step=self.state.global_step + 1)
            return norm

        def store_metrics(self, metrics: dict[str, float], train_eval: str = "train") -> None:
            """Keep a batch's metrics as parts of its step's."""
            super().store_metrics({name: value * self.share for name, value in metrics.items()}, train_eval)

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            """Log the means over steps; trl's own are over batches, whatever their size."""
            stored = self._stored_metrics["train"]
            for name, parts in stored.items():
                stored[name] = [sum(parts) / max(1, self.unlogged)]
            if "loss" in logs:
                self.unlogged = 0
            super().log(logs, start_time)

    return Trainer


def check_weights(model: Any) -> None:
    """Refuse weights that are no numbers.

    Raises:
        Problem: Names how many of the tensors.
    """
    import torch

    tensors = model.state_dict()
    bad = [name for name, weight in tensors.items() if not bool(torch.isfinite(weight).all())]
    if bad:
        raise Problem("engines.weights_not_finite", count=len(bad), tensors=len(tensors), first=bad[0])
