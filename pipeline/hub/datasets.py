"""Datasets on the Hub: search, what one holds, and its rows as a stream; no code of a repository is ever run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pyarrow as pa
from huggingface_hub import DatasetInfo

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.hub import client, look, parquet
from pipeline.hub.look import Memory, Seen
from pipeline.hub.problems import HUB_ERRORS, causes, explain, redact, status

if TYPE_CHECKING:  # `datasets` takes seconds to import, and most of the app does without it
    from datasets.load import DatasetModule

PREFERENCE_TAGS = frozenset(
    ("dpo", "rlhf", "rlaif", "orpo", "simpo", "kto", "preference", "preferences", "preference-data")
    + ("preference-dataset", "human-feedback", "human-preference", "human-preferences", "reward-modeling")
)
PARQUET_COPY = "refs/convert/parquet"  # where the Hub keeps its own parquet copy of a public dataset
FOUND = 12  # hits of one search
BATCH = 1000  # rows of one table of a stream

_ASKED_TAGS = ("dpo", "rlhf", "preference")
_LOOKED_THROUGH = 40  # hits asked for, out of which the best are shown
_EXPAND: Any = ["downloads", "likes", "tags", "private", "gated", "cardData"]
_IN_NAME = re.compile(r"(^|[^a-z])(dpo|orpo|rlhf|rlaif|simpo|kto|preferences?|hh|ultrafeedback)([^a-z]|$)")
_READ_RETRIES = 6  # times 5 s that `datasets` tries again to read on; its own 20 would be nearly two minutes


@dataclass(frozen=True)
class Found(look.Found):
    """One hit of a search.

    Attributes:
        preference: Whether its tags, columns or name say that it holds preferences.
    """

    preference: bool


@dataclass(frozen=True)
class Config:
    """One configuration of a dataset.

    Attributes:
        name: Its name.
        splits: Names of its splits.
        rows: Rows by split, where the dataset's card tells.
        columns: Names of its columns, where the card tells.
    """

    name: str
    splits: tuple[str, ...]
    rows: dict[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Described:
    """What a dataset holds at one revision.

    Attributes:
        name: Its id.
        sha: The revision's commit.
        configs: Its configurations, the default one first.
        branches: Its branches.
        tags: Its tags.
        copies: Revisions the Hub itself made, such as the parquet copy.
        downloads: Downloads of the last 30 days.
        likes: Likes.
        private: Whether only some may see it.
        gated: Whether it has terms, accepted by this account.
        format: What reads its files: parquet, json, csv, …
    """

    name: str
    sha: str
    configs: tuple[Config, ...]
    branches: tuple[str, ...]
    tags: tuple[str, ...]
    copies: tuple[str, ...]
    downloads: int
    likes: int
    private: bool
    gated: bool
    format: str

    def config(self, name: str) -> Config | None:
        """Return the configuration of this name; the default one for an empty name; None where there is none."""
        return next((config for config in self.configs if config.name == name or not name), None)


@dataclass(frozen=True)
class Chosen:
    """Rows of a dataset on the Hub: everything needed to read the same ones again.

    Attributes:
        name: owner/name.
        config: Its configuration.
        split: Its split.
        revision: The commit.
        limit: Rows read at most, the first ones; None: all.
        rows: Rows the split has, None where its card does not tell.
        format: What reads its files; see `Described.format`.
    """

    name: str
    config: str
    split: str
    revision: str
    limit: int | None = None
    rows: int | None = None
    format: str = ""

    @property
    def expected(self) -> int | None:
        """Rows that will be read; None where it is not known."""
        known = [count for count in (self.limit, self.rows) if count is not None]
        return min(known) if self.rows is not None else self.limit if known else None


_found: Memory[tuple[Found, ...]] = Memory()
_described: Memory[Described] = Memory()


def page(name: str) -> str:
    """Return the address of a dataset's page."""
    return f"{client.api().endpoint}/datasets/{quote(name.strip(), safe='/')}"


def search(words: str, limit: int = FOUND) -> list[Found]:
    """Return datasets whose names have these words: one of exactly this name, then preferences, then by downloads.

    Args:
        words: What somebody typed; empty: the most downloaded ones with a tag of preferences.
        limit: Hits at most.

    Raises:
        StudioError: The Hub is not reached, or does not answer.
    """
    wanted = words.strip()
    try:
        hits = _found.get(wanted, lambda: _search(wanted))
    except (*HUB_ERRORS, ValueError) as error:
        raise explain(error, "hub.cannot.search_datasets") from error
    return list(hits[:limit])


