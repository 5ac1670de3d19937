"""What the Hub says of a repository to whoever asks now: asked with a short limit, believed for a while."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from huggingface_hub import DatasetInfo, ModelInfo, SpaceInfo
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from pipeline.hub import client
from pipeline.hub.problems import HUB_ERRORS, causes, status
from pipeline.hub.retry import PASSING

T = TypeVar("T")
Kind = Literal["model", "dataset", "space"]
State = Literal["there", "gated", "missing", "no revision", "refused", "unreached"]

TIMEOUT_S = 3.0  # seconds the Hub is waited for: a person waits for the answer
SEARCH_TIMEOUT_S = 6.0
FRESH_S = 60.0
AGAIN_S = 10.0  # after no answer, or the answer that the Hub has a problem


@dataclass(frozen=True)
class Found:
    """One hit of a search.

    Attributes:
        name: Its id.
        downloads: Downloads of the last 30 days.
        likes: Likes.
        private: Whether only some may see it.
        gated: Whether its owner asks for consent first.
    """

    name: str
    downloads: int
    likes: int
    private: bool
    gated: bool

    @classmethod
    def of(cls, info: DatasetInfo | ModelInfo, **more: Any) -> Self:
        """Return the hit that the Hub tells of.

        Args:
            info: The Hub's answer.
            more: The fields a subclass adds.
        """
        return cls(info.id, info.downloads or 0, info.likes or 0, bool(info.private), bool(info.gated), **more)


class Memory(Generic[T]):
    """Answers of the Hub, kept for a while and apart for everyone who asks: what one may see is not another's.

    Args:
        fresh: Seconds an answer is believed, by the answer.
        most: Answers kept; the oldest is forgotten.
    """

    _all: ClassVar[list[Memory[Any]]] = []

    def __init__(self, fresh: Callable[[T], float] = lambda _: FRESH_S, most: int = 500) -> None:
        self._fresh, self._most = fresh, most
        self._answers: OrderedDict[tuple[str, Hashable], tuple[float, T]] = OrderedDict()
        self._guard = threading.Lock()
        self._all.append(self)

    def get(self, key: Hashable, ask: Callable[[], T]) -> T:
        """Return the answer for a key and the present visitor, asked for where none is fresh.

        Args:
            key: What is asked.
            ask: Asks; what it raises is not kept.
        """
        # Not the token itself: nothing that prints this dictionary shall print one.
        whole = (hashlib.sha256((client.token() or "").encode()).hexdigest(), key)
        with self._guard:
            found = self._answers.get(whole)
        if found is not None and time.monotonic() < found[0]:
            return found[1]
        answer = ask()
        with self._guard:
            self._answers[whole] = (time.monotonic() + self._fresh(answer), answer)
            self._answers.move_to_end(whole)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer

    @classmethod
    def forget(cls) -> None:
        """Forget every answer of every memory: the Hub is asked again."""
        for memory in cls._all:
            with memory._guard:
                memory._answers.clear()


@dataclass(frozen=True)
class Seen:
    """A repository as the present visitor sees it.

    Attributes:
        state: there; gated (its files are not given to this visitor); missing (or private); no revision; refused (a
            wrong token, say); unreached (or too busy to answer).
        sha: The revision's commit.
        files: Paths of its files.
        private: Whether it is private.
        gated: Whether it has terms, accepted or not.
        info: All that the Hub said; None where it said no.
        error: What the library raised.
    """

    state: State
    sha: str = ""
    files: frozenset[str] = frozenset()
    private: bool = False
    gated: bool = False
    info: ModelInfo | DatasetInfo | SpaceInfo | None = field(default=None, repr=False)
    error: Exception | None = None

    @property
    def public(self) -> bool:
        """Whether everybody may read its files."""
        return self.state == "there" and not self.private and not self.gated


_seen: Memory[Seen] = Memory(lambda seen: AGAIN_S if seen.state in ("unreached", "refused") else FRESH_S)


def at(kind: Kind, name: str, revision: str = "") -> Seen:
    """Return what the Hub says of a repository; it never raises for what the Hub answers or that it does not.

    Args:
        kind: model or dataset.
        name: Its id.
        revision: Branch, tag or commit; empty: its default branch.
    """
    return _seen.get((kind, name, revision), lambda: _ask(kind, name, revision))


Searches = Callable[..., list[dict[str, Any]]]


def searches(kind: Kind) -> Searches:
    """Return a function that searches as the present visitor, in any thread; it raises what the library raises.

    `HfApi.list_datasets` and `list_models` of huggingface_hub 2.4 ask an unreachable or busy Hub for 23 s: too long for
    a search while typing, which begins anew with the next letter.

    Args:
        kind: model or dataset.
    """
    address, headers = f"{client.api().endpoint}/api/{kind}s", build_hf_headers(token=client.token() or False)

    def search(**wanted: Any) -> list[dict[str, Any]]:
        asked = {name: value for name, value in wanted.items() if value}
        response = get_session().get(address, params=asked, headers=headers, timeout=SEARCH_TIMEOUT_S)
        hf_raise_for_status(response)
        found: list[dict[str, Any]] = response.json()
        return found

    return search


def _ask(kind: Kind, name: str, revision: str) -> Seen:
    api = client.api()
    try:
        info = api.repo_info(name, repo_type=kind, revision=revision or None, timeout=TIMEOUT_S)
    except (*HUB_ERRORS, ValueError) as error:
        return Seen(_state(error), error=error)
    assert isinstance(info, ModelInfo | DatasetInfo | SpaceInfo)
    files = frozenset(sibling.rfilename for sibling in info.siblings or ())
    seen = Seen("there", info.sha or "", files, bool(info.private), bool(info.gated), info)
    if not seen.gated:
        return seen
    try:  # the Hub describes a gated repository to everybody and gives its files to those who accepted
        api.auth_check(name, repo_type=kind)
    except (*HUB_ERRORS, ValueError) as error:
        return Seen(_state(error), seen.sha, files, seen.private, True, info, error)
    return seen


def _state(error: Exception) -> State:
    chain = causes(error)
    for kind, state in _STATES:
        if any(isinstance(cause, kind) for cause in chain):
            return state
    if code := status(error):
        return "unreached" if code in PASSING else "refused"
    offline = any(isinstance(cause, OfflineModeIsEnabled) for cause in chain)
    return "missing" if isinstance(error, ValueError) and not offline else "unreached"  # a name the Hub would not give


_STATES: tuple[tuple[type[Exception], State], ...] = (
    (GatedRepoError, "gated"),  # first: it is a RepositoryNotFoundError too
    (RevisionNotFoundError, "no revision"),
    (RepositoryNotFoundError, "missing"),
)
