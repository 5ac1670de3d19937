"""The field that shows prompt and both answers at once, the answers side by side where the screen is wide enough.

Argilla 2.8.0 shows a custom field as an iframe of our origin whose document is `<script>const record = {the record as
JSON};</script>` and the template. Its content security policy, inherited from the page, lets no inline script run, so
the script of our template is a file of the embedded server (`engines/argilla_server/pair.js`): it reads the record's
JSON out of that first script, which is text to it, and puts every message into the page as text.

The JSON is put there by two calls of JavaScript's `replace`, to which `$&` and the like are commands and in which
`#TEMPLATE#` is a place; and `</script>` would end the script. So these are written as character references in the copy
that goes to Argilla, and `pair.js` reads them back.
"""

from __future__ import annotations

import html
import json
import re
from urllib.parse import urlsplit

from pipeline.review.plan import ReviewPlan

_COMMANDS = re.compile(r"<|&(?=[#A-Za-z])|\$|#(?=TEMPLATE#|RECORD_OBJECT#)")

_STYLE = """
body { margin: 0; padding: 0 1px 8px; font-family: inherit; font-size: 14px; line-height: 1.5; color: inherit }
.part { border: 1px solid rgba(128, 128, 128, .35); border-radius: 8px; padding: 8px 12px; min-width: 0 }
.part + .part, .answers { margin-top: 10px }
.answers { display: grid; grid-template-columns: 1fr; gap: 10px }
.answers .part { margin-top: 0 }
@media (min-width: 560px) { .answers { grid-template-columns: 1fr 1fr } }
h2 { font-size: 13px; margin: 0 0 6px; opacity: .75 }
.role { font-size: 12px; opacity: .6; margin-top: 8px }
.turn { white-space: pre-wrap; overflow-wrap: anywhere }
"""


def template(plan: ReviewPlan, url: str) -> str:
    """Return the template of the field; no text of the data is in it.

    Args:
        plan: Names the parts in its language.
        url: The embedded server's, `/annotate` included.
    """
    titles = html.escape(json.dumps(list(plan.titles.values()), ensure_ascii=False))
    script = f"{urlsplit(url).path}/api/v1/studio/pair.js"
    return f'<style>{_STYLE}</style><div id="pair" data-titles="{titles}"></div><script src="{script}"></script>'


def escaped(text: str) -> str:
    """Return a text as it may stand in a record with this field; `pair.js` is the inverse."""
    return _COMMANDS.sub(lambda found: f"&#{ord(found[0])};" if found[0] in "$#" else html.escape(found[0]), text)


def plain(text: str) -> str:
    """Return a term of the metadata, which Argilla also puts there, without what means something."""
    return text.replace("<", "＜").replace("$", "＄").replace("#TEMPLATE#", "＃TEMPLATE#")
