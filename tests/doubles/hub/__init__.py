"""The Hub in the tests: a local server that speaks the Hub's protocol to unmodified clients.

Repositories with their history, access rules and storage limits; LFS and Xet uploads and downloads; search; Jobs that
really run their commands. Written for huggingface_hub 2.4 with datasets 5.2, and for the older ones inside the
engines' environments. `tests/integration/hub/test_double.py` shows that they agree with it.

In a test: `tests/conftest.py` sets HF_ENDPOINT, before anything imports huggingface_hub, to an address where nobody
listens; in a module whose tests take the fixture `hub`, the double listens there. It keeps what it holds for the whole
session, so each test uses names of its own (fixture `unique`). Faults, clock skew and the like are undone after each
test. A client in a process of its own gets `hub.client_environment(HF_TOKEN=token)`, or `hub.environment()` on top of
other variables; the app in a browser test is such a client.

    token = hub.add_user("ada")                                    # role="read", "fine-grained", "oauth"; expires=...
    hub.add_repo("dataset", "ada/pairs", {"train.jsonl": b"..."}, private=True)
    hub.files("model", "ada/tuned"), hub.commits("model", "ada/tuned")[0].title
    hub.jobs()[-1].stage, .labels, .log, .secret_names
    hub.until(lambda: hub.jobs()[-1].ended)
    hub.space("ada/run").stage, .starts, .log, .url, .secrets, .variables, .volumes, .root
    hub.crash_space(name), hub.sleep_space(name), hub.wake_space(name)
    hub.building_seconds, hub.build_problem = 2.0, "no space left on device"
    hub.buckets.add("ada/kept").folder

Signing in with the Hub (OAuth 2.0, OpenID Connect, PKCE): every user can sign in to a registered application. The page at
/oauth/authorize has a button for each; `&account=ada` in its address, or the cookie `hub_account` that it leaves, signs
in without a click, `&account=` refuses, `&orgs=lab` or `&orgIds=<id>` lets the application into an organisation.

    client = hub.add_oauth_client(["http://127.0.0.1:7860/*"], ["read-repos", "jobs"])   # .id, .secret; public=True
    hub.directory.users["ada"].id                                  # sub: 24 hex digits

What goes wrong, ordered with `hub.fault(method, regex on path and query, ...)`:

    hub.fault("POST", "/commit/", 503, times=2, retry_after=1)     # not served, answered with an error
    hub.fault("POST", "/commit/", 503, served=True)                # served, yet answered with an error
    hub.fault("POST", "/commit/", drop="response")                 # served, then the connection is closed
    hub.fault("POST", "/commit/", drop=True)                       # closed at once, nothing done
    hub.fault("PUT", "^/cdn/", drop=True, after_bytes=100_000)     # closed in the middle of an upload or download
    hub.fault("GET", "/logs", drop=True, after_events=3)           # a log that is cut after three lines
    hub.fault("*", "", delay=2, times=None, after=5)               # slow from the sixth request on
    with hub.away(): ...                                           # not reached at all; Jobs go on
    hub.clock_skew, hub.scheduling_seconds, hub.evict(job), hub.out_of_credit(user), hub.revoke(token)

`hub.requests` records what was asked: method, path, status, bytes, whether a token was seen, and at which address.
Contents of large files are at another address ("cdn"), as in reality: no token may be seen there.

Paths: /api/… the Hub's; /<repo>/resolve/… files; on the cdn /cdn/<sha256> contents and /cas/… Xet's store.

A Space is made of its Dockerfile's ENV, WORKDIR, COPY and CMD; see `dockerfile.py`. It needs a paid plan
(`add_user(pro=True)`, for an organisation `hub.directory.paid.add("lab")`). Its program has a port of its own: the card's
`app_port` is exchanged for it where it stands alone in ENV or CMD, and PORT has it.

What it is not: there are no webhooks, discussions, contents of buckets over the wire, device codes, refresh tokens,
datasets-server, dataset viewer or billing pages; a Space's RUN lines are not executed, and it is not isolated;
a Job runs as this user on this machine, in a new process group, folder and home, with uv and a bare Python on PATH,
and is killed without warning.
"""

from tests.doubles.hub.faults import Fault, Request
from tests.doubles.hub.jobs import Job
from tests.doubles.hub.oauth import Client
from tests.doubles.hub.repositories import Commit
from tests.doubles.hub.server import HubDouble
from tests.doubles.hub.spaces import Space

__all__ = ["Client", "Commit", "Fault", "HubDouble", "Job", "Request", "Space"]
