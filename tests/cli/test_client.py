"""The typed client, both kinds, against a server that speaks the REST shape."""

import asyncio
import inspect
import socket
import traceback
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from conductor.client import AsyncClient, Client, Patience
from conductor.client.typed_async import AsyncOperations
from conductor.client.typed_sync import Operations
from conductor.domain import errors
from conductor.domain.locks import Mode
from conductor.domain.tasks import TaskStatus
from conductor.operations.catalogue import CATALOGUE
from conductor.operations.costs import Costs
from conductor.operations.locks import ACQUIRE_LOCK, AcquireLock, LockGrant
from conductor.operations.projects import Project, ProjectPage
from conductor.operations.tasks import Evidence
from tests.cli import samples
from tests.cli.conftest import TOKEN
from tests.cli.double import HANG_UP, Answered, Double

AT_ONCE = Patience(tries=3, first_wait_s=0.0)
Call = Callable[..., Any]


@pytest.fixture(params=["synchronous", "asynchronous"])
def call(request: pytest.FixtureRequest, double: Double) -> Call:
    """Call an operation by either client, so that one test holds for both."""

    def call(operation: str, *, project: str | None = None, url: str | None = None, **arguments: Any) -> Any:
        where = (url or double.url, TOKEN)
        if request.param == "synchronous":
            with Client(*where, project=project, patience=AT_ONCE) as client:
                return getattr(client, operation)(**arguments)

        async def once() -> Any:
            async with AsyncClient(*where, project=project, patience=AT_ONCE) as client:
                return await getattr(client, operation)(**arguments)

        return asyncio.run(once())

    return call


def test_a_method_sends_its_arguments_and_gives_the_reply_typed(call: Call, double: Double) -> None:
    granted = call("acquire_lock", paths=["src/app.py"], ttl_s=600, mode="shared")

    assert isinstance(granted, LockGrant)
    assert double.bodies("acquire_lock") == [{"paths": ["src/app.py"], "mode": "shared", "ttl_s": 600, "wait_s": 0}]
    assert double.asked[0].authorization == f"Bearer {TOKEN}"


def test_enums_times_amounts_and_nested_models_go_as_json(call: Call, double: Double) -> None:
    at = datetime(2026, 11, 24, 8, 20, tzinfo=UTC)

    call("create_task", title="x", due_at=at, estimated_cost_usd=Decimal("0.000000001"))
    call("list_tasks", status=[TaskStatus.PENDING, "blocked"])
    call("complete_task", task_id="tsk_1", attempt=1, result="", evidence=Evidence(commit="abcdef1"))

    (task,), (listing,), (done,) = (double.bodies(name) for name in ("create_task", "list_tasks", "complete_task"))
    assert (task["due_at"], task["estimated_cost_usd"]) == ("2026-11-24T08:20:00Z", "0.000000001")
    assert listing["status"] == ["pending", "blocked"]
    assert done["evidence"]["commit"] == "abcdef1"


@pytest.mark.parametrize(
    ("operation", "arguments", "named"),
    [
        ("acquire_lock", {"paths": ["a"], "ttl_s": "600"}, "ttl_s"),
        ("acquire_lock", {"paths": "src/app.py"}, "paths"),
        ("acquire_lock", {"paths": []}, "paths"),
        ("create_task", {"title": "a\x00b"}, "title"),
        ("create_task", {"title": "\ud800"}, "create_task"),
        ("record_cost", {"model": "m", "input_tokens": -1, "output_tokens": 0, "idempotency_key": "k"}, "input_tokens"),
        ("set_quota", {"scope": "organization", "limit_usd": float("inf")}, "limit_usd"),
        ("list_tasks", {"status": ["nonsense"]}, "status"),
    ],
)
def test_wrong_arguments_are_refused_before_they_are_sent(
    operation: str, arguments: dict[str, Any], named: str, call: Call, double: Double
) -> None:
    with pytest.raises(errors.Invalid, match=named):
        call(operation, **arguments)

    assert double.asked == []


