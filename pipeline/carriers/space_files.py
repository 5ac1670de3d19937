"""What an AutoTrain Space consists of: AutoTrain's packages from our lock, and the programs that carry one run."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline import engines
from pipeline.base.message import message

TAG = "align-studio-run"  # in the card: by it, and by the variables, a Space is known again without this disk
LABELS = "ALIGN_STUDIO_LABELS"
RUN = "ALIGN_STUDIO_RUN"
PREFIX = "autotrain-"  # as AutoTrain itself names its Spaces
PROGRAMS = Path(engines.__file__).parent / "job"
# The engine's packages are installed while the Space is built, which costs nothing; torch as the program starts, where
# the GPU's driver can be seen. The folder is made before WORKDIR, which would leave it to root.
DOCKERFILE = """\
FROM ghcr.io/astral-sh/uv:python3.11-bookworm
RUN useradd --create-home --uid 1000 user && mkdir /home/user/app && chown user:user /home/user/app
USER user
ENV HOME=/home/user ALIGN_STUDIO_ENGINE=/home/user/engine PYTHONUNBUFFERED=1
WORKDIR /home/user/app
COPY --chown=user lock.txt ./
RUN uv venv --python 3.11 /home/user/engine && uv pip install --no-cache --no-config \
--python /home/user/engine/bin/python --require-hashes --no-deps -r lock.txt
COPY --chown=user space.py run.py ./
EXPOSE 7860
CMD ["python", "space.py"]
"""


def space_name(namespace: str, model: str) -> str:
    """Return the id of the Space that trains a model."""
    return f"{namespace}/{PREFIX}{model}"[:96].rstrip("-.")


def files(title: str, engine: str) -> dict[str, bytes]:
    """Return the Space's files by path; none of them holds anything of the run, and no token.

    Args:
        title: What the card calls it.
        engine: Name of the engine whose packages it has.
    """
    return {
        "README.md": _card(title).encode(),
        "Dockerfile": DOCKERFILE.encode(),
        "lock.txt": (PROGRAMS.parent / engine / "lock.txt").read_bytes(),
        "space.py": (PROGRAMS / "space.py").read_bytes(),
        "run.py": (PROGRAMS / "run.py").read_bytes(),
    }


def _card(title: str) -> str:
    said = message("space.card")
    head = {
        "title": title,
        "emoji": "🎯",
        "colorFrom": "yellow",
        "colorTo": "indigo",
        "sdk": "docker",
        "app_port": 7860,
        "pinned": False,
        "tags": [TAG, "autotrain"],
    }
    # JSON values are YAML values, whatever a title holds.
    lines = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items())
    return f"---\n{lines}\n---\n\n# {said.what}\n\n{said.why}\n"
