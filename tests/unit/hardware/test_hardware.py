from __future__ import annotations

import os

import psutil
import pytest

from pipeline.hardware.machine import Gpu, Hardware, parse_gpus, size, this_machine


def test_this_machine_is_within_what_the_system_has() -> None:
    machine = this_machine()
    assert 1 <= machine.cpus <= (os.cpu_count() or 1)
    assert 0 < machine.memory <= psutil.virtual_memory().total


def test_parse_gpus_reads_the_csv_of_nvidia_smi() -> None:
    answer = "NVIDIA H200, 143771\nNVIDIA GB10, [N/A]\n\n"
    assert parse_gpus(answer) == (Gpu("NVIDIA H200", 143771 << 20),)


def test_training_memory_of_a_machine_is_its_gpus_where_it_has_one() -> None:
    gpu = Gpu("NVIDIA L4", 24 << 30)
    assert Hardware(4, 8 << 30).training_memory == 8 << 30
    assert Hardware(4, 8 << 30, (gpu,)).training_memory == 24 << 30


@pytest.mark.parametrize(("count", "words"), [(512, "0.5 KiB"), (3 << 20, "3.0 MiB"), (int(2.5 * 2**30), "2.5 GiB")])
def test_size_in_words(count: int, words: str) -> None:
    assert size(count) == words
