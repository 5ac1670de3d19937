"""The Hub's part of the Dataset tab, against the Hub double: searched for, described, and what goes wrong."""

from __future__ import annotations

import json

import pytest

from pipeline.visit import Visit
from tests.doubles.hub import HubDouble
from tests.handlers.conftest import Built, value
from ui.dataset import hub as form
from ui.handlers import Given

WORD = "handbell"  # in the names of this file's datasets and of no others
PAIRS, SEVERAL, GATED = f"maker/{WORD}-pairs", f"maker/{WORD}-several", f"maker/{WORD}-gated"
CARD = """---
tags: [dpo]
dataset_info:
  splits:
  - {name: train, num_bytes: 1, num_examples: 40}
---
"""
CONFIGS = """---
configs:
- config_name: plain
  data_files: [{split: train, path: plain.jsonl}, {split: test, path: test.jsonl}]
- config_name: other
  data_files: [{split: validation, path: other.jsonl}]
---
"""


def lines(count: int) -> bytes:
    rows = ({"prompt": f"q{n}", "chosen": f"a{n}", "rejected": f"b{n}"} for n in range(count))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def stocked(hub: HubDouble) -> HubDouble:
    if not hub.has_repo("dataset", PAIRS):
        hub.add_repo(
            "dataset", PAIRS, {"README.md": CARD.encode(), "train.jsonl": lines(40)}, downloads=12_000, likes=2
        )
        hub.add_repo("dataset", GATED, {"train.jsonl": lines(3)}, gated=True)
        several = {"plain.jsonl": lines(30), "test.jsonl": lines(5), "other.jsonl": lines(7)}
        hub.add_repo("dataset", SEVERAL, {"README.md": CONFIGS.encode(), **several})
    return hub


def describe(built: Built, visit: Visit, name: str, *, typing: bool = False, **more: object) -> Given:
    return built.call(form.typed if typing else form.entered, visit, name=name, **more)


def test_words_are_searched_for(built: Built, visit: Visit, stocked: HubDouble) -> None:
    shown = built.call(form.search, visit, name=WORD)
    labels = [label for label, _ in shown["hits"]["choices"]]
    assert len(labels) == 3 and labels[0] == f"{PAIRS} · preferences · downloads 12,000, likes 2"
    taken = built.call(form.take, visit, hits=PAIRS)
    assert taken["name"] == PAIRS and taken["hits"]["visible"] is False
    assert built.call(form.take, visit, hits=None).keys() == {"hits"}
    assert built.call(form.search, visit, name=PAIRS, hits=PAIRS).keys() == {"hits"}  # not searched for again
    none = built.call(form.search, visit, name=f"{WORD} <img src=x>")
    assert f"has “{WORD} &lt;img src=x&gt;” in its name" in none["about"] and none["hits"]["visible"] is False


def test_a_dataset_is_described_and_its_pickers_filled(built: Built, visit: Visit, stocked: HubDouble) -> None:
    shown = describe(built, visit, PAIRS)
    assert "train: 40 rows" in shown["about"] and f'href="{stocked.url}/datasets/{PAIRS}"' in shown["about"]
    assert (value(shown["config"]), value(shown["split"]), value(shown["revision"])) == ("default", "train", "main")
    assert shown["described"] == [PAIRS, "main"]
    assert built.call(form.opened, visit, form__kind="hub", name=PAIRS)["described"] == [PAIRS, "main"]
    assert built.call(form.opened, visit, form__kind="sample", name=PAIRS) == {}
    shown = describe(built, visit, SEVERAL)
    assert (shown["config"]["choices"], shown["split"]["choices"]) == (["plain", "other"], ["train", "test"])
    splits = built.call(form.splits, visit, name=SEVERAL, revision="main", config="other")["split"]
    assert (splits["choices"], splits["value"]) == (["validation"], "validation")
    assert built.call(form.splits, visit, name="maker/none-such", revision="", config="other") == {}


def test_half_a_name_is_no_mistake(built: Built, visit: Visit, stocked: HubDouble) -> None:
    assert describe(built, visit, WORD, typing=True) == {}
    emptied = describe(built, visit, WORD, typing=True, described=[PAIRS, "main"])
    assert (emptied["described"], emptied["config"]["choices"]) == (["", ""], [])
    assert "about" not in describe(built, visit, f"maker/{WORD}-pai", typing=True)
    assert "does not exist, or it is private" in describe(built, visit, f"maker/{WORD}-pai")["about"]


def test_what_goes_wrong_is_said_with_a_link(built: Built, visit: Visit, stocked: HubDouble) -> None:
    gated = describe(built, visit, GATED)["about"]
    assert "It is gated" in gated and f"/datasets/{GATED}" in gated
    wrong = describe(built, visit, PAIRS, revision="<b>v9", described=[PAIRS, "main"])
    assert wrong.keys() == {"about"} and "<b>v9" not in wrong["about"]
    stocked.fault("*", "", drop=True, times=None)
    assert "The Hub is not reached" in built.call(form.search, visit, name="something else")["about"]
