"""This machine: processors, memory, GPUs; and how much memory a training run takes."""

from __future__ import annotations

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.models.shape import ModelShape

GIB = 1 << 30
_CGROUP = Path("/sys/fs/cgroup")
_PROCESS = int(0.7e9)  # Python, torch and AutoTrain before any weights, bytes
_LOGIT_BYTES = {"none": 42, "bf16": 15, "fp16": 15}  # per token and vocabulary entry; see training_memory


@dataclass(frozen=True)
class Gpu:
    """One NVIDIA GPU; memory in bytes."""

    name: str
    memory: int


@dataclass(frozen=True)
class Hardware:
    """What a run on this machine can use.

    Attributes:
        cpus: Processors this process may use.
        memory: Main memory this process may use, bytes.
        gpus: GPUs that the NVIDIA driver lists.
    """

    cpus: int
    memory: int
    gpus: tuple[Gpu, ...] = ()

    @property
    def training_memory(self) -> int:
        """Bytes a training run can use: the first GPU's memory, else main memory."""
        return self.gpus[0].memory if self.gpus else self.memory

    @property
    def words(self) -> str:
        """The machine in a few words."""
        here = [f"{self.cpus} processor{'' if self.cpus == 1 else 's'}", f"{size(self.memory)} memory"]
        return ", ".join([*here, *(f"{gpu.name} ({size(gpu.memory)})" for gpu in self.gpus)] if self.gpus else here)


def this_machine() -> Hardware:
    """Return what this machine has, limits of a container included."""
    return Hardware(_cpus(), min(psutil.virtual_memory().total, _memory_limit()), _gpus())


def training_memory(
    shape: ModelShape, *, batch_size: int, tokens: int, lora_rank: int | None, mixed_precision: str
) -> int:
    """Estimate the peak memory of an ORPO run with AutoTrain 0.8.36, gradient checkpointing on.

    ORPO runs chosen and rejected of a batch through the model at once, so T = 2 · batch_size · tokens tokens are in
    memory together. The peak is

        0.7 GB + (4 + c) · P + 12 · W + T · (k · vocabulary + 4 · hidden · layers)

    with P weights loaded in float32 (4 bytes; under autocast c = 2 more for their 16-bit copies), W trained weights
    (gradient 4 bytes, AdamW 8), one float32 hidden state per layer kept by checkpointing, and k bytes per logit: the
    logits, their float32 log-softmax and the gradients of both. k was fitted to peaks measured with SmolLM2-135M on a
    CPU: 42 in float32, 15 with bf16. It gives within 10 % what was measured (LoRA, batch 4, bf16: 2.4 for 2.3 GB at
    126 tokens, 3.2 for 3.1 at 254; float32: 10.0 for 9.8 at 508; full bf16 at 254: 4.8 for 4.8), and too much for full
    float32 training (7.2 for 5.3), whose parts do not peak together. It was not measured on a GPU.

    Args:
        shape: The base model's.
        batch_size: Pairs per batch.
        tokens: Longest sequence, prompt and answer together.
        lora_rank: Rank of the adapter on all linear layers; None trains all weights.
        mixed_precision: bf16, fp16 or none.

    Returns:
        Bytes.
    """
    copies = 0 if mixed_precision == "none" else 2
    trained = shape.parameters if lora_rank is None else lora_rank * shape.adaptable
    per_token = _LOGIT_BYTES[mixed_precision] * shape.vocabulary + 4 * shape.hidden * shape.layers
    return _PROCESS + (4 + copies) * shape.parameters + 12 * trained + 2 * batch_size * tokens * per_token


def size(count: int) -> str:
    """Return a number of bytes in words: GiB, MiB or KiB with one decimal."""
    for unit, name in ((GIB, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1024:.1f} KiB"


def _cpus() -> int:
    """Return the processors this process may use, a container's quota included."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):  # no cgroup v2 here
        return usable
    return usable if quota == "max" else max(1, min(usable, int(quota) // int(period)))


def _memory_limit() -> int:
    """Return the memory limit of the container, bytes; a huge number where there is none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroup v2, v1
        try:
            return int((_CGROUP / name).read_text())
        except (OSError, ValueError):  # not there, or "max"
            continue
    return 1 << 62


@functools.cache
def _gpus() -> tuple[Gpu, ...]:
    """Return what nvidia-smi lists, asked once: GPUs do not come and go."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no driver, or one that does not answer
        return ()
    return parse_gpus(answer)


def parse_gpus(answer: str) -> tuple[Gpu, ...]:
    """Return the GPUs of nvidia-smi's CSV answer with columns name and memory in MiB."""
    gpus = []
    for line in answer.splitlines():
        name, _, memory = line.rpartition(",")
        if name and memory.strip().isdigit():  # "[N/A]" on machines whose GPU shares main memory
            gpus.append(Gpu(name.strip(), int(memory) << 20))
    return tuple(gpus)
