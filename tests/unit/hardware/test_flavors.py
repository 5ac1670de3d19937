from __future__ import annotations

import pytest

from pipeline.hardware import flavors, pace
from pipeline.hardware.flavors import Flavor, Misfit, Need, fits, snapshot, suggested
from pipeline.models.shape import ModelShape

GB = 10**9
SMOLLM2 = ModelShape(134_515_008, 2_654_208, 576, 30, 49_152)


def flavor(name: str) -> Flavor:
    found = snapshot().find(name)
    assert found is not None
    return found


def test_the_snapshot_says_its_date_and_knows_the_tutorials_gpu() -> None:
    listing = snapshot()
    assert not listing.live and listing.date.startswith("20")
    l40s = flavor(flavors.DEFAULT)
    assert (l40s.gpu, l40s.gpus, l40s.memory, l40s.price_per_hour) == ("L40S", 1, 48 * GB, 1.80)
    assert [one.price_per_minute for one in listing.flavors] == sorted(one.price_per_minute for one in listing.flavors)


def test_memory_is_that_of_one_gpu() -> None:
    assert flavor("l40sx4").memory == flavor("l40sx1").memory == 48 * GB
    assert flavor("cpu-upgrade").memory == 32 * GB


@pytest.mark.parametrize(
    ("name", "need", "why"),
    [
        ("l40sx1", Need(memory=40 * GB), None),
        ("l40sx1", Need(memory=None), None),
        ("l40sx1", Need(memory=49 * GB), "memory"),
        ("l40sx4", Need(memory=49 * GB), "several"),
        ("t4-small", Need(memory=GB), "bf16"),
        ("t4-small", Need(memory=GB, bf16=False), None),
        ("cpu-upgrade", Need(memory=GB), "cpu"),
        ("cpu-upgrade", Need(memory=GB, gpu=False), None),
        ("cpu-upgrade", Need(memory=33 * GB, gpu=False), "memory"),
    ],
)
def test_what_fits(name: str, need: Need, why: str | None) -> None:
    found = fits(flavor(name), need)
    assert (found.why if found else None) == why


def test_too_little_memory_is_told_in_numbers() -> None:
    assert fits(flavor("l4x1"), Need(memory=30 * GB)) == Misfit("memory", need=30 * GB, has=24 * GB)


def test_the_suggestion_keeps_what_fits() -> None:
    all_of_them = snapshot().flavors
    assert suggested(all_of_them, Need(memory=GB)) == "l40sx1"
    assert suggested(all_of_them, Need(memory=GB), "l4x1") == "l4x1"
    assert suggested(all_of_them, Need(memory=30 * GB), "l4x1") == "l40sx1"
    assert suggested(all_of_them, Need(memory=60 * GB)) == "a100-large"  # the cheapest that has it
    assert suggested(all_of_them, Need(memory=1000 * GB)) == ""


def test_without_the_hub_the_list_is_the_programs_own() -> None:
    flavors.forget()
    assert flavors.listing() == snapshot()


@pytest.mark.parametrize(
    ("text", "count"), [("48 GB", 48 * GB), ("1.5 TB", 1500 * GB), ("1,128 GB", 1128 * GB), ("N/A", 0), ("", 0)]
)
def test_sizes_are_read(text: str, count: int) -> None:
    assert flavors._bytes(text) == count


def test_time_grows_with_the_work_and_shrinks_with_the_hardware() -> None:
    def seconds(name: str, tokens: int, *, lora: bool = True, half: bool = True) -> float:
        found = pace.training_seconds(SMOLLM2, flavor(name), tokens=tokens, batches=1, lora=lora, half=half)
        assert found is not None
        return found - pace.training_seconds(SMOLLM2, flavor(name), tokens=0, batches=0, lora=lora, half=half)  # type: ignore[operator]

    much = 10**9
    assert seconds("l40sx1", 2 * much) == pytest.approx(2 * seconds("l40sx1", much))
    assert seconds("l40sx1", much, lora=False) == pytest.approx(8 / 6 * seconds("l40sx1", much))
    assert seconds("h200", much) < seconds("l40sx1", much) < seconds("l4x1", much)
    assert seconds("l40sx1", much, half=False) > seconds("l40sx1", much)
    # 6 · P · tokens operations at 15 % of 362 · 10¹² a second
    assert seconds("l40sx1", much) == pytest.approx(6 * SMOLLM2.parameters * much / (0.15 * 362e12))


def test_a_small_batch_takes_its_launches_and_every_run_its_start() -> None:
    l40s = flavor("l40sx1")
    found = pace.training_seconds(SMOLLM2, l40s, tokens=10, batches=1000, lora=True, half=True)
    assert found is not None and found > pace.START_S + 1000 * SMOLLM2.layers * 0.001


def test_unknown_hardware_has_no_estimate() -> None:
    new = Flavor("b300", "Nvidia B300", "B300", 1, 288 * GB, 0.2)
    assert pace.training_seconds(SMOLLM2, new, tokens=1, batches=1, lora=True, half=True) is None
