"""A home that the studio made before its rebuilding (commit ddb091f), and what that studio itself said of it.

Eight projects, one in each state, and eighteen runs, one of each end; a tiny model was really trained and scored.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

PLACE = "/tmp/align-studio-former"  # where it was made: the only path of a machine in it
HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]  # samples/truthful_mini.jsonl of it was scored
BINARY = {".parquet", ".safetensors", ".arrow", ".db"}  # none but the ledger holds the path


def unpack(root: Path) -> Path:
    """Unpack the former home into a folder and make all paths in it those of that folder.

    Times of change are kept: pages list the project and the export worked on last first.

    Args:
        root: A folder; gets `home` and `tiny-base`, the base model that the trained models come from.

    Returns:
        The home.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(HERE / "home.tar.gz") as tar:
        tar.extractall(root, filter="data")
    for path in root.rglob("*"):
        if path.is_file() and path.suffix not in BINARY:
            before, status = path.read_bytes(), path.stat()
            after = moved(before.decode(), root).encode()
            if after != before:
                path.write_bytes(after)
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    ledger = sqlite3.connect(root / "home" / "ledger.db")
    ledger.create_function("moved", 1, lambda text: text and moved(text, root))
    with ledger:
        ledger.execute("UPDATE runs SET worker = moved(worker), problem = moved(problem), result = moved(result)")
    ledger.close()
    return root / "home"


def said(root: Path) -> dict[str, Any]:
    """Return what the former studio itself said of the home, with the paths of its new place.

    Args:
        root: As in `unpack`.
    """
    read: dict[str, Any] = json.loads(moved((HERE / "said.json").read_text(encoding="utf-8"), root))
    return read


def moved(text: str, root: Path) -> str:
    """Return a text with the paths of the new place."""
    return text.replace(f"{PLACE}/studio", str(CHECKOUT)).replace(PLACE, str(root))
