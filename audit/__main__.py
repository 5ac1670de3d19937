"""Say what holes the locks' packages have, which remain and why; exit with 1 where one has no reason.

python -m audit [--offline]
"""

from __future__ import annotations

import sys

from audit import published
from audit.holes import LOCKS, Found, Hole, in_locks, known, normal, outdated, packages


def remaining(found: list[Found]) -> list[str]:
    """Return a line for each hole that a lock holds: why it does not reach us, or that nobody said so."""
    return [
        f"{'remains' if one.why else 'OPEN   '} {one.lock}: {one.hole.package} {one.version}, "
        f"{', '.join(one.hole.ids)}: {one.hole.what} {one.why}".rstrip()
        for one in found
    ]


def unknown(lock: str, said: list[published.Published], holes: list[Hole]) -> list[str]:
    """Return a line for each published hole that the committed list does not know."""
    names = {(normal(hole.package), name) for hole in holes for name in hole.ids}
    return [
        f"OPEN    {lock}: {one.package} {one.version}, {', '.join(one.ids)}: published, and not in known.toml; "
        f"fixed in {', '.join(one.fixed) or 'none'}"
        for one in said
        if not names & {(one.package, name) for name in one.ids}
    ]


def main(arguments: list[str]) -> int:
    """Audit all locks."""
    dated, holes = known()
    found = in_locks(holes)
    lines = [*remaining(found), *(f"OPEN    known.toml: {line}" for line in outdated(holes, found))]
    answered = []
    for lock, path in LOCKS.items():
        said = None if "--offline" in arguments else published.ask(path)
        if said is not None:
            answered.append(lock)
            lines += unknown(lock, said, holes)
    count = sum(len({*packages(lock, path.read_text("utf-8"))}) for lock, path in LOCKS.items())
    print(*lines, sep="\n")
    open_ones = sum(line.startswith("OPEN") for line in lines)
    print(
        f"{count} packages in {len(LOCKS)} locks; "
        f"{len(lines) - open_ones} holes remain with a reason, {open_ones} open."
    )
    print(f"Held against the list of {dated} ({len(holes)} holes)", end="")
    print(f" and what is published today, for {', '.join(answered)}." if answered else "; no service answered.")
    return 1 if open_ones else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