def _search(words: str) -> tuple[Found, ...]:
    search = look.searches("dataset")

    def ask(tag: str) -> list[Found]:
        found = search(search=words, filter=tag, sort="downloads", limit=_LOOKED_THROUGH, expand=_EXPAND)
        return [_hit(DatasetInfo(**{"siblings": None, **each})) for each in found]

    hits = {found.name: found for found in ask("")} if words else {}
    # Many names have a common word; the preference datasets among them need not be the most downloaded.
    if not words or len(hits) >= _LOOKED_THROUGH:
        with ThreadPoolExecutor(len(_ASKED_TAGS)) as threads:
            for more in threads.map(ask, _ASKED_TAGS):
                hits |= {found.name: found for found in more}
    order = sorted(
        hits.values(), key=lambda hit: (hit.name.lower() != words.lower(), not hit.preference, -hit.downloads)
    )
    return tuple(order)


def _hit(info: DatasetInfo) -> Found:
    tags = {tag.lower() for tag in info.tags or ()}
    columns = {name.lower() for names in _card_columns(info).values() for name in names}
    preference = (
        bool(tags & PREFERENCE_TAGS) or {"chosen", "rejected"} <= columns or bool(_IN_NAME.search(info.id.lower()))
    )
    return Found.of(info, preference=preference)


def _card_columns(info: DatasetInfo) -> dict[str, tuple[str, ...]]:
    """Return the columns that a dataset's card lists, by configuration; a card is anybody's text."""
    card: Any = info.card_data.to_dict() if info.card_data else {}
    described = card.get("dataset_info") or []
    found = {}
    for one in described if isinstance(described, list) else [described]:
        features = one.get("features") if isinstance(one, dict) else None
        if isinstance(features, list):
            names = [str(each["name"]) for each in features if isinstance(each, dict) and "name" in each]
            found[str(one.get("config_name") or "default")] = tuple(names)
    return found


def describe(name: str, revision: str = "") -> Described:
    """Return what a dataset holds; neither its rows are downloaded nor code of it is run.

    Args:
        name: owner/name.
        revision: Branch, tag or commit; empty: its default branch.

    Raises:
        StudioError: It is missing, private, gated, empty, a script, or the Hub is not reached.
    """
    wanted = name.strip()
    seen = look.at("dataset", wanted, revision.strip())
    if seen.state != "there":
        raise _refused(wanted, seen)
    return _described.get((wanted, seen.sha), lambda: _describe(wanted, seen))


def _refused(name: str, seen: Seen) -> StudioError:
    """Return why a dataset is not given, with names like it where there is none of this name."""
    error = explain(seen.error or ConnectionError(), _cannot(name) if name else "hub.dataset.unnamed", name)
    if seen.state == "unreached" and not (seen.error and status(seen.error)):
        return StudioError("hub.dataset.unreached", problem=error.message)
    like = _like(name) if seen.state == "missing" and "/" in name else []
    return StudioError("hub.dataset.like", problem=error.message, names=like) if like else error


def _cannot(name: str) -> Message:
    """Return what is said first of a dataset that is not read."""
    return message("hub.cannot.load", name=name)


def _like(name: str) -> list[str]:
    """Return names of datasets like one that does not exist."""
    words = [part for part in re.split(r"[^A-Za-z0-9]+", name.partition("/")[2]) if len(part) > 2]
    tried = [name.partition("/")[2], *sorted(words, key=len, reverse=True)[:2]]
    for attempt in tried:
        try:
            if hits := search(attempt, 3):
                return [hit.name for hit in hits]
        except StudioError:
            return []
    return []


def _describe(name: str, seen: Seen) -> Described:
    info, refs = seen.info, None
    assert isinstance(info, DatasetInfo)
    with contextlib.suppress(*HUB_ERRORS):  # without them the pickers offer the default branch; others can be typed
        refs = client.api().list_repo_refs(name, repo_type="dataset")
    copies = tuple(ref.ref for ref in refs.converts) if refs else ()
    _check_no_script(name, seen, copies)
    module = _module(name, seen.sha)
    return Described(
        name=name,
        sha=seen.sha,
        configs=_configs(module, _card_columns(info)),
        branches=tuple(ref.name for ref in refs.branches) if refs else ("main",),
        tags=tuple(ref.name for ref in refs.tags) if refs else (),
        copies=copies,
        downloads=info.downloads or 0,
        likes=info.likes or 0,
        private=seen.private,
        gated=seen.gated,
        format=module.module_path.rpartition(".")[2],
    )


def _check_no_script(name: str, seen: Seen, copies: tuple[str, ...]) -> None:
    if f"{name.rpartition('/')[2]}.py" not in seen.files:
        return
    if PARQUET_COPY in copies:
        raise StudioError("hub.dataset.script_copied", what=_cannot(name), revision=PARQUET_COPY)
    raise StudioError("hub.dataset.script", what=_cannot(name))


