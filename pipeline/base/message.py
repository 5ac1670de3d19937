"""One thing to say, by code: what happened, why, and what to do next.

Below `ui/` nothing is worded: a message names a code and its values, and `pipeline.base.words` has the words, up to
three for each code: `code` (what), `code.why` and `code.next`. On a command line `code.next.flags` is said in place of
the last, where it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import words

VERBATIM = "verbatim"


@dataclass(frozen=True)
class Option:
    """An option mentioned in a message: called as its control on the page, or as its flag on a command line.

    Attributes:
        name: Name of the field that declares it.
        step: First part of its catalogue key, e.g. train.
    """

    name: str
    step: str

    def said(self) -> str:
        """Return what people call it."""
        if words.flags() or not words.has(f"{self.step}.{self.name}"):
            return f"--{self.name.replace('_', '-')}"
        return words.say("option", label=words.say(f"{self.step}.{self.name}"))


@dataclass(frozen=True)
class Message:
    """One thing to say.

    Attributes:
        code: Key of its words.
        values: What the words name: text that is nobody's words (names, numbers, paths, what a library said),
            messages, options, or lists of these.
    """

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def what(self) -> str:
        """What happened, in the present language."""
        return words.text(self.code, self.values).strip()

    @property
    def why(self) -> str:
        """Why, as far as known; "" where nothing is."""
        return self._part("why")

    @property
    def next(self) -> str:
        """What to do now; "" where there is nothing."""
        return self._part("next")

    def _part(self, name: str) -> str:
        code = f"{self.code}.{name}"
        if words.flags() and words.has(f"{code}.flags"):  # on a command line there is no tab to go to
            code = f"{code}.flags"
        return words.text(code, self.values).strip() if words.has(code) else ""

    def said(self) -> str:
        """Return all of it, one sentence after the other."""
        return words.say("list.sentences").join(part for part in (self.what, self.why, self.next) if part)

    __str__ = said

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; `from_dict` is the inverse."""
        return {"code": self.code, "values": {name: _packed(value) for name, value in self.values.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Message:
        """Return the message of JSON values, whoever wrote them.

        {what, why, next} of older homes is shown as it stands, and so is a code that another version knows.
        """
        if "code" not in values:
            return verbatim(*(str(values.get(name) or "") for name in ("what", "why", "next")))
        given = values.get("values") or {}
        found = cls(str(values["code"]), {name: _unpacked(value) for name, value in given.items()})
        try:
            found.said()
        except (LookupError, ValueError, TypeError, AttributeError):  # no such code, or not the values it names
            return verbatim(found.code, "; ".join(f"{name}: {value}" for name, value in found.values.items()))
        return found


def message(code: str, /, **values: Any) -> Message:
    """Return a message.

    Args:
        code: Key of its words.
        **values: See `Message.values`.
    """
    return Message(code, values)


def worded(what: Message | str, /, **values: Any) -> Message:
    """Return what is given as a message: a code with its values, or a message as it is."""
    return what if isinstance(what, Message) else message(what, **values)


def verbatim(what: str, why: str = "", next: str = "") -> Message:
    """Return a message that has words already: another program's, or an older home's."""
    return Message(VERBATIM, {"what": what, "why": why, "next": next})


def _packed(value: Any) -> Any:
    if isinstance(value, Message):
        return {"@": "message", **value.as_dict()}
    if isinstance(value, Option):
        return {"@": "option", "name": value.name, "step": value.step}
    if isinstance(value, list | tuple):
        return [_packed(each) for each in value]
    return value if isinstance(value, int | float | bool | None) else str(value)


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(each) for each in value]
    if isinstance(value, dict) and value.get("@") == "message":
        return Message.from_dict(value)
    if isinstance(value, dict) and value.get("@") == "option":
        return Option(str(value["name"]), str(value["step"]))
    return value
