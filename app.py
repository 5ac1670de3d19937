"""Align Studio: settings → services → one web application with the studio and /annotate → serve."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.limits import MEGABYTE
from pipeline.base.options import readable
from pipeline.base.settings import Settings
from pipeline.command.arguments import Parser, arguments_speak
from pipeline.command.frame import MISUSED, Misuse
from pipeline.command.options import add_options
from pipeline.web.annotate import parse_listener

if TYPE_CHECKING:
    from fastapi import FastAPI

    from pipeline.studio import Studio
    from ui.stream import Stream

OPTIONS = {"home", "host", "port", "annotators", "token"}  # the settings that are options too
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def arguments(argv: Sequence[str] | None = None) -> Settings:
    """Return the settings: environment variables, overridden by the command line.

    Args:
        argv: Command line; that of the process by default.

    Raises:
        Misuse: It cannot be used.
        ValidationError: A setting is out of bounds.
    """
    parser = Parser(prog="python app.py", description=words.say("app.about"))
    parser.add_argument("-h", "--help", action="help", help=words.say("command.option.help"))
    add_options(parser, Settings, "app", skip=Settings.model_fields.keys() - OPTIONS)
    with arguments_speak():
        given = vars(parser.parse_args(argv))
    settings = Settings(**given)
    # Supervisors and workers are other processes: they read the same settings from their environment.
    os.environ["ALIGN_STUDIO_HOME"] = str(settings.home)
    os.environ["ALIGN_STUDIO_ENGINES"] = str(settings.engines_folder)
    return settings


def check(settings: Settings) -> None:
    """Check the addresses before anything slow is loaded.

    Raises:
        StudioError: The studio would be reachable from outside by people it cannot tell apart, an address is
            malformed, or a port is in use.
    """
    if settings.space_id:
        _check_space(settings)
    elif settings.host not in LOOPBACK:
        raise StudioError("serve.not_local", host=settings.host)
    _free(settings.host, settings.port, "--port")
    if settings.annotators:
        _free(*parse_listener(settings.annotators), "--annotators")


def _check_space(settings: Settings) -> None:
    """Check that a Space can tell its visitors apart: what it tells them by would be forged without the secret."""
    if not settings.hosts:
        raise StudioError("serve.no_space_host")
    if not (settings.oauth_client_id and settings.oauth_client_secret.get_secret_value()):
        raise StudioError("serve.no_oauth")
    if settings.annotators:
        raise StudioError("serve.space_listener")


def _free(host: str, port: int, option: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            detail = error.strerror or str(error)
            raise StudioError("serve.port", host=host, port=port, detail=detail, option=option) from error


def serve(settings: Settings, *, whole: bool = False) -> None:
    """Build the application and serve it until it is stopped.

    Args:
        settings: The settings.
        whole: Whether the page is built at once, for those who look at all of it without opening its tabs.
    """
    from fastapi import FastAPI  # noqa: PLC0415

    from pipeline.snapshots.keeper import Keeper  # noqa: PLC0415
    from pipeline.studio import Studio  # noqa: PLC0415
    from pipeline.web.annotate import build_annotators_app, serve_annotators  # noqa: PLC0415
    from pipeline.web.proxy import ServiceProxy  # noqa: PLC0415
    from pipeline.web.sign_in import FIELD, token_of  # noqa: PLC0415
    from ui import assets, downloads  # noqa: PLC0415 - seconds; the addresses are checked before
    from ui.gate import Gate  # noqa: PLC0415
    from ui.topics import stream_of, visits_of  # noqa: PLC0415

    snapshots = Keeper(settings)
    snapshots.restore(_restoring)
    studio = Studio(settings, snapshots)
    studio.open()
    stream = stream_of(studio)
    stream.start()
    token = token_of(studio.home) if settings.token and not settings.space_id else ""
    proxy = ServiceProxy(studio.argilla.target, "/annotate")

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        listener = None
        if settings.annotators:
            listener = serve_annotators(
                build_annotators_app(studio.argilla.target), *parse_listener(settings.annotators)
            )
        print(
            f"Align Studio: {settings.base or f'http://{settings.host}:{settings.port}'}"
            + (f"/?{FIELD}={token}" if token else ""),
            flush=True,
        )
        yield
        if listener:
            listener.stop()
        await proxy.aclose()
        studio.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(assets.Kept)
    app.add_middleware(assets.WithScripts)
    app.add_middleware(Gate, room=settings.visitor_megabytes * MEGABYTE if settings.space_id else None)
    _add_doors(app, studio, token)
    # Before the page, which answers every other path.
    app.router.routes.extend([*proxy.routes(), *stream.routes(), assets.route(), downloads.route(visits_of(studio))])
    _mount(app, studio, whole)

    _run(app, settings, stream)


def _run(app: FastAPI, settings: Settings, stream: Stream) -> None:
    """Serve the application until it is stopped."""
    import uvicorn  # noqa: PLC0415

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            stream.close()  # open pages would keep the server waiting: their streams end only when told
            await super().shutdown(sockets)

    served = uvicorn.Config(
        app, host=settings.host, port=settings.port, log_level="warning", timeout_graceful_shutdown=2
    )
    Server(served).run()


def _restoring(done: int, of: int) -> None:
    """Say how far restoring is: nothing is served before."""
    if done == of or not done % 500:
        with _in_the_terminal():
            print(words.say("snapshot.restoring", done=done, of=of), flush=True)


def _add_doors(app: FastAPI, studio: Studio, token: str) -> None:
    """Ask who comes, and refuse what does not address the studio: the last one added is passed first."""
    from pipeline.review.workspace import workspace_of  # noqa: PLC0415
    from pipeline.web.guard import Addressed, local_hosts  # noqa: PLC0415
    from pipeline.web.join import Join  # noqa: PLC0415
    from pipeline.web.oauth import Flow  # noqa: PLC0415
    from pipeline.web.sign_in import SignedIn  # noqa: PLC0415
    from pipeline.web.space import HubSignedIn, Session, Sessions  # noqa: PLC0415

    settings = studio.settings
    if not settings.space_id:
        if token:
            app.add_middleware(SignedIn, token=token, port=settings.port)
        app.add_middleware(Addressed, hosts=local_hosts(settings.port))
        return

    def arrived(session: Session, given: str) -> None:
        studio.person(session.who).arrived(given)
        workspace_of(studio.home.of(session.who), account=session.name)  # made once, with a name that can be read

    secret = settings.oauth_client_secret.get_secret_value()
    flow = Flow(settings.openid_provider_url, settings.oauth_client_id, secret, settings.base)
    join = Join(studio.home, studio.argilla, flow, settings.openid_provider_url, visitors=settings.visitors)
    app.router.routes.extend(join.routes())
    app.add_middleware(
        HubSignedIn,
        flow=flow,
        sessions=Sessions(studio.left),
        owns=settings.owns,
        visitors=settings.visitors,
        arrived=arrived,
        scopes=settings.oauth_scopes,
        join=join.arrived,
    )
    app.add_middleware(Addressed, hosts=set(settings.hosts), secure=True)


def _mount(app: FastAPI, studio: Studio, whole: bool) -> None:
    """Put the page at the root of the application."""
    from gradio import mount_gradio_app  # noqa: PLC0415 - after `ui`, which imports it without its stubs

    from ui import layout  # noqa: PLC0415
    from ui.text import translations  # noqa: PLC0415
    from ui.theme import CSS, THEME  # noqa: PLC0415

    mount_gradio_app(
        app,
        layout.build(studio, whole=whole),
        path="/",
        theme=THEME,
        css=CSS,
        i18n=translations(),
        footer_links=["settings"],
        max_file_size="2gb",
        blocked_paths=[str(studio.home.path)],
        enable_monitoring=False,
        run_history=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the studio from the command line; what goes wrong is said in the terminal's language."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "0")
    try:
        with _in_the_terminal():
            settings = arguments(argv)
        check(settings)
        serve(settings)
    except ValidationError as error:
        return _told(readable(error, "app"))
    except Misuse as error:
        return _told(error, MISUSED)
    except StudioError as error:
        return _told(error)
    return 0


def _in_the_terminal() -> contextlib.AbstractContextManager[None]:
    return words.speaking(words.of_the_terminal(), flags=True)


def _told(error: StudioError, code: int = 1) -> int:
    with _in_the_terminal():
        print("\n".join(part for part in (error.what, error.why, error.next) if part), file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
