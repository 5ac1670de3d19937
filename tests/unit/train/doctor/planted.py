"""Preference pairs in which defects are planted, and a base model whose template makes each of them matter."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.base.pair import Message, Pair, identify
from pipeline.train.doctor.checks.near_duplicates import similarity
from tests.tiny_model import make_tiny_model

BEGIN = "<|begin_of_text|>"
# As several published ones: one beginning of text, no system turns, and what an assistant thinks is left out.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% set content = message['content'] %}"
    "{% if message['role'] == 'assistant' and '</think>' in content %}"
    "{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + content | trim + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
_NOUNS = (
    "river garden teacher kitchen window forest letter bridge market engine village morning doctor winter story harbour "
    "painter theatre valley island soldier library castle merchant orchard blanket shepherd compass lantern violin "
    "harvest chimney railway captain thunder meadow cathedral puzzle mountain bakery sculptor telescope dictionary"
)
_VERBS = (
    "crosses follows repairs describes protects surprises carries remembers measures visits examines borrows explains "
    "decorates reaches imagines guards collects praises supports questions welcomes observes replaces admires sketches"
)
_ADJECTIVES = (
    "quiet ancient bright careful distant gentle hollow modern narrow patient rapid silent tidy unusual wooden yellow "
    "friendly curious broken frozen golden humble lonely massive nervous polite rusty shallow steep tender"
)
_FRAMES = (
    "The {a} {n} {v} the {b} {m} because nobody in the {o} is watching.",
    "Every {n} that {v} a {m} needs a {a} {o}, and for that there are {b} reasons.",
    "When a {a} {n} {v} the {m}, the {o} of the town is {b} again.",
    "It is the {b} {o} and not the {n} that {v} this {a} {m}.",
    "You are looking for a {n} in the {a} {o}, where the {b} {m} {v} it to the end.",
)
_NOUNS_LIST, _VERBS_LIST, _ADJECTIVES_LIST = (words.split() for words in (_NOUNS, _VERBS, _ADJECTIVES))
_OTHERS = (
    "Der Fluss fließt im Winter langsamer, weil das Wasser am Ufer zu Eis gefriert und die Strömung bremst.",
    "La rivière coule plus lentement en hiver parce que la glace se forme le long des rives pendant la nuit.",
    "Река зимой течёт медленнее, потому что у берегов образуется лёд и течение становится слабее.",
    "冬天河水流得更慢，因为岸边的水结了冰，水流也就变弱了，所以船只很少经过这里。",
    "El agua del arroyo baja despacio durante el invierno porque las orillas se hielan todas las noches.",
)
EACH = 25


@dataclass
class Planted:
    """Pairs, and the numbers of those with each defect.

    Attributes:
        pairs: All of them.
        truth: Numbers from 1 by the code of the check that is to find them.
        unlike: Numbers of pairs that resemble an earlier one with a similarity of at most 0.5.
    """

    pairs: list[Pair]
    truth: dict[str, set[int]] = field(default_factory=dict)
    unlike: set[int] = field(default_factory=set)


def base_model(folder: Path, template: str = TEMPLATE) -> Path:
    """Write a tiny model with a beginning of text and a template."""
    model = make_tiny_model(folder)
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    token = {"id": 1000, "content": BEGIN, "special": True}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokenizer["added_tokens"].append({**token, **flags})
    (model / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((model / "tokenizer_config.json").read_text())
    config |= {"bos_token": BEGIN, "chat_template": template}
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    return model


class Writer:
    """Writes English of a kind."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def sentence(self) -> str:
        """Return one sentence."""
        pick = self.chance.choice
        words = {"a": pick(_ADJECTIVES_LIST), "b": pick(_ADJECTIVES_LIST), "v": pick(_VERBS_LIST)}
        return pick(_FRAMES).format(**words, n=pick(_NOUNS_LIST), m=pick(_NOUNS_LIST), o=pick(_NOUNS_LIST))

    def text(self, least: int, most: int) -> str:
        """Return some sentences."""
        return " ".join(self.sentence() for _ in range(self.chance.randint(least, most)))

    def pair(self) -> Pair:
        """Return a pair without a defect; the longer answer is chosen as often as not."""
        return make(f"{self.sentence()} Why is that?", self.text(2, 4), self.text(2, 4))

    def with_words_changed(self, pair: Pair, share: float) -> Pair:
        """Return a pair in which a share of the words are others."""

        def changed(text: str) -> str:
            words = text.split()
            count = max(1, round(share * len(words)))
            for at in self.chance.sample(range(len(words)), min(count, len(words))):
                words[at] = self.chance.choice(_NOUNS_LIST) + str(self.chance.randrange(10**6))
            return " ".join(words)

        return make(*(changed(part[-1].content) for part in parts(pair)))

    def resembling(self, pair: Pair, share: float, least: float, most: float) -> Pair:
        """Return a pair with about such a share of its words changed, of a similarity within bounds."""
        while True:
            other = self.with_words_changed(pair, share)
            if least <= similarity(pair, other) <= most:
                return other


