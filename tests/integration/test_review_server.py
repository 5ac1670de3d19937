"""Review against the real embedded Argilla: import, annotators, answers, and the same through the proxy."""

import html
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from pipeline.base.errors import StudioError
from pipeline.base.pair import Message, Messages, Pair
from pipeline.models.tokens import PairCounts
from pipeline.review.annotators import (
    NewAnnotator,
    create_annotators,
    list_annotators,
    remove_annotator,
    reset_password,
)
from pipeline.review.answers import Answer
from pipeline.review.api import Api, NotOwner, Refused, ServerUnreachable, WrongKey
from pipeline.review.importing import import_pairs
from pipeline.review.plan import ReviewPlan, suggest
from pipeline.review.readback import changes, progress, read_answers
from pipeline.review.service import Endpoint
from pipeline.web.annotate import Listener, annotation_link, build_annotators_app, serve_annotators


def said(text: str, role: str = "assistant") -> Messages:
    return (Message(role, text),)


def make_pair(number: int, prompt: str = "", source: str = "web") -> Pair:
    return Pair(f"id-{number}", said(prompt or f"Question {number}?", "user"), said("Yes."), said("No."), source)


def counts_of(pairs: list[Pair]) -> list[PairCounts]:
    return [PairCounts(number, 1, 1) for number in range(len(pairs))]


def plan_for(pairs: list[Pair], name: str, **changed: object) -> ReviewPlan:
    """A plan as it was kept before the order was drawn; test_review_order.py has the others."""
    values = suggest(pairs, name, "words").model_dump(exclude={"order", "layout"})
    lengths = ["prompt_tokens", "chosen_tokens", "rejected_tokens"]
    values["metadata"] = ["source", *lengths] if "source" in values["metadata"] else lengths
    return ReviewPlan.kept(values).model_copy(update={"workspace": f"ws-{name}", **changed})


class Person:
    """An annotator with a browser: signs in at the token endpoint, answers as the page does."""

    def __init__(self, base: str, annotator: NewAnnotator) -> None:
        self.http = httpx.Client(base_url=base + "/api/v1/", timeout=30)
        given = {"username": annotator.username, "password": annotator.password}
        answer = self.http.post("token", data=given)
        assert answer.status_code == 201, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def records(self, dataset_id: str) -> dict[str, str]:
        """Argilla's ids by ours."""
        answer = self.http.post(f"me/datasets/{dataset_id}/records/search", json={}, params={"limit": 1000})
        answer.raise_for_status()
        return {item["record"]["external_id"]: item["record"]["id"] for item in answer.json()["items"]}

    def respond(self, record: str, relevance: int, preference: str, status: str = "submitted") -> str:
        values = {"relevance": {"value": relevance}, "preference": {"value": preference}}
        answer = self.http.post(f"records/{record}/responses", json={"values": values, "status": status})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def edit(self, response: str, relevance: int, preference: str) -> None:
        values = {"relevance": {"value": relevance}, "preference": {"value": preference}}
        self.http.put(f"responses/{response}", json={"values": values, "status": "submitted"}).raise_for_status()

    def delete(self, response: str) -> None:
        self.http.delete(f"responses/{response}").raise_for_status()


def everything(endpoint: Endpoint, dataset_id: str) -> dict[str, dict[str, object]]:
    """All records of a dataset by our id."""
    with Api(endpoint) as api:
        items = api.get(f"datasets/{dataset_id}/records", limit=1000)["items"]
    assert len({item["external_id"] for item in items}) == len(items), "a record is there twice"
    return {item["external_id"]: item for item in items}


def summary(answers: list[Answer]) -> set[tuple[str, str, str, float | None, str | None]]:
    return {(a.record_id, a.annotator, a.status, a.relevance, a.preference) for a in answers}


def test_import_stops_goes_on_and_repeats(argilla: Endpoint, unique: str) -> None:
    pairs = [make_pair(number) for number in range(300)]
    plan = plan_for(pairs, unique)
    reports: list[tuple[int, int | None]] = []

    def run(stop_at: int = 1000) -> object:
        return import_pairs(
            argilla,
            plan,
            pairs,
            counts_of(pairs),
            on_progress=lambda done, total: reports.append((done, total)),
            should_stop=lambda: bool(reports) and reports[-1][0] >= stop_at,
            chunk=70,
        )

    first = run(stop_at=140)
    assert (first.added, first.total, first.stopped, reports) == (140, 140, True, [(70, 300), (140, 300)])
    reports.clear()
    second = run()
    assert second.dataset_id == first.dataset_id
    assert (second.added, second.already_there, second.total, second.stopped) == (160, 140, 300, False)
    assert reports[-1] == (300, 300)
    reports.clear()
    third = run()
    assert (third.added, third.already_there, third.total) == (0, 300, 300)
    there = everything(argilla, first.dataset_id)
    assert set(there) == {pair.record_id for pair in pairs}
    assert there["id-7"]["fields"]["prompt"] == [{"role": "user", "content": "Question 7?"}]
    assert there["id-7"]["metadata"] == {
        "source": "web",
        "prompt_tokens": 7,
        "chosen_tokens": 1,
        "rejected_tokens": 1,
    }


