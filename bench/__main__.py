"""Run the measurements named on the command line, or all, and print each as a ratio to its baseline."""

from __future__ import annotations

import sys

from bench import argilla_import, doctor, evaluation, filtering, hub, page, reading, training_start, visitors, watching

ALL = {
    "page": page,
    "watching": watching,
    "visitors": visitors,
    "import": argilla_import,
    "reading": reading,
    "training": training_start,
    "evaluation": evaluation,
    "hub": hub,
    "doctor": doctor,
    "filter": filtering,
}


def main(names: list[str]) -> int:
    """Measure; ratios are printed, nothing fails on a slow day."""
    for name in names or ALL:
        for row in ALL[name].measure():
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