def test_a_refusal_is_the_domains_error_with_facts_and_next_step(call: Call, double: Double) -> None:
    step = errors.NextStep("list_locks", {"path": "src/app.py"}, "to see who holds it")
    double.script("acquire_lock", errors.LockHeld("ada has it", facts={"holder": "ada"}, next=[step], wait_s=240))

    with pytest.raises(errors.LockHeld, match="ada has it") as refused:
        call("acquire_lock", paths=["src/app.py"])

    assert (refused.value.facts, refused.value.next, refused.value.wait_s) == ({"holder": "ada"}, (step,), 240)
    assert len(double.asked) == 1


@pytest.mark.parametrize("kind", errors.BY_CODE.values(), ids=errors.BY_CODE)
def test_every_code_comes_back_as_its_class(kind: type[errors.ConductorError], call: Call, double: Double) -> None:
    double.always["whoami"] = lambda _: kind("so")

    with pytest.raises(kind):
        call("whoami")


@pytest.mark.parametrize("kind", [errors.Unavailable, errors.RateLimited])
def test_a_write_is_sent_again_with_the_same_key_when_the_daemon_is_busy(
    kind: type[errors.ConductorError], call: Call, double: Double
) -> None:
    double.script("claim_task", kind("busy", wait_s=0), kind("busy", wait_s=0))

    call("claim_task")

    keys = {asked.body["idempotency_key"] for asked in double.asked}
    assert (len(double.asked), len(keys)) == (3, 1)


def test_a_connection_that_breaks_is_tried_again_with_the_same_key(call: Call, double: Double) -> None:
    double.script("claim_task", HANG_UP, HANG_UP)

    call("claim_task")

    assert len({asked.body["idempotency_key"] for asked in double.asked}) == 1


def test_tries_are_bounded(call: Call, double: Double) -> None:
    double.always["whoami"] = lambda _: errors.Unavailable("it is stopping", wait_s=0)

    with pytest.raises(errors.Unavailable, match="it is stopping"):
        call("whoami")

    assert len(double.asked) == AT_ONCE.tries


def test_a_daemon_that_asks_for_a_long_wait_is_not_waited_for(call: Call, double: Double) -> None:
    double.script("whoami", errors.RateLimited("slow down", wait_s=3600))

    with pytest.raises(errors.RateLimited):
        call("whoami")

    assert len(double.asked) == 1


def test_each_write_has_a_key_of_its_own_and_the_callers_key_stands(call: Call, double: Double) -> None:
    call("claim_task")
    call("claim_task")
    call("claim_task", idempotency_key="mine")

    keys = [asked.body["idempotency_key"] for asked in double.asked]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


def test_a_read_carries_no_key(call: Call, double: Double) -> None:
    call("list_tasks")

    assert "idempotency_key" not in double.asked[0].body


def test_nobody_listening_is_said_with_what_to_do(call: Call) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    with pytest.raises(errors.Unavailable, match=r"No daemon answers at .*conductor up"):
        call("whoami", url=url)


@pytest.mark.parametrize(
    ("answered", "kind", "says"),
    [
        (Answered(200, "<html>"), errors.Internal, "is it a Conductor daemon"),
        (Answered(200, {"kind": "usr"}), errors.Internal, "is it a Conductor daemon"),
        (Answered(404, "<html>"), errors.Internal, "is it the daemon's address"),
        (Answered(502, "Bad gateway"), errors.Unavailable, "cannot reach the daemon"),
        (Answered(307, "", {"Location": "http://127.0.0.1:1/"}), errors.Internal, "where the token is not sent"),
        (
            Answered(418, {"code": "teapot", "message": "m", "retryable": False, "facts": {}, "next": []}),
            errors.Internal,
            "teapot",
        ),
    ],
)
def test_an_answer_that_is_not_conductors_is_said_to_be_none(
    answered: Answered, kind: type[errors.ConductorError], says: str, call: Call, double: Double
) -> None:
    double.script("whoami", *[answered] * AT_ONCE.tries)

    with pytest.raises(kind, match=says):
        call("whoami")


def test_a_redirect_is_not_followed(call: Call, double: Double) -> None:
    double.script("whoami", Answered(307, "", {"Location": f"{double.url}/v1/list_projects"}))

    with pytest.raises(errors.Internal):
        call("whoami")

    assert [asked.operation for asked in double.asked] == ["whoami"]


def test_what_a_newer_daemon_adds_is_passed_over(call: Call, double: Double) -> None:
    project = samples.full(Project)
    project["counts"]["colour"] = "blue"
    double.script("get_project", {**project, "mood": "good"})

    assert call("get_project").slug == project["slug"]