def test_a_generator_is_imported(argilla: Endpoint, unique: str) -> None:
    plan = plan_for([make_pair(0)], unique)
    seen: list[tuple[int, int | None]] = []
    imported = import_pairs(
        argilla,
        plan,
        (make_pair(number) for number in range(30)),
        (PairCounts(1, 1, 1) for _ in range(30)),
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert imported.total == 30 and seen == [(30, None)]


def test_settings_reach_the_server(argilla: Endpoint, unique: str) -> None:
    plan = plan_for([make_pair(0)], unique, min_submitted=3, guidelines="Be kind.")
    dataset_id = import_pairs(argilla, plan, [], []).dataset_id
    with Api(argilla) as api:
        dataset = api.get(f"datasets/{dataset_id}")
        fields = api.get(f"datasets/{dataset_id}/fields")["items"]
        questions = {item["name"]: item for item in api.get(f"datasets/{dataset_id}/questions")["items"]}
        metadata = {
            item["name"]: item["title"] for item in api.get(f"me/datasets/{dataset_id}/metadata-properties")["items"]
        }
    assert dataset["guidelines"] == "Be kind." and dataset["distribution"]["min_submitted"] == 3
    assert dataset["allow_extra_metadata"] is False
    assert [(field["name"], field["title"]) for field in fields] == [
        ("prompt", "Prompt"),
        ("chosen", "Answer A"),
        ("rejected", "Answer B"),
    ]
    assert all(field["settings"] == {"type": "chat", "use_markdown": False} for field in fields)
    assert [option["value"] for option in questions["relevance"]["settings"]["options"]] == [1, 2, 3, 4, 5]
    labels = questions["preference"]["settings"]["options"]
    assert [(label["value"], label["text"]) for label in labels] == [
        ("chosen", "A is better"),
        ("rejected", "B is better"),
        ("tie", "Tie"),
    ]
    assert metadata["prompt_tokens"] == "Prompt (words (estimate))" and metadata["source"] == "Source"


@pytest.mark.parametrize("change", [{"min_submitted": 2}, {"unit": "tokens"}, {"metadata": ["source"]}])
def test_a_name_in_use_with_other_settings(argilla: Endpoint, unique: str, change: dict[str, object]) -> None:
    plan = plan_for([make_pair(0)], unique)
    import_pairs(argilla, plan, [], [])
    with pytest.raises(StudioError, match="another dataset named"):
        import_pairs(argilla, plan.model_copy(update=change), [], [])


def test_a_draft_left_by_a_crash_is_made_anew(argilla: Endpoint, unique: str) -> None:
    pairs = [make_pair(0)]
    plan = plan_for(pairs, unique)
    with Api(argilla) as api:
        workspace = api.ensure_workspace(plan.workspace)
        draft = api.send("POST", "datasets", {"name": unique, "workspace_id": workspace})["id"]
        settings = {"type": "chat", "use_markdown": False}
        api.send("POST", f"datasets/{draft}/fields", {"name": "prompt", "title": "Prompt", "settings": settings})
    imported = import_pairs(argilla, plan, pairs, counts_of(pairs))
    assert imported.dataset_id != draft and imported.total == 1
    with Api(argilla) as api, pytest.raises(Refused):
        api.get(f"datasets/{draft}")


def test_somebody_elses_draft_is_left_alone(argilla: Endpoint, unique: str) -> None:
    plan = plan_for([make_pair(0)], unique)
    with Api(argilla) as api:
        workspace = api.ensure_workspace(plan.workspace)
        draft = api.send("POST", "datasets", {"name": unique, "workspace_id": workspace})["id"]
        body = {"name": "picture", "title": "Picture", "settings": {"type": "image"}}
        api.send("POST", f"datasets/{draft}/fields", body)
        with pytest.raises(StudioError, match="another dataset named"):
            import_pairs(argilla, plan, [], [])
        assert api.get(f"datasets/{draft}")["status"] == "draft"


HOSTILE = {
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)> &lt;b&gt; &copy &#60; AT&T & a<b>c",
    "markdown": "[click](javascript:alert(1)) ![x](https://e.example/x.png)",
    "rtl": "\u202eمرحبا بالعالم\u202c שלום",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301",
    "cjk": "他喜欢苹果吗？\n\tはい。",
    "control": "bell \x07, escape \x1b[31m, delete \x7f, BOM \ufeff, separator \u2028",
    "long": "x" * 100_000,
    "braces": '{{ 7 * 7 }} {"a": [1]} \\" \\u0000 %s',
    "empty": "",
}
REPLACED = {"nul": ("a\x00b", "a\ufffdb"), "lone": ("a\ud800b\udfff", "a\ufffdb\ufffd")}


