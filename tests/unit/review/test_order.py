"""The order of the answers: drawn by a key that only the studio has, mapped back, and older reviews as they were."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.base.project import Record, ReviewRecord
from pipeline.review import beside
from pipeline.review.order import CHOSEN_FIRST, KEY_FILE, AsStored, Drawn, Order, draw_key, kept_order
from pipeline.review.plan import ReviewPlan, language_of, suggest
from pipeline.review.project import meaning_of, order_of, plan_of
from tests.reviewed import make_reviewed

IDS = [f"{number:016x}" for number in range(2000)]


def response(preference: str) -> dict[str, object]:
    values = {"preference": {"value": preference}, "relevance": {"value": 4}}
    return {"status": "submitted", "updated_at": "2026-01-01T00:00:00", "values": values}


def test_the_order_is_drawn_by_the_key_and_stays() -> None:
    order, other = Order(b"k" * 32), Order(b"j" * 32)
    places = [order.place(record_id) for record_id in IDS]
    assert places == [order.place(record_id) for record_id in IDS]
    assert 900 < sum(place.turned for place in places) < 1100  # 2,000 draws: outside with a probability of 1e-5
    assert len({place.external_id for place in places}) == len(IDS)
    changed = sum(place.turned != other.place(name).turned for place, name in zip(places, IDS, strict=True))
    assert 900 < changed < 1100 and not {place.external_id for place in places} & set(IDS)
    assert b"k" * 8 not in repr(order).encode()


def test_the_id_in_argilla_does_not_tell_the_order() -> None:
    order = Order(b"k" * 32)
    places = [order.place(record_id) for record_id in IDS]
    for digit in range(24):  # no bit of any digit goes with the order
        for bit in range(4):
            same = sum((int(place.external_id[digit], 16) >> bit & 1) == place.turned for place in places)
            assert 880 < same < 1120, (digit, bit)


@pytest.mark.parametrize("said", ["a", "b", "tie"])
def test_answers_mean_the_pair_and_not_the_place(said: str) -> None:
    order = Order(b"k" * 32)
    meaning = Drawn(order, IDS)
    for record_id in IDS[:50]:
        place = order.place(record_id)
        answer = meaning.answer(place.external_id, "ann", response(said))
        assert answer is not None and (answer.record_id, answer.relevance) == (record_id, 4.0)
        first, second = ("rejected", "chosen") if place.turned else ("chosen", "rejected")
        assert answer.preference == {"a": first, "b": second, "tie": "tie"}[said]
        assert meaning.record(place.external_id) == record_id
    assert meaning.answer("somebody else's", "ann", response(said)) is None


def test_older_reviews_go_on_as_they_were_begun(tmp_path: Path) -> None:
    of = make_reviewed(open_home(tmp_path / "home"), "older")
    values = plan_of(of).model_dump(mode="json", exclude={"order", "layout", "questions", "columns", "pairs"})

    def change(record: Record) -> None:
        record.review = ReviewRecord(plan=values, server="embedded", dataset_id="1")

    of.update(change)
    plan = plan_of(of)
    assert (plan.order, plan.layout, plan.parts) == ("chosen_first", "below", ("prompt", "chosen", "rejected"))
    assert list(plan.labels) == ["chosen", "rejected", "tie"]
    assert order_of(of, plan) is CHOSEN_FIRST and isinstance(meaning_of(of), AsStored)
    answer = meaning_of(of).answer("id", "ann", response("rejected"))
    assert answer is not None and (answer.record_id, answer.preference) == ("id", "rejected")


def test_the_key_is_the_projects_and_its_loss_is_said(tmp_path: Path) -> None:
    of = make_reviewed(open_home(tmp_path / "home"), "drawn", reviewed=False)
    assert plan_of(of).order == "drawn"
    with pytest.raises(StudioError, match="cannot be read"):
        kept_order(of)
    order = draw_key(of)
    assert draw_key(of) == kept_order(of) == order and order.key is not None and len(order.key) == 32
    assert stat.S_IMODE((of.folder / KEY_FILE).stat().st_mode) == 0o600
    assert order.key.hex() not in (of.folder / "project.json").read_text()


def test_annotators_are_spoken_to_in_the_language_of_the_prompts(tmp_path: Path) -> None:
    from pipeline.base.pair import Message, Pair

    def pair(text: str) -> Pair:
        return Pair("1", (Message("user", text),), (Message("assistant", "a"),), (Message("assistant", "b"),))

    assert language_of([pair("用一句话解释 CSS 是什么？")]) == "zh"
    assert language_of([pair("What is 龙?  Explain it in a few words.")]) == "en"
    assert language_of([pair("これは何ですか、漢字も")]) == "en"
    assert suggest([pair("什么是机器学习？")], "x", "tokens").guidelines.startswith("每个任务")
    assert ReviewPlan(dataset_name="d").order == "drawn"


def test_the_copy_in_the_frame_holds_no_command() -> None:
    from html import unescape

    hostile = "</script> $& $' &lt; &#36; #TEMPLATE# #RECORD_OBJECT# AT&T 5 $ # x"
    copy = beside.escaped(hostile)
    assert not {"<", "$"} & set(copy) and "#TEMPLATE#" not in copy.replace("&#35;TEMPLATE#", "")
    assert unescape(copy) == hostile
