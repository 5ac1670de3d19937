"""How long work takes on rented hardware: a rough calculation, for want of a former run."""

from __future__ import annotations

from pipeline.hardware.flavors import Flavor
from pipeline.models.shape import ModelShape

# Dense peak of one GPU by NVIDIA's data sheets, 10¹² operations per second: 16 bits with tensor cores, 32 bits without.
_PEAK = {
    "T4": (65, 8.1),
    "L4": (121, 30.3),
    "A10G": (70, 31.2),
    "L40S": (362, 91.6),
    "A100": (312, 19.5),
    "RTX PRO 6000": (500, 125),
    "H200": (989, 67),
}
_USED = (0.15, 0.4)  # share of the peak that a Trainer without compiled kernels reaches; assumed, not measured
_LAYER_S = 0.003  # a layer's forward, recomputed forward and backward, however small: launching its kernels; assumed
START_S = 300.0  # a Job's start: its environment with torch (about 5 GB), the base model; assumed
SAVE_BYTES_PER_S = 50e6  # upload of the model, in 16 bits where an adapter was merged, else in 32; assumed


def compute_seconds(flavor: Flavor, operations: float, *, half: bool) -> float | None:
    """Return the seconds that a number of floating-point operations takes, None for hardware without known peak.

    Args:
        flavor: The machine; one of its GPUs works.
        operations: How many.
        half: Whether they are in 16 bits.
    """
    peak = _PEAK.get(flavor.gpu)
    if peak is None:
        return None
    which = 0 if half else 1
    return operations / (peak[which] * 1e12 * _USED[which])


def training_seconds(
    shape: ModelShape, flavor: Flavor, *, tokens: int, batches: int, lora: bool, half: bool
) -> float | None:
    """Estimate the time of an ORPO run on a Job, its start and the upload of the model included.

    A token costs 2 operations per weight forward and 4 backward (Kaplan et al. 2020, arXiv 2001.08361, §2.1);
    gradient checkpointing adds a second forward: 8 · P in all. With an adapter the gradients of the P weights
    themselves are left out: 6 · P. Divided by the GPU's peak times the share of it that is used; a batch takes no less
    than its layers' launches.

    Args:
        shape: The base model's.
        flavor: The machine.
        tokens: Tokens of all batches and epochs: prompt and completion, for chosen and rejected.
        batches: How many batches they come in.
        lora: Whether an adapter is trained.
        half: Whether it computes in 16 bits.

    Returns:
        Seconds, None for hardware without known peak.
    """
    computing = compute_seconds(flavor, (6.0 if lora else 8.0) * shape.parameters * tokens, half=half)
    if computing is None:
        return None
    training = max(computing, batches * shape.layers * _LAYER_S)
    return START_S + training + (2 if lora else 4) * shape.parameters / SAVE_BYTES_PER_S