def test_hostile_text_arrives_as_it_is_or_visibly_replaced(argilla: Endpoint, unique: str) -> None:
    texts = HOSTILE | {name: given for name, (given, _) in REPLACED.items()}
    pairs = [Pair(name, said("q", "user"), said(text), said("n"), "a\x00") for name, text in texts.items()]
    pairs.append(Pair("no-turns", (), said("a"), ()))
    pairs.append(Pair("odd-role", said("q", "a role of more than twenty characters"), said("a", ""), said("b")))
    pairs.append(Pair("endless", said("q" * 500_001, "user"), said("a"), said("b")))
    imported = import_pairs(argilla, plan_for(pairs, unique), pairs, counts_of(pairs))
    assert (imported.added, imported.altered) == (len(pairs) - 1, len(REPLACED))
    (skipped,) = imported.skipped
    assert (skipped.number, skipped.record_id) == (len(pairs), "endless") and "500,001" in str(skipped.reason)
    there = everything(argilla, imported.dataset_id)
    expected = HOSTILE | {name: shown for name, (_, shown) in REPLACED.items()}
    stored = {name: there[name]["fields"]["chosen"][0]["content"] for name in expected}
    assert {name: html.unescape(text) for name, text in stored.items()} == expected
    # Argilla 2.8.0 shows chat messages as innerHTML: none may hold markup.
    assert not [name for name, text in stored.items() if "<" in text]
    assert there["no-turns"]["fields"]["prompt"] == []
    assert there["html"]["metadata"]["source"] == "a\ufffd"


def test_a_foreign_server_gets_only_what_it_takes(argilla: Endpoint, unique: str) -> None:
    foreign = replace(argilla, embedded=False)
    pairs = [make_pair(0), make_pair(1, prompt="x" * 20_001), Pair("id-2", said("q", "user"), said(""), said("b"))]
    imported = import_pairs(foreign, plan_for(pairs, unique), pairs, counts_of(pairs))
    assert imported.added == 2
    assert [(skipped.number, skipped.record_id) for skipped in imported.skipped] == [(2, "id-1")]
    assert everything(argilla, imported.dataset_id)["id-2"]["fields"]["chosen"][0]["content"] == "\ufffd"


def test_a_record_the_server_refuses_does_not_take_others_with_it(argilla: Endpoint, unique: str) -> None:
    pairs = [make_pair(number) for number in range(20)]
    # Argilla's own check: integer metadata must be integers.
    counts = [PairCounts("many" if number == 13 else 1, 1, 1) for number in range(20)]
    imported = import_pairs(argilla, plan_for(pairs, unique), pairs, counts)
    assert imported.added == 19
    (skipped,) = imported.skipped
    assert skipped.record_id == "id-13" and "prompt_tokens" in str(skipped.reason)


def test_annotators(argilla: Endpoint, unique: str) -> None:
    pairs = [make_pair(number) for number in range(3)]
    plan = plan_for(pairs, unique)
    assert list_annotators(argilla, plan.workspace) == []
    ann, bob = create_annotators(argilla, plan.workspace, [f"{unique}.ann", f" {unique}_李 "])
    assert list_annotators(argilla, plan.workspace) == [ann.username, bob.username] == [f"{unique}.ann", f"{unique}_李"]
    assert len(ann.password) == 19 and ann.password != bob.password
    with pytest.raises(StudioError, match="is taken"):
        create_annotators(argilla, plan.workspace, [f"{unique}-new", ann.username])
    assert list_annotators(argilla, plan.workspace) == [ann.username, bob.username]

    dataset_id = import_pairs(argilla, plan, pairs, counts_of(pairs)).dataset_id
    person = Person(argilla.url, bob)
    person.respond(person.records(dataset_id)["id-0"], 4, "tie")

    fresh = reset_password(argilla, plan.workspace, bob.username)
    with pytest.raises(AssertionError, match="credentials"):
        Person(argilla.url, bob)
    assert set(Person(argilla.url, fresh).records(dataset_id)) == {"id-0", "id-1", "id-2"}

    remove_annotator(argilla, plan.workspace, bob.username)
    assert list_annotators(argilla, plan.workspace) == [ann.username]
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        Person(argilla.url, fresh).records(dataset_id)
    answers, _ = read_answers(argilla, dataset_id, [], "")
    assert summary(answers) == {("id-0", bob.username, "submitted", 4.0, "tie")}
    with pytest.raises(StudioError, match="no annotator"):
        reset_password(argilla, plan.workspace, "argilla")


