"""Datasets on the Hub: found, described and streamed by the libraries as they are, from the Hub double."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.dataset import reading, sources
from pipeline.dataset.project import Counted
from pipeline.export.options import ExportOptions
from pipeline.export.task import _provenance
from pipeline.hub import client, datasets, look
from tests import mix
from tests.doubles.hub import HubDouble


@pytest.fixture(autouse=True)
def asked_afresh() -> None:
    """Every test asks the Hub itself."""
    look.Memory.forget()


@pytest.fixture(scope="module")
def mix_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 44,245 rows: 68 MB, row groups of 1,000 rows as `datasets` writes them."""
    return mix.write(tmp_path_factory.mktemp("mix") / "train.parquet")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def lines(count: int, name: str = "q") -> bytes:
    rows = ({"prompt": f"{name}{n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(count))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def card(*tags: str, more: str = "") -> bytes:
    return ("---\ntags:\n" + "".join(f"- {tag}\n" for tag in tags) + more + "---\n# A dataset\n").encode()


TWO_CONFIGS = """configs:
- config_name: plain
  default: true
  data_files:
  - {split: train, path: plain/train.jsonl}
  - {split: test, path: plain/test.jsonl}
- config_name: other
  data_files:
  - {split: validation, path: other/val.jsonl}
"""


def problem(name: str, **chosen: str) -> StudioError:
    with pytest.raises(StudioError) as raised:
        datasets.choose(name, **chosen)
    return raised.value


def test_preference_datasets_come_first_in_a_search(hub: HubDouble, unique: str) -> None:
    hub.add_repo("dataset", f"many/{unique}-web", {"README.md": card("text")}, downloads=900_000, likes=7)
    hub.add_repo("dataset", f"few/{unique}-one", {"README.md": card("rlhf")}, downloads=3)
    hub.add_repo("dataset", f"more/{unique}-two", {"README.md": card("DPO")}, downloads=30, gated=True)
    columns = "dataset_info:\n  features:\n  - {name: chosen, dtype: string}\n  - {name: rejected, dtype: string}\n"
    hub.add_repo("dataset", f"told/{unique}-columns", {"README.md": card("text", more=columns)}, downloads=20)
    hits = datasets.search(unique)
    assert [hit.name.split("/")[0] for hit in hits] == ["more", "told", "few", "many"]
    assert [hit.preference for hit in hits] == [True, True, True, False]
    assert (hits[0].gated, hits[0].downloads, hits[3].likes) == (True, 30, 7)
    assert datasets.search(f"many/{unique}-web")[0].name == f"many/{unique}-web"
    asked = len(hub.requests)
    assert datasets.search(unique) == hits and len(hub.requests) == asked  # a minute's answers are kept
    assert datasets.search(f"{unique} nowhere") == []


def test_what_one_visitor_may_see_is_not_shown_to_another(hub: HubDouble, unique: str) -> None:
    token, stranger = hub.add_user(unique), hub.add_user(f"{unique}x")
    name = f"{unique}/secret"
    hub.add_repo("dataset", name, {"train.jsonl": lines(4)}, private=True)
    for _ in range(2):  # the second time from memory
        with client.acting_as(token):
            assert datasets.describe(name).private and [hit.name for hit in datasets.search(name)] == [name]
            assert reading.read_hub(datasets.choose(name)).total == 4
        for other in (None, stranger):
            with client.acting_as(other):
                assert datasets.search(name) == []
                said = problem(name)
                assert "private" in said.why and "sign in" in said.next
    assert datasets.page(name) == f"{hub.url}/datasets/{name}"


def test_a_dataset_is_described_without_downloading_its_rows(hub: HubDouble, unique: str) -> None:
    name = f"{unique}/two"
    files = {"plain/train.jsonl": lines(30), "plain/test.jsonl": lines(5), "other/val.jsonl": lines(7)}
    hub.add_repo("dataset", name, {"README.md": card("dpo", more=TWO_CONFIGS), **files}, downloads=5, likes=2)
    hub.add_branch("dataset", name, "dev")
    first = hub.commits("dataset", name)[0].id
    hub.add_commit("dataset", name, {"plain/train.jsonl": lines(31)})
    asked = len(hub.requests)
    found = datasets.describe(name)
    assert [(each.name, each.splits) for each in found.configs] == [
        ("plain", ("train", "test")),
        ("other", ("validation",)),
    ]
    assert set(found.branches) == {"main", "dev"} and (found.downloads, found.likes) == (5, 2)
    assert not any("jsonl" in request.path or "cdn" in request.path for request in hub.requests[asked:])
    assert datasets.choose(name).rows is None and datasets.choose(name).split == "train"
    assert datasets.choose(name, "other").split == "validation"
    assert found.sha != first and datasets.choose(name, revision="dev").revision == first
    assert reading.read_hub(datasets.choose(name)).total == 31
    assert reading.read_hub(datasets.choose(name, revision=first)).total == 30
    assert reading.read_hub(datasets.choose(name, "plain", "test")).rows[4]["prompt"] == "q4"
    assert "no configuration “third”" in problem(name, config="third").why
    assert "no split “dev”. It has train, test" in problem(name, split="dev").why
    assert "no such revision" in problem(name, revision="v9").why


def test_the_troubles_of_datasets_are_told_apart(hub: HubDouble, unique: str) -> None:
    token = hub.add_user(unique)
    hub.add_repo("dataset", f"own/{unique}-gated", {"train.jsonl": lines(3)}, gated=True)
    hub.add_repo("dataset", f"own/{unique}-empty", {"README.md": card("dpo")})
    hub.add_repo("dataset", f"own/{unique}-script", {f"{unique}-script.py": b"raise SystemExit('run')"})
    hub.add_repo("dataset", f"own/{unique}-broken", {"train.parquet": b"PAR1 and nothing more"})
    hub.add_repo("dataset", f"own/{unique}-card", {"README.md": b"---\nconfigs: [7, {\n---\n", "a.jsonl": lines(1)})
    for visitor in (None, token):
        with client.acting_as(visitor):
            gated = problem(f"own/{unique}-gated")
            assert "gated" in gated.why and f"own/{unique}-gated" in gated.next
    hub.grant("dataset", f"own/{unique}-gated", unique)
    look.Memory.forget()
    with client.acting_as(token):
        assert reading.read_hub(datasets.choose(f"own/{unique}-gated")).total == 3
    assert "no files of rows" in problem(f"own/{unique}-empty").why
    script = problem(f"own/{unique}-script")
    assert "programs of others are not run" in script.why
    missing = problem(f"own/{unique}-gate")
    assert "does not exist" in missing.why and f"own/{unique}-gated" in missing.next  # a name like it
    assert "owner/name" in problem("no name at all").why
    assert problem(f"own/{unique}-card").what
    with pytest.raises(StudioError, match="could not be loaded"):
        reading.read_hub(datasets.choose(f"own/{unique}-broken"))


def test_a_wrong_token_and_a_busy_hub_are_said(hub: HubDouble, unique: str) -> None:
    name = f"{unique}/any"
    hub.add_repo("dataset", name, {"train.jsonl": lines(3)})
    with client.acting_as("hf_" + "x" * 30):
        said = problem(name)
        assert "token" in said.why and "x" * 30 not in str(said)
    hub.fault("GET", f"/api/datasets/{name}", 503, times=None)
    assert "status 503" in problem(name).why
    hub.calm()
    hub.fault("GET", f"/api/datasets/{name}", 429, times=None)
    look.Memory.forget()
    assert "too many requests" in problem(name).why
    hub.calm()
    hub.fault("GET", f"/api/datasets/{name}", drop=True, times=None)
    look.Memory.forget()
    begun = time.monotonic()
    assert "not reached" in problem(name).why and time.monotonic() - begun < 10


def test_a_thousand_rows_of_a_large_dataset_do_not_download_it(
    hub: HubDouble, unique: str, mix_file: Path, home: Home
) -> None:
    name = f"{unique}/mix"
    hub.add_repo("dataset", name, {"data/train-00000-of-00001.parquet": mix_file})
    asked = len(hub.requests)
    chosen = datasets.choose(name, limit=1000)
    counted: list[tuple[int, int | None]] = []
    project, loaded = sources.load(home, sources.hub(chosen, lambda *count: counted.append(count)))
    served = sum(request.bytes_sent for request in hub.requests[asked:])
    assert len(loaded.pairs) == 1000 and counted == [(0, 1000), (1000, 1000)]
    assert served < mix_file.stat().st_size / 5, f"{served:,} bytes of {mix_file.stat().st_size:,}"
    record = project.read().dataset
    assert record is not None
    assert (record.name, record.config, record.split, record.limit) == (name, "default", "train", 1000)
    assert record.revision == hub.commits("dataset", name)[0].id
    told = _provenance(project, [], Counted([], "words (estimate)", "words (estimate)"), ExportOptions(name="mix"))
    assert (told.revision, told.config, told.split, told.limit) == (record.revision, "default", "train", 1000)


def test_all_rows_are_read_with_progress(hub: HubDouble, unique: str, mix_file: Path) -> None:
    name = f"{unique}/mix"
    split = f"dataset_info:\n  splits:\n  - {{name: train, num_bytes: 1, num_examples: {mix.ROWS}}}\n"
    hub.add_repo("dataset", name, {"README.md": card("dpo", more=split), "train.parquet": mix_file})
    counted: list[tuple[int, int | None]] = []
    rows = reading.read_hub(datasets.choose(name), lambda *count: counted.append(count))
    assert rows.total == mix.ROWS and counted[-1] == (mix.ROWS, mix.ROWS) and len(counted) > 40
    assert rows.columns == mix.SCHEMA.names
    assert rows.rows[0] == mix.table(1).to_pylist()[0]
    assert rows.rows[-1] == mix.table(mix.ROWS % 5000, 40_000).to_pylist()[-1]


def test_a_limit_below_the_rows_of_a_text_file(hub: HubDouble, unique: str) -> None:
    hub.add_repo("dataset", f"{unique}/lines", {"train.jsonl": lines(2500)})
    rows = reading.read_hub(datasets.choose(f"{unique}/lines", limit=1300))
    assert (rows.total, rows.rows[1299]["prompt"], rows.numbers[1299]) == (1300, "q1299", 1300)


FIRST_ROWS = """
import os
from pipeline.dataset import sources
from pipeline.hub import datasets
def stop(read, expected):
    if read and os.environ["STOP"]:
        raise SystemExit(0)
print(sources.hub(datasets.choose(os.environ["NAME"], limit=1000), stop).rows.total)
"""


def test_a_process_ends_after_it_has_read_the_first_rows(
    hub: HubDouble, unique: str, mix_file: Path, client: Callable[..., str]
) -> None:
    """pyarrow's own threads, as `datasets` uses them, keep it from ending nearly always."""
    hub.add_repo("dataset", f"{unique}/mix", {"train.parquet": mix_file})
    root = str(Path(__file__).parents[3])

    def read(stop: str) -> str:  # `client` asserts that it ended with 0
        return client(FIRST_ROWS, NAME=f"{unique}/mix", STOP=stop, PYTHONPATH=root)

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(read, ["", "", "in the middle"])) == ["1000\n", "1000\n", ""]


def test_the_first_rows_of_one_large_row_group_do_not_download_it(
    hub: HubDouble, unique: str, mix_file: Path, tmp_path: Path
) -> None:
    """As pandas and pyarrow write a file: a million rows to a group."""
    whole = pq.read_table(mix_file)
    pq.write_table(whole, tmp_path / "train.parquet", row_group_size=1_000_000)
    hub.add_repo("dataset", f"{unique}/one", {"train.parquet": tmp_path / "train.parquet"})
    asked = len(hub.requests)
    rows = reading.read_hub(datasets.choose(f"{unique}/one", limit=1500))
    served = sum(request.bytes_sent for request in hub.requests[asked:])
    assert rows.total == 1500 and rows.rows[1499] == whole.slice(1499, 1).to_pylist()[0]
    assert served < (tmp_path / "train.parquet").stat().st_size / 5, f"{served:,} bytes"
