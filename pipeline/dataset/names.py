"""Names that columns go by, as they are looked for: in small letters, words apart by “_”."""

from __future__ import annotations

import re

CHOSEN = (
    *("chosen", "chosen_response", "response_chosen", "chosen_answer", "answer_chosen", "chosen_completion"),
    *("completion_chosen", "chosen_output", "output_chosen", "chosen_text", "text_chosen", "chosen_messages"),
    *("chosen_message", "chosen_conversation", "chosen_conversations", "chosen_reply", "chosen_summary"),
    *("preferred", "preferred_response", "preferred_answer", "preferred_output", "preferred_completion"),
    *("accepted", "accepted_response", "accepted_answer", "better_response", "better_answer", "winning_response"),
    *("winner_response", "best_response", "positive_response", "response_positive", "response_j", "y_w"),
    *("accept", "win", "winning", "good_response", "good_answer", "positive_answer", "pos_resp"),
)
REJECTED = (
    *("rejected", "rejected_response", "response_rejected", "rejected_answer", "answer_rejected"),
    *("rejected_completion", "completion_rejected", "rejected_output", "output_rejected", "rejected_text"),
    *("text_rejected", "rejected_messages", "rejected_message", "rejected_conversation", "rejected_conversations"),
    *("rejected_reply", "rejected_summary", "dispreferred", "dispreferred_response", "dispreferred_answer"),
    *("dispreferred_output", "dispreferred_completion", "non_preferred", "non_preferred_response"),
    *("non_preferred_answer", "non_preferred_output", "non_preferred_completion", "nonpreferred_output"),
    *("worse_response", "worse_answer", "losing_response", "loser_response", "worst_response"),
    *("negative_response", "response_negative", "response_k", "y_l"),
    *("reject", "lose", "losing", "bad_response", "bad_answer", "negative_answer", "neg_resp"),
)
CONVERSATION = ("messages", "conversations", "conversation", "dialog", "dialogue", "chat", "turns")
INSTRUCTION = ("instruction", "instructions")
INPUT = ("input", "inputs")
PROMPT = (
    *("prompt", "prompts", "question", "instruction", "query", "user_prompt", "user_message", "user_input"),
    *("problem", "task", "instructions", "conversations", "conversation", "messages", "dialogue", "input", "inputs"),
)
SYSTEM = ("system", "system_prompt", "system_message", "system_instruction", "system_content", "sys_prompt")
HISTORY = ("history", "chat_history", "conversation_history", "dialogue_history", "dialog_history", "past_turns")
CONTEXT = ("context", "contexts", "background", "passage", "document", "article", "paragraph")
SOURCE = ("source",)
# Words in the name of a column whose text is about answers, not asked of them: labels, judges, models, places.
ABOUT = frozenset(
    ("id", "ids", "uid", "uuid", "guid", "idx", "index", "key", "hash", "sha", "url", "uri", "link", "path", "file")
    + (
        "label",
        "labels",
        "labelling",
        "labeling",
        "judge",
        "judgement",
        "judgment",
        "rating",
        "ratings",
        "rate",
        "eval",
    )
    + ("evaluation", "evaluator", "critique", "feedback", "rationale", "rubric", "reward", "score", "scores", "verdict")
    + ("grading", "grader", "annotation", "annotator", "model", "models", "generation", "generations", "template")
    + ("category", "type", "lang", "language", "date", "time", "timestamp", "created", "split", "source", "tag", "tags")
    + ("count", "length", "len", "num", "number", "tokens", "version", "status", "order", "topic", "license", "author")
)
ASKS = ("prompt", "question", "instruction", "query", "problem", "task", "input", "request", "user", "ask", "post")

_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN = re.compile(r"\W+|_+")


def plain(name: str) -> str:
    """Return a column's name in small letters, with its words apart by “_”: “Chosen Response” is chosen_response."""
    return _BETWEEN.sub("_", _CAPITAL.sub("_", name.strip())).strip("_").lower()


def all_known() -> frozenset[str]:
    """Return all names that say which part of a pair a column is."""
    return frozenset((*CHOSEN, *REJECTED, *PROMPT, *CONVERSATION, *SYSTEM, *HISTORY, *CONTEXT))