def test_an_annotator_of_two_workspaces_is_nobodys_to_take_over(argilla: Endpoint, unique: str) -> None:
    hers, his = f"ada-{unique}", f"bob-{unique}"
    (ann,) = create_annotators(argilla, hers, [f"{unique}-ann"])
    create_annotators(argilla, his, [f"{unique}-bo"])
    with pytest.raises(StudioError, match="no annotator"):
        reset_password(argilla, his, ann.username)
    with pytest.raises(StudioError, match="no annotator"):
        remove_annotator(argilla, his, ann.username)
    with Api(argilla) as api:
        (user,) = [each for each in api.get("users")["items"] if each["username"] == ann.username]
        api.send("POST", f"workspaces/{api.find_workspace(his)}/users", {"user_id": user["id"]})
    for workspace in (his, hers):
        with pytest.raises(StudioError, match="cannot get a new password") as refused:
            reset_password(argilla, workspace, ann.username)
        assert "somebody else's workspace" in refused.value.why
    Person(argilla.url, ann)  # the old password is still theirs
    remove_annotator(argilla, his, ann.username)  # from his own workspace alone
    assert list_annotators(argilla, hers) == [ann.username] and list_annotators(argilla, his) == [f"{unique}-bo"]
    Person(argilla.url, reset_password(argilla, hers, ann.username))
    owner = Api(argilla).get("me")
    with Api(argilla) as api:
        api.send("POST", f"workspaces/{api.find_workspace(his)}/users", {"user_id": owner["id"]})
    for refuse in (reset_password, remove_annotator):
        with pytest.raises(StudioError, match="no annotator"):
            refuse(argilla, his, owner["username"])


def test_who_was_taken_out_comes_back_to_whom_they_left_alone(argilla: Endpoint, unique: str) -> None:
    hers, his, name = f"ada-{unique}", f"bob-{unique}", f"{unique}-ann"
    (before,) = create_annotators(argilla, hers, [name])
    account = remove_annotator(argilla, hers, name)
    for former in ((), ("another", "id")):  # of somebody else's they are not
        with pytest.raises(StudioError, match="is taken"):
            create_annotators(argilla, his, [name], former=former)
    (again,) = create_annotators(argilla, hers, [name], former=[account])
    assert again.username == name and again.password != before.password and list_annotators(argilla, hers) == [name]
    Person(argilla.url, again)
    with pytest.raises(StudioError, match="is taken"):  # nor while they are somewhere
        create_annotators(argilla, his, [name], former=[account])
    with Api(argilla) as api:
        remove_annotator(argilla, hers, name)
        api.send("PATCH", f"users/{account}", {"role": "admin"})
    with pytest.raises(StudioError, match="is taken"):
        create_annotators(argilla, hers, [name], former=[account])