def make(prompt: str, chosen: str, rejected: str, system: str = "", source: str = "") -> Pair:
    """Return a pair; its id comes later."""
    before = (Message("system", system),) if system else ()
    answers = ((Message("assistant", chosen),), (Message("assistant", rejected),))
    return Pair("", (*before, Message("user", prompt)), *answers, source=source)


def plant(count: int = 5000, seed: int = 7) -> Planted:
    """Return `count` pairs, `EACH` or more of them with each defect."""
    writer = Writer(seed)
    chance = writer.chance
    pairs = [writer.pair() for _ in range(count)]
    # The second half is planted in; what is copied is in the first, each original once.
    places, originals = chance.sample(range(count // 2, count), 14 * EACH), chance.sample(range(count // 2), 4 * EACH)
    found = Planted(pairs)

    def put(code: str, of: Pair, *also: str) -> None:
        place = places.pop()
        pairs[place] = of
        for each in (code, *also):
            found.truth.setdefault(each, set()).add(place + 1)

    def sound() -> tuple[str, str, str]:
        prompt, chosen, rejected = (part[-1].content for part in parts(writer.pair()))
        return prompt, chosen, rejected

    for number in range(EACH):
        question, one, other = sound()
        put("refused", make(question, one, other, system="Answer in one sentence."))
        question, one, other = sound()
        put("changed", make(question, f"<think>{writer.sentence()}</think>{one}", other))
        question, one, other = sound()
        wrapped = f"<|im_start|>user\n{question}<|im_end|>" if number % 2 else f"[INST] {question} [/INST]"
        put("markup", make(wrapped, one, other))
        question, one, other = sound()
        put("two_beginnings", make(question, f"{BEGIN}{one}", other), "markup")
        put("no_end", make(writer.text(4, 5), writer.text(12, 14), writer.text(12, 14)))
        put("prompt_empty", make(" \n ", *sound()[1:]))
        question, one, other = sound()
        long = writer.text(20, 20)
        same = (f"{long} {one}", f"{long} {other}") if number % 5 else (one, one)
        put("equal_once_cut", make("Why is that?", *same))
        question, one, other = sound()
        foreign = _OTHERS[number % len(_OTHERS)]
        put("languages", make(question, foreign, other) if number % 2 else make(question, one, foreign))
        put("benchmark", make(*sound(), source="jondurbin-truthy-dpo-v0.1"))
        put("duplicates", replace(pairs[originals.pop()]))
        turned = originals.pop()
        put("contradictions", replace(pairs[turned], chosen=pairs[turned].rejected, rejected=pairs[turned].chosen))
        found.truth["contradictions"].add(turned + 1)
        put("near_duplicates", writer.resembling(pairs[originals.pop()], 0.02, 0.85, 0.999))
        put("unlike", writer.resembling(pairs[originals.pop()], 0.13, 0.3, 0.5))
    found.unlike = found.truth.pop("unlike")
    ids = identify((pair.prompt, pair.chosen, pair.rejected) for pair in pairs)
    found.pairs = [replace(pair, record_id=key) for key, pair in zip(ids, pairs, strict=True)]
    return found


def parts(pair: Pair) -> tuple[tuple[Message, ...], ...]:
    """Return a pair's prompt, chosen and rejected."""
    return pair.prompt, pair.chosen, pair.rejected