def _configs(module: DatasetModule, columns: dict[str, tuple[str, ...]]) -> tuple[Config, ...]:
    parameters = module.builder_configs_parameters
    infos: dict[str, Any] = dict(module.dataset_infos or {})
    configs = []
    for built in parameters.builder_configs or ():
        info = infos.get(built.name)
        splits = {str(split): int(each.num_examples or 0) for split, each in ((info and info.splits) or {}).items()}
        names = tuple(str(split) for split in built.data_files or ()) or tuple(splits)
        listed = columns.get(built.name) or (tuple(info.features) if info is not None and info.features else ())
        rows = {split: count for split, count in splits.items() if count and split in names}
        configs.append(Config(built.name, names, rows, listed))
    default = parameters.default_config_name
    return tuple(sorted(configs, key=lambda config: config.name != default))


def _module(name: str, sha: str) -> DatasetModule:
    """Return what `datasets` makes of a repository: its files and its card, looked at the way loading does it."""
    from datasets import DownloadConfig  # noqa: PLC0415
    from datasets.load import dataset_module_factory  # noqa: PLC0415

    try:
        return dataset_module_factory(name, revision=sha, download_config=DownloadConfig(token=client.token() or False))
    except Exception as error:  # a card is anybody's text, and what parsing it may raise is not documented
        raise problem(name, error) from error


def choose(name: str, config: str = "", split: str = "", revision: str = "", limit: int | None = None) -> Chosen:
    """Return the rows meant by what somebody chose, the rest filled in from the Hub.

    Args:
        name: owner/name.
        config: Its configuration; empty: the default one.
        split: Its split; empty: train, or the first one.
        revision: Branch, tag or commit; empty: the default branch.
        limit: Rows at most; None: all.

    Raises:
        StudioError: As `describe`; or there is no such configuration or split.
    """
    described = describe(name, revision)
    found = described.config(config.strip())
    what = _cannot(described.name)
    if found is None:
        names = [each.name for each in described.configs[:20]]
        raise StudioError("hub.dataset.no_config", what=what, config=config, names=names or message("list.none"))
    wanted = split.strip() or ("train" if "train" in found.splits or not found.splits else found.splits[0])
    if found.splits and wanted not in found.splits:
        raise StudioError("hub.dataset.no_split", what=what, split=wanted, names=list(found.splits[:20]))
    return Chosen(described.name, found.name, wanted, described.sha, limit, found.rows.get(wanted), described.format)


def stream(chosen: Chosen) -> Generator[pa.Table]:
    """Yield the rows of a dataset, a table of some of them at a time; only what is read is downloaded.

    Args:
        chosen: Which rows.

    Raises:
        StudioError: The Hub is not reached any more, or a file cannot be read.
    """
    from datasets import config  # noqa: PLC0415

    config.STREAMING_READ_MAX_RETRIES = _READ_RETRIES
    left = chosen.limit
    try:
        for table in _tables(chosen, min(BATCH, left or BATCH)):
            yield table if left is None else table.slice(0, left)
            left = None if left is None else left - table.num_rows
            if left is not None and left <= 0:
                return
    except StudioError:
        raise
    except Exception as error:  # hostile files: what the readers of parquet, JSON, CSV may raise is not documented
        raise problem(chosen.name, error, chosen.split) from error


def _tables(chosen: Chosen, rows: int) -> Iterable[pa.Table]:
    """Return the rows of a dataset in tables of some rows."""
    if chosen.format == "parquet":
        return parquet.tables(chosen.name, chosen.config, chosen.split, chosen.revision, rows, chosen.limit is not None)
    from datasets import load_dataset  # noqa: PLC0415

    token, revision = client.token() or False, chosen.revision
    found = load_dataset(chosen.name, chosen.config, split=chosen.split, revision=revision, streaming=True, token=token)
    batches: Iterable[pa.Table] = found.with_format("arrow").iter(batch_size=rows)
    return batches


def problem(name: str, error: Exception, split: str = "") -> StudioError:
    """Return the error for the user for one that `datasets` raised.

    Args:
        name: The dataset.
        error: What was raised.
        split: The split that was wanted.
    """
    from datasets.data_files import EmptyDatasetError  # noqa: PLC0415
    from datasets.exceptions import DataFilesNotFoundError  # noqa: PLC0415

    what = _cannot(name)
    chain, said = causes(error), redact(str(error))[:300]
    if any(isinstance(cause, DataFilesNotFoundError | EmptyDatasetError) for cause in chain):
        return StudioError("hub.dataset.no_files", what=what)
    if "gated dataset" in said:  # datasets 5.2 says so in words where its own check comes first
        return StudioError("hub.gated", what=what, subject=name)
    if isinstance(error, ValueError) and split and "split" in said.lower():
        return StudioError("hub.dataset.no_split_saying", what=what, split=split, said=said)
    if status(error) or isinstance(error, HUB_ERRORS) and not isinstance(error, FileNotFoundError | ValueError):
        return explain(error, what, name)
    return StudioError("hub.dataset.unreadable", what=what, detail=said or type(error).__name__)
