"""The ways into Argilla on a Space: an invitation's link and signing in with Hugging Face, or the studio's own button.

Nobody gets into the studio by a link: whoever comes by one has no session, and the token that the Hub gave is dropped
at once. Argilla 2.8 keeps its sign-in in its origin's local storage, which is ours: a page of ours puts it there.
"""

from __future__ import annotations

import html
import json
import secrets
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from pipeline.base import project as projects
from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.project import Project, ReviewRecord
from pipeline.review import invitations, joining
from pipeline.review.host import ArgillaHost
from pipeline.review.workspace import workspace_of
from pipeline.web.annotate import annotation_link
from pipeline.web.oauth import Arrival, Flow
from pipeline.web.sign_in import STYLE
from pipeline.web.space import person, session_of

AT = "/join"
_PAGE = (
    '<!doctype html><html lang="{language}"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
    "<title>{title}</title><style>{style}</style><h1>{title}</h1>{inside}"
)
# Where Argilla 2.8.0's page (Nuxt's auth module, strategy “local”) looks for who is signed in; a string that is no JSON
# stands there as it is.
_SIGNED_IN = """<script nonce="{nonce}">
const given = JSON.parse(document.getElementById("given").textContent);
localStorage.setItem("auth.strategy", "local");
localStorage.setItem("auth._token.local", "Bearer " + given.token);
localStorage.setItem("auth._token_expiration.local", String(given.ends * 1000));
location.replace(given.to);
</script>"""


class Join:
    """Invitations' links, and what comes of them.

    Args:
        home: The home.
        argilla: The review server.
        flow: Signs people in with Hugging Face.
        provider: Root URL of where they do.
        visitors: Whether the studio takes visitors, whose invitations are good then.
    """

    def __init__(self, home: Home, argilla: ArgillaHost, flow: Flow, provider: str, *, visitors: bool = True) -> None:
        self._home, self._argilla, self._flow, self._visitors = home, argilla, flow, visitors
        parts = urlsplit(provider)
        self._provider = f"{parts.scheme}://{parts.netloc}"

    def routes(self) -> list[BaseRoute]:
        """Return the routes to put before the page."""
        return [
            Route(AT + "/{secret}", self.shown, methods=["GET"]),
            Route(AT + "/{secret}", self.begun, methods=["POST"]),
            Route(AT, self.opened, methods=["POST"]),
        ]

    async def shown(self, request: Request) -> Response:
        """Say what a link invites to; it can be looked at as often as one likes."""
        with words.speaking(request.headers.get("accept-language", "")):
            try:
                await run_in_threadpool(self._find, request.path_params["secret"])
            except StudioError as error:
                return self._problem(error)
            say = {name: html.escape(words.say(f"join.{name}")) for name in ("what", "learns", "button")}
            inside = (
                f"<p>{say['what']}</p><p>{say['learns']}</p>"
                f'<form method="post"><button id="join">{say["button"]}</button></form>'
            )
            return self._page(inside)

    async def begun(self, request: Request) -> Response:
        """Send somebody to sign in, from our own page: another site's cannot make a browser join."""
        with words.speaking(request.headers.get("accept-language", "")):
            secret = request.path_params["secret"]
            try:
                await run_in_threadpool(self._find, secret)
            except StudioError as error:
                return self._problem(error)
            if not request.headers.get("origin"):  # another one than ours does not come this far
                return self._problem(StudioError("join.not_from_here"), 403)
            return self._flow.begin(f"{AT}/{secret}")

    async def opened(self, request: Request) -> Response:
        """Open Argilla for somebody of the studio, signed in as themselves: `?project=NAME`, and `&status=draft`."""
        with words.speaking(request.headers.get("accept-language", "")):
            session, query = session_of(request.scope), request.query_params
            if session is None or not request.headers.get("origin"):
                return self._problem(StudioError("join.not_from_here"), 403)
            try:
                theirs = self._home.of(session.who)
                of = await run_in_threadpool(projects.find, theirs, query.get("project", ""))
                joined, dataset_id = await run_in_threadpool(self._into, theirs, of, session.who, session.name)
            except StudioError as error:
                return self._problem(error)
            drafts = "?page=1&status=draft" if query.get("status") == "draft" else ""
            return self._handed_over(joined, annotation_link("", dataset_id) + drafts)

    async def arrived(self, request: Request, arrival: Arrival) -> Response:
        """Answer who has come back from signing in: into Argilla, or why not."""
        try:
            joined, dataset_id = await run_in_threadpool(
                self._let_in, arrival.target.removeprefix(AT + "/"), person(arrival.sub), arrival.name
            )
        except StudioError as error:
            return self._problem(error)
        return self._handed_over(joined, annotation_link("", dataset_id))

    def _find(self, secret: str) -> tuple[Home, Project, invitations.Invitation]:
        return invitations.find(self._home, secret, visitors=self._visitors)

    def _let_in(self, secret: str, who: str, name: str) -> tuple[joining.Joined, str]:
        theirs, of, invitation = self._find(secret)
        self._reviewed(of)
        invitations.take_place(of, invitation.digest, who)
        joined, dataset_id = self._into(theirs, of, who, name)
        invitations.take_place(of, invitation.digest, who, joined.username)
        return joined, dataset_id

    def _into(self, theirs: Home, of: Project, who: str, name: str) -> tuple[joining.Joined, str]:
        """Let somebody into the workspace of a project's owner; return how, and the project's dataset."""
        review = self._reviewed(of)
        workspace = workspace_of(theirs, review.plan["workspace"])
        return joining.let_in(self._home, self._argilla.endpoint(), workspace, who, name), review.dataset_id

    def _reviewed(self, of: Project) -> ReviewRecord:
        review = of.read().review
        if not self._argilla.embedded or review is None or not review.dataset_id or review.server != "embedded":
            raise StudioError("join.nothing_yet")
        return review

    def _handed_over(self, joined: joining.Joined, to: str) -> Response:
        """Return the page that signs the browser in to Argilla and goes there; nothing of it stays in its history."""
        nonce = secrets.token_urlsafe(16)
        given = json.dumps({"token": joined.token, "to": to, "ends": joined.ends}).replace("<", "\\u003c")
        inside = (
            f'<script type="application/json" id="given">{given}</script>{_SIGNED_IN.format(nonce=nonce)}'
            f"<noscript><p>{html.escape(words.say('join.script'))}</p></noscript>"
        )
        return self._page(inside, nonce=nonce)

    def _problem(self, error: StudioError, status: int = 404) -> Response:
        parts = [html.escape(part) for part in (error.why, error.next) if part]
        inside = f'<p class="bad">{html.escape(error.what)}</p>' + "".join(f"<p>{part}</p>" for part in parts)
        return self._page(inside, status=status)

    def _page(self, inside: str, *, nonce: str = "", status: int = 200) -> Response:
        script = f"script-src 'nonce-{nonce}'; " if nonce else ""
        headers = {
            "cache-control": "no-store",
            "referrer-policy": "same-origin",  # with no-referrer a browser calls the form's origin null
            # A form's redirect is held to its action too, and this one leads to where people sign in.
            "content-security-policy": f"default-src 'none'; style-src 'unsafe-inline'; {script}"
            f"form-action 'self' {self._provider}; frame-ancestors 'none'; base-uri 'none'",
        }
        title = html.escape(words.say("join.title"))
        page = _PAGE.format(language=words.spoken(), style=STYLE, title=title, inside=inside)
        return HTMLResponse(page, status, headers=headers)