@pytest.mark.parametrize("embedded", [True, False], ids=["changes endpoint", "full read"])
def test_progress_and_answers(argilla: Endpoint, unique: str, embedded: bool) -> None:
    server = replace(argilla, embedded=embedded)
    pairs = [make_pair(number) for number in range(5)]
    plan = plan_for(pairs, unique, min_submitted=2)
    dataset_id = import_pairs(server, plan, pairs, counts_of(pairs)).dataset_id
    answers, cursor = read_answers(server, dataset_id, [], "")
    assert answers == [] and cursor
    given = create_annotators(server, plan.workspace, [f"{unique}-ann", f"{unique}-bob"])
    ann, bob = (Person(argilla.url, annotator) for annotator in given)
    name_a, name_b = (annotator.username for annotator in given)
    ids = ann.records(dataset_id)

    first = ann.respond(ids["id-0"], 5, "chosen")
    bob.respond(ids["id-0"], 4, "chosen")
    second = ann.respond(ids["id-1"], 1, "rejected")
    bob.respond(ids["id-2"], 3, "tie", status="draft")
    bob.http.post(f"records/{ids['id-3']}/responses", json={"status": "discarded"}).raise_for_status()
    state = progress(server, dataset_id)
    assert (state.total, state.completed, state.pending) == (5, 1, 4)
    assert set(state.per_annotator) == {(name_a, 2, 0, 0), (name_b, 1, 1, 1)}
    expected = {
        ("id-0", name_a, "submitted", 5.0, "chosen"),
        ("id-0", name_b, "submitted", 4.0, "chosen"),
        ("id-1", name_a, "submitted", 1.0, "rejected"),
        ("id-2", name_b, "draft", 3.0, "tie"),
        ("id-3", name_b, "discarded", None, None),
    }
    answers, cursor = read_answers(server, dataset_id, answers, cursor)
    assert summary(answers) == expected
    assert changes(server, dataset_id, cursor).answers == []
    assert read_answers(server, dataset_id, answers, cursor) == (answers, cursor)

    ann.edit(first, 2, "tie")  # the record is completed and stays so: its updated_at does not move
    ann.delete(second)
    answers, cursor = read_answers(server, dataset_id, answers, cursor)
    expected -= {("id-0", name_a, "submitted", 5.0, "chosen"), ("id-1", name_a, "submitted", 1.0, "rejected")}
    expected |= {("id-0", name_a, "submitted", 2.0, "tie")}
    assert summary(answers) == expected
    assert summary(read_answers(server, dataset_id, [], "")[0]) == expected


def test_wrong_key_no_owner_nobody_there(argilla: Endpoint, unique: str) -> None:
    plan = plan_for([make_pair(0)], unique)
    with pytest.raises(WrongKey):
        import_pairs(replace(argilla, api_key="wrong"), plan, [], [])
    (ann,) = create_annotators(argilla, plan.workspace, [unique])
    key = Person(argilla.url, ann).http.get("me").json()["api_key"]
    dataset_id = import_pairs(argilla, plan, [], []).dataset_id
    for refused in (
        lambda server: import_pairs(server, plan, [], []),
        lambda server: create_annotators(server, plan.workspace, ["somebody"]),
        lambda server: changes(server, dataset_id, ""),
        lambda server: changes(replace(server, embedded=False), dataset_id, ""),
    ):
        with pytest.raises(NotOwner):
            refused(replace(argilla, api_key=key))
    with pytest.raises(ServerUnreachable):
        import_pairs(replace(argilla, url="http://127.0.0.1:9/annotate"), plan, [], [])
    with pytest.raises(Refused) as caught:
        progress(argilla, "00000000-0000-0000-0000-000000000000")
    assert caught.value.status == 404


@pytest.fixture
def annotators_listener(argilla: Endpoint) -> Iterator[Listener]:
    listener = serve_annotators(build_annotators_app(lambda: f"http://127.0.0.1:{argilla.port}"), "127.0.0.1", 0)
    yield listener
    listener.stop()


def test_through_the_annotators_listener(argilla: Endpoint, annotators_listener: Listener, unique: str) -> None:
    base = f"http://127.0.0.1:{annotators_listener.port}"
    through = replace(argilla, url=f"{base}/annotate")
    pairs = [make_pair(number) for number in range(120)]
    plan = plan_for(pairs, unique)
    imported = import_pairs(through, plan, pairs, counts_of(pairs), chunk=50)
    assert imported.added == imported.total == 120
    for annotator in create_annotators(through, plan.workspace, [f"{unique}-ann", f"{unique}-bob"]):
        person = Person(through.url, annotator)
        ids = person.records(imported.dataset_id)
        assert len(ids) == 120
        person.respond(ids["id-5"], 5, "chosen")
    assert len(read_answers(through, imported.dataset_id, [], "")[0]) == 2

    page = httpx.get(annotation_link(base, imported.dataset_id), headers={"Accept": "text/html"})
    assert page.status_code == 200 and "__NUXT__" in page.text
    policy = page.headers["content-security-policy"]
    assert policy.count("'sha256-") == 2 and "'unsafe-inline'" not in policy.split("style-src")[0]
    assert httpx.get(f"{base}/annotate").headers["location"] == "/annotate/"
    for path in ("/", "/api/v1/me", "/gradio_api/info", "/dataset/1/annotation-mode", "/docs"):
        assert httpx.get(base + path).status_code == (307 if path == "/" else 404), path
