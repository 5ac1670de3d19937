"""The folder a training leaves behind."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from specification import Job  # type: ignore[import-not-found]
from state import State  # type: ignore[import-not-found]
from trainer import check_weights  # type: ignore[import-not-found]


def save(job: Job, state: State, tokenizer: Any, config: Any) -> None:
    """Complete what AutoTrain saved: merge the adapter, and write the parameters without paths of this machine."""
    if job.params.lora:
        merged = state.model.merge_and_unload()
        # Merged in float32, then in the precision the base model is published in (AutoTrain: always fp16).
        merged = merged.to(state.dtype) if state.dtype is not None else merged
        check_weights(merged)  # float16 ends at 65,504
        folder = _model_folder(job)
        merged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if job.params.merge_adapter:
        for file in job.folder.glob("adapter_*"):
            file.unlink()
    base = Path(job.base_model).name if Path(job.base_model).is_dir() else job.base_model
    _edit_json(_model_folder(job) / "config.json", {"_name_or_path": base})
    values = config.model_dump(exclude={"token", "username", "data_path"})
    values |= {"model": base, "merge_adapter": job.params.merge_adapter}
    _edit_json(job.folder / "training_params.json", values)


def _edit_json(path: Path, values: dict[str, Any]) -> None:
    old = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**old, **values}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _model_folder(job: Job) -> Path:
    """Return the folder of the whole model: beside an adapter that is kept, else the project's own."""
    folder: Path = job.folder
    return folder / "merged" if job.params.lora and not job.params.merge_adapter else folder


def summary(job: Job, state: State) -> dict[str, Any]:
    """Return the values of the `done` event."""
    folder = _model_folder(job)
    return {
        "model_path": str(folder),
        "adapter_path": None if folder == job.folder else str(job.folder),
        "stopped": state.stopped,
        "steps": state.steps,
        "seconds": round(time.time() - state.started, 1),
        "size_bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "dtype": json.loads((folder / "config.json").read_text("utf-8")).get("torch_dtype"),
        "metrics": state.metrics,
        "tokens": state.tokens,
        "pairs_seen": state.pairs_seen,
        "mixed_precision": state.precision,
        "chat_template_added": state.chat_template_added,
    }


def remove_torn(folder: Path, state: State) -> None:
    """Remove what a full disk left unfinished: there must be space to say so. Whole checkpoints stay."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in state.checkpoints:
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.is_file():
            entry.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what AutoTrain and trl put beside the model for their own use."""
    for name in ("autotrain-rows", "autotrain-data", "runs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "training_args.bin").unlink(missing_ok=True)
