"""Every public report that was tried on the product has a test of its kind, with its right value."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

UNIT = Path(__file__).parent
CASES, LOADS, BASES = "dataset/test_cases.py", "dataset/test_dataset.py", "train/test_base_models.py"
DOCTOR, ENGINES = "train/doctor/test_cases.py", "../integration/base_models/test_base_models.py"

# The report (a folder of the collection it came from): where its kind is tested.
REPORTS: dict[str, list[tuple[str, str]]] = {
    "01-lfs-pointer": [(LOADS, "test_broken_files_say_what_is_wrong")],
    "03-system-instruction-input": [(CASES, "test_system_instruction_and_input_are_one_prompt")],
    "04-messages-plus-rejected": [(CASES, "test_layouts_give_the_three_pairs")],
    "05-struct-of-lists": [(CASES, "test_layouts_give_the_three_pairs")],
    "06-python-repr-csv": [(CASES, "test_lists_written_by_python_into_a_table_are_lists")],
    "07-history-and-context": [(CASES, "test_what_stands_around_a_prompt_belongs_to_it")],
    "08-guess-by-name": [(CASES, "test_a_guess_is_never_an_id_a_number_or_a_judges_prompt")],
    "09-json-shapes": [
        (CASES, "test_rows_in_json_wherever_they_are"),
        (CASES, "test_other_splits_of_a_document_are_named"),
    ],
    "10-markup-in-text": [
        (CASES, "test_markup_of_a_template_in_the_text_is_said"),
        (DOCTOR, "test_it_is_found_before_the_run"),
    ],
    "11-kto-labels": [
        (CASES, "test_labels_are_joined_where_a_prompt_has_both_and_named_where_it_has_not"),
        (CASES, "test_labels_without_pairs_are_said_to_be_labels"),
    ],
    "12-content-parts-and-tools": [
        (CASES, "test_a_turn_whose_meaning_is_no_text_costs_its_row_with_the_reason"),
        (CASES, "test_layouts_give_the_three_pairs"),
    ],
    "13-parquet-types": [
        (CASES, "test_a_column_that_nobody_needs_never_stops_a_load"),
        (CASES, "test_types_of_parquet_that_hold_text_are_text"),
        (CASES, "test_two_columns_or_keys_of_one_name_are_refused_by_name"),
    ],
    "14-openai-preference": [(CASES, "test_layouts_give_the_three_pairs")],
    "15-system-beside-conversation": [
        (CASES, "test_a_system_column_is_the_first_turn_in_every_layout"),
        (CASES, "test_columns_by_hand_take_several_for_the_prompt_and_one_for_the_system"),
    ],
    "16-crlf-transcripts": [(CASES, "test_layouts_give_the_three_pairs")],
    "18-winner-index": [
        (CASES, "test_layouts_give_the_three_pairs"),
        (CASES, "test_winners_that_nobody_can_tell_cost_their_row"),
        (CASES, "test_scores_against_the_answers_are_said"),
    ],
    "19-csv-oddities": [
        (CASES, "test_tables_of_text_however_they_are_written"),
        (CASES, "test_text_in_other_encodings_is_read_and_said"),
        (CASES, "test_quotes_written_with_a_backslash_are_quotes"),
        (CASES, "test_a_word_for_nothing_is_no_answer"),
    ],
    "20-duplicate-keys": [(CASES, "test_two_columns_or_keys_of_one_name_are_refused_by_name")],
    "21-containers": [
        (CASES, "test_compressed_files_are_unpacked"),
        (CASES, "test_arrow_files_are_read"),
        (LOADS, "test_broken_files_say_what_is_wrong"),
    ],
    "22-list-of-strings": [
        (CASES, "test_layouts_give_the_three_pairs"),
        (CASES, "test_several_rejected_answers_are_named"),
        (CASES, "test_a_conversation_that_ends_in_an_answer_is_no_prompt"),
    ],
    "24-roles-capital": [(CASES, "test_roles_in_capitals_and_several_turns")],
    "30-rope-parameters": [(ENGINES, "test_training_and_evaluation_read_the_same_model")],
    "31-tokenizers-backend": [(BASES, "test_what_the_engine_can_be_told_stops_nothing")],
    "32-extra-special-tokens-list": [(ENGINES, "test_tokenizers_are_the_same")],
    "33-unknown-architecture": [(BASES, "test_what_it_cannot_stops_the_run_with_advice")],
    "34-no-system-role": [(DOCTOR, "test_it_is_found_before_the_run")],
    "35-think-in-generation-prompt": [(DOCTOR, "test_it_is_found_before_the_run")],
    "36-template-strips-think": [(DOCTOR, "test_it_is_found_before_the_run")],
    "37-n-positions": [(BASES, "test_what_it_cannot_stops_the_run_with_advice")],
    "38-named-templates-no-default": [(DOCTOR, "test_it_is_found_before_the_run")],
}


@pytest.mark.parametrize("report", REPORTS)
def test_it_has_its_test(report: str) -> None:
    for file, name in REPORTS[report]:
        tree = ast.parse((UNIT / file).read_text(encoding="utf-8"))
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        assert len(found) == 1, f"{file} has no {name}"
