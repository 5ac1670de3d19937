"""What a run learns on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


@dataclass
class State:
    """What is learned on the way."""

    started: float = field(default_factory=time.time)
    pairs: int = 0
    steps: int = 0
    tokens: int = 0
    pairs_seen: int = 0
    precision: str = "none"
    stopped: bool = False
    prompts_cut: int = 0
    completions_cut: int = 0
    sequences_cut: int = 0
    tokenized: int = 0
    checkpoints: set[str] = field(default_factory=set)
    chat_template_added: bool = False
    dtype: Any = None
    model: Any = None
    metrics: dict[str, Any] = field(default_factory=dict)
