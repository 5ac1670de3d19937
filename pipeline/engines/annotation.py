"""What the app and the launcher of the embedded Argilla have to agree on; standard library alone."""

from __future__ import annotations

from pathlib import Path

EXIT_LOCKED = 75  # of a second launcher in the same home
HOST = "127.0.0.1"
BY_INVITATION = 5  # version of such accounts' ids, which we give them; Argilla's own are of version 4 (RFC 9562)
# Settings of other installations, tokens, and what makes Argilla believe that it is itself a Space.
FOREIGN = ("ARGILLA_", "SPACE_", "OAUTH", "OAUTH2_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "PERSISTANT_STORAGE")


def boot_id() -> str:
    """Return what tells this boot of the machine from others; empty where the system has no such thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
