"""Words of the pages: `t` for what is laid out once, `say` for what a handler builds.

The browser picks the language of `t`; Gradio 6.31 does not translate toasts, table headers, progress or sentences with
values, so those are said in the language of the visitor whose handler is running.
"""

from __future__ import annotations

import gradio as gr
from gradio.i18n import I18nData

from pipeline.base import words
from pipeline.base.words import has, say, speak

__all__ = ["I18N", "has", "say", "speak", "t"]

# A bare zh or zh-Hans-CN browser is served English by Gradio 6.31; zh-TW only when it has a dictionary of its own.
_TAGS = {"zh": ("zh", "zh-CN", "zh-TW", "zh-HK", "zh-Hans-CN")}
I18N = gr.I18n(
    **{tag: texts for language, texts in words.catalogues().items() for tag in _TAGS.get(language, (language,))}
)


def t(key: str) -> I18nData:
    """Return the marker of a text that the browser shows in its own language.

    Raises:
        KeyError: The catalogue has no such key.
    """
    words.catalogues()[words.ENGLISH][key]
    return I18N(key)
