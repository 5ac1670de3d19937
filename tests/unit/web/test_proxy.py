import base64
import hashlib
import socket

import pytest
from starlette.testclient import TestClient

from pipeline.base.errors import StudioError
from pipeline.base.settings import Settings
from pipeline.web.annotate import (
    annotation_link,
    build_annotators_app,
    lan_address,
    parse_listener,
    serve_annotators,
    shareable_base,
)
from pipeline.web.proxy import content_security_policy


def directives(policy: str) -> dict[str, list[str]]:
    return {parts[0]: parts[1:] for parts in (part.split() for part in policy.split("; "))}


def test_policy_names_each_inline_script_by_its_hash() -> None:
    script = b"window.__NUXT__={}"
    expected = "'sha256-" + base64.b64encode(hashlib.sha256(script).digest()).decode() + "'"
    assert directives(content_security_policy([script]))["script-src"] == ["'self'", expected]


def test_policy_forbids_framing_plugins_and_unknown_scripts() -> None:
    policy = directives(content_security_policy([]))
    assert policy["frame-ancestors"] == policy["object-src"] == ["'none'"]
    assert policy["base-uri"] == ["'self'"]
    assert policy["script-src"] == ["'self'"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.0.0.0:7861", ("0.0.0.0", 7861)),
        (" annotate.example:80 ", ("annotate.example", 80)),
        ("[::]:65535", ("::", 65535)),
        ("[2001:db8::7]:1", ("2001:db8::7", 1)),
    ],
)
def test_parse_listener(value: str, expected: tuple[str, int]) -> None:
    assert parse_listener(value) == expected


@pytest.mark.parametrize(
    "value", ["", "7861", ":7861", "host:", "host:0", "host:65536", "host:-1", "host:٣", "host:http", "::1:7861"]
)
def test_parse_listener_refuses(value: str) -> None:
    with pytest.raises(StudioError) as caught:
        parse_listener(value)
    assert caught.value.why and caught.value.next


def test_annotation_link() -> None:
    assert annotation_link("http://host:1/", "a-b") == "http://host:1/annotate/dataset/a-b/annotation-mode"


@pytest.mark.parametrize(
    ("base", "reach"),
    [
        ("http://127.0.0.1:7860", "this machine only"),
        ("http://localhost:7860/", "this machine only"),
        ("http://[::1]:7860", "this machine only"),
        ("http://192.168.1.5:7860", "network"),
        ("https://me-app.example", "network"),
    ],
)
def test_without_a_second_listener_the_page_address_is_shared(base: str, reach: str) -> None:
    assert shareable_base(Settings(annotators=""), base) == (base.rstrip("/"), reach)


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ("127.0.0.1:7861", ("http://127.0.0.1:7861", "this machine only")),
        ("10.0.0.3:7861", ("http://10.0.0.3:7861", "network")),
        ("[2001:db8::7]:7861", ("http://[2001:db8::7]:7861", "network")),
        ("studio.example:80", ("http://studio.example:80", "network")),
    ],
)
def test_second_listener_is_shared(listener: str, expected: tuple[str, str]) -> None:
    assert shareable_base(Settings(annotators=listener), "http://127.0.0.1:7860") == expected


@pytest.mark.parametrize("listener", ["0.0.0.0:7861", "[::]:7861"])
def test_a_listener_on_every_network_is_shared_by_the_address_in_the_network(listener: str) -> None:
    base, reach = shareable_base(Settings(annotators=listener), "http://127.0.0.1:7860")
    address = lan_address()
    if address is None:
        assert (base, reach) == ("http://127.0.0.1:7861", "this machine only")
    else:
        assert address in base and base.endswith(":7861")
    assert "0.0.0.0" not in base and "[::]" not in base


def test_annotators_app_serves_nothing_but_annotate() -> None:
    with TestClient(build_annotators_app(lambda: None), follow_redirects=False) as client:
        assert client.get("/").headers["location"] == "/annotate/"
        for path in ("/gradio_api/info", "/config", "/annotateX", "/docs", "/openapi.json", "/file=/etc/passwd"):
            assert client.get(path).status_code == 404, path
        assert client.get("/annotate/sign-in").status_code == 503


def test_a_port_in_use_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StudioError, match=f"Another program uses port {port}"):
            serve_annotators(build_annotators_app(lambda: None), "127.0.0.1", port)


def test_an_address_of_another_machine_is_said_so() -> None:
    with pytest.raises(StudioError, match="not an address of this machine"):
        serve_annotators(build_annotators_app(lambda: None), "192.0.2.1", 7861)
