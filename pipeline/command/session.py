"""The studio behind one command: settings, sign-in, visit."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.base import words
from pipeline.base.settings import Settings
from pipeline.command.frame import Call
from pipeline.hub import client
from pipeline.studio import Studio
from pipeline.visit import Visit


@contextlib.contextmanager
def session(given: argparse.Namespace, *, hub: bool) -> Iterator[Call]:
    """Open the studio's home for one command; runs that it starts go on after it.

    Args:
        given: The options, as argparse read them.
        hub: Whether the Hub is asked first whose token there is.

    Raises:
        StudioError: The home cannot be used.
    """
    home = getattr(given, "home", None)
    settings = Settings(home=Path(home)) if home else Settings()
    # Supervisors and workers are other processes: they read the same settings from their environment.
    os.environ["ALIGN_STUDIO_HOME"] = str(settings.home)
    os.environ["ALIGN_STUDIO_ENGINES"] = str(settings.engines_folder)
    studio = Studio(settings)
    try:
        if hub:
            studio.sign_in.start()
            studio.sign_in.wait()
        visit = Visit(studio, language=words.spoken())
        with client.acting_as(visit.token):
            yield Call(visit, given, json=getattr(given, "json", False), yes=getattr(given, "yes", False))
    finally:
        studio.sign_in.close()