def test_a_project_may_be_named_by_its_slug_once_for_all_calls(double: Double) -> None:
    ours = samples.reply(Project, id="prj_0000000001", slug="ours")
    theirs = samples.reply(Project, id="prj_0000000002", slug="theirs")
    pages = [
        samples.reply(ProjectPage, items=[theirs], next_cursor="more"),
        samples.reply(ProjectPage, items=[ours]),
    ]
    double.script("list_projects", *pages)

    with Client(double.url, TOKEN, project="ours") as client:
        client.list_tasks()
        client.list_tasks()
        client.list_tasks(project_id="prj_0000000003")
        client.whoami()

    assert [body.get("project_id") for body in double.bodies("list_tasks")] == [
        "prj_0000000001",
        "prj_0000000001",
        "prj_0000000003",
    ]
    assert len(double.bodies("list_projects")) == 2
    assert double.bodies("whoami") == [{}]


def test_an_unknown_slug_is_answered_with_those_there_are(call: Call, double: Double) -> None:
    double.script("list_projects", samples.reply(ProjectPage, items=[samples.reply(Project, slug="theirs")]))

    with pytest.raises(errors.NotFound, match="theirs"):
        call("list_tasks", project="ours")


def test_the_token_is_in_no_text(double: Double) -> None:
    double.script("whoami", errors.Unauthenticated("no"), HANG_UP)
    said = []

    with Client(double.url, TOKEN, patience=Patience(tries=1)) as client:
        said += [repr(client), str(vars(client))]
        for _ in range(2):
            try:
                client.whoami()
            except errors.ConductorError as error:
                said += traceback.format_exception(error)
    with pytest.raises(errors.Unauthenticated) as broken:
        Client(double.url, f"{TOKEN}\nX-Other: 1")
    said += traceback.format_exception(broken.value)

    assert len(said) > 4
    assert "s3cr3t" not in "".join(said)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8787", "ftp://a", "http://", "http://me:pw@a", "http://a?x=1", "http://a:port"]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(errors.Invalid, match=r"http://127\.0\.0\.1:8787"):
        Client(url, TOKEN)


def test_a_daemon_on_this_machine_is_not_asked_through_a_proxy(
    call: Call, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    call("whoami")

    assert len(double.asked) == 1


def test_the_environment_says_where_as_whom_and_in_which_project(double: Double, tmp_path: Path) -> None:
    environ = {
        "CONDUCTOR_HOME": str(tmp_path),
        "CONDUCTOR_URL": double.url,
        "CONDUCTOR_TOKEN": TOKEN,
        "CONDUCTOR_PROJECT": "prj_0000000001",
    }

    async def once() -> Costs:
        async with AsyncClient.from_environment(environ) as client:
            return await client.get_costs(group_by=["agent"])

    with Client.from_environment(environ) as client:
        client.get_costs(group_by=["agent"])
    asyncio.run(once())

    assert [body["project_id"] for body in double.bodies("get_costs")] == ["prj_0000000001"] * 2
    assert {asked.authorization for asked in double.asked} == {f"Bearer {TOKEN}"}


def test_many_calls_at_once_go_over_one_client(double: Double) -> None:
    async def many() -> list[LockGrant]:
        async with AsyncClient(double.url, TOKEN) as client:
            one: Coroutine[Any, Any, LockGrant] = client.acquire_lock(paths=["a"], mode=Mode.EXCLUSIVE)
            others = [client.call(ACQUIRE_LOCK, AcquireLock(paths=[f"f{number}"])) for number in range(20)]
            return await asyncio.gather(one, *others)

    grants = asyncio.run(many())

    assert len(grants) == len(double.asked) == 21


@pytest.mark.parametrize("client", [Operations, AsyncOperations])
def test_every_operation_is_a_method_with_its_positional_fields_first(client: type) -> None:
    for row in CATALOGUE.values():
        method = inspect.signature(getattr(client, row.name))
        names = [name for name in method.parameters if name != "self"]
        assert tuple(names[: len(row.positional)]) == row.positional
        assert set(names) == set(row.request.model_fields)
        assert all(method.parameters[name].kind is inspect.Parameter.KEYWORD_ONLY for name in names)
        assert method.return_annotation is row.reply
