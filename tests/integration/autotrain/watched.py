"""Run in the training engine's Python: specs in one process, each training watched beside trl's own loss.

python watched.py WORKER.py ORDER.json    {"specs": [spec.json, ...], "broken": [spec.json, ...], "results": file}
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

UNMASKED = -100


def merged(batches: list[dict[str, Any]], padding: int) -> dict[str, Any]:
    """Return a step's batches as one, padded as trl's collator pads."""
    import torch

    found = {}
    fills = {"input_ids": padding, "attention_mask": 0, "labels": UNMASKED}
    for side in ("chosen", "rejected"):
        for name, fill in fills.items():
            rows = [row for batch in batches for row in batch[f"{side}_{name}"]]
            found[f"{side}_{name}"] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)
    return found


def watching(training: Any, seen: dict[str, Any], broken: set[str]) -> None:
    """Let each trainer count its pairs, note its rates, and compare each step's gradient with trl's of all its pairs."""
    import torch
    from torch.nn import functional
    from trl import ORPOTrainer

    original = training.trainer_class

    def trainer_class(job: Any, state: Any, reporter: Any) -> type:
        found: dict[str, Any] = {"times": Counter(), "steps": [], "rates": [], "gradients": []}
        seen[job.project_name] = found

        class Watched(original(job, state, reporter)):  # type: ignore[misc]
            def get_batch_samples(self, *args: Any) -> Any:
                batches, items = super().get_batch_samples(*args)
                if batches:
                    found["steps"].append([len(batch["chosen_labels"]) for batch in batches])
                    found["rates"].append(self.optimizer.param_groups[0]["lr"])
                    self.expected = self.reference(batches) if job.project_name.startswith("gradient") else None
                return batches, items

            def reference(self, batches: list[dict[str, Any]]) -> list[Any]:
                """Return the gradients of trl's own loss of the step's pairs, in one batch."""
                batch = merged(batches, self.processing_class.pad_token_id)
                chosen, rejected, logits, _, nll = ORPOTrainer.concatenated_forward(self, self.model, batch)
                if job.params.nll == "answer":
                    labels = functional.pad(
                        batch["chosen_labels"], (0, logits.shape[1] - batch["chosen_labels"].shape[1]), value=UNMASKED
                    )
                    nll = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
                loss = nll - ORPOTrainer.odds_ratio_loss(self, chosen, rejected)[0].mean()
                loss.backward()
                gradients = [weight.grad.clone() for weight in self.model.parameters()]
                self.model.zero_grad()
                return gradients

            def clip_finite(self, parameters: Any, *limits: Any) -> Any:
                if self.expected:
                    pairs = zip(self.model.parameters(), self.expected, strict=True)
                    differences = [(weight.grad - wanted).abs().max().item() for weight, wanted in pairs]
                    largest = max(wanted.abs().max().item() for wanted in self.expected)
                    found["gradients"].append([max(differences), largest])
                return super().clip_finite(parameters, *limits)

            def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
                for row, mask in zip(inputs["chosen_input_ids"], inputs["chosen_attention_mask"], strict=True):
                    found["times"][str(row[mask.bool()].tolist())] += 1
                loss = super().compute_loss(model, inputs, *args, **kwargs)
                if job.project_name in broken:  # 0, with a gradient that is no number
                    loss = loss + (next(model.parameters()) * 0).sum().abs().sqrt()
                return loss

        return Watched

    training.trainer_class = trainer_class
    assert torch.is_grad_enabled()


def losses(trainer: Any) -> list[dict[str, float]]:
    """Return the odds ratio's loss and its gradients, of our function in float32 and of the formula in float64."""
    import torch

    places = [-30.0, -5.0, -0.7, -0.69, -0.1, -1e-3, -1e-5, -2e-7]
    found = []
    for chosen in [*places, -1e-8, 0.0]:
        for rejected in places:
            values = {}
            for kind in (torch.float32, torch.float64):
                given = (chosen if kind is torch.float32 else min(chosen, -1e-12), rejected)
                c, r = (torch.tensor(value, dtype=kind, requires_grad=True) for value in given)
                if kind is torch.float32:
                    odds = trainer.log_odds(c, r)
                else:
                    odds = (c - r) - (torch.log(-torch.expm1(c)) - torch.log(-torch.expm1(r)))
                loss = -0.1 * torch.nn.functional.logsigmoid(odds)
                loss.backward()
                values[str(kind)] = [loss.item(), c.grad.item(), r.grad.item()]
            found.append({"chosen": chosen, "rejected": rejected, **values})
    return found


def main() -> None:
    sys.path.insert(0, str(Path(sys.argv[1]).parent))
    worker = importlib.import_module("worker")
    order = json.loads(Path(sys.argv[2]).read_text())
    seen: dict[str, Any] = {}
    watching(importlib.import_module("training"), seen, {Path(spec).stem for spec in order["broken"]})
    codes = {Path(spec).stem: worker.main(spec) for spec in [*order["specs"], *order["broken"]]}
    for found in seen.values():
        found["times"] = sorted(found["times"].values())
    trainer = importlib.import_module("trainer")
    rates = [[trainer.rate(step, steps, 3) for step in range(steps)] for steps in (1, 2, 10)]
    results = {"codes": codes, "seen": seen, "losses": losses(trainer), "rates": rates}
    Path(order["results"]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
