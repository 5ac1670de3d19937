"""This machine: processors, memory, GPUs."""

from __future__ import annotations

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

GIB = 1 << 30
_CGROUP = Path("/sys/fs/cgroup")
_PROCESSOR = Path("/proc/cpuinfo")
_BEFORE_AMPERE = ("T4", "V100", "P100", "P40", "K80", "GTX", "RTX 20", "Quadro RTX", "TITAN")


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
        processor_bf16: Whether the processor has instructions for bf16.
    """

    cpus: int
    memory: int
    gpus: tuple[Gpu, ...] = ()
    processor_bf16: bool = False

    @property
    def bf16(self) -> bool:
        """Whether a training run can compute in bf16 without loss of time: on the first GPU, else on the processor."""
        if self.gpus:
            return not any(name in self.gpus[0].name for name in _BEFORE_AMPERE)
        return self.processor_bf16

    @property
    def training_memory(self) -> int:
        """Bytes a training run can use: the first GPU's memory, else main memory."""
        return self.gpus[0].memory if self.gpus else self.memory


def this_machine() -> Hardware:
    """Return what this machine has, limits of a container included."""
    return Hardware(_cpus(), min(psutil.virtual_memory().total, _memory_limit()), _gpus(), _processor_bf16())


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
def _processor_bf16() -> bool:
    """Return whether the processor has avx512_bf16 or amx_bf16: without, bf16 takes about 30 times as long."""
    try:
        text = _PROCESSOR.read_text()
    except OSError:  # no Linux
        return False
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), [])
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


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
