"""Two organisations with the same names for everything work at once, and neither learns of the other on any face."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from conductor.operations.catalogue import CATALOGUE
from tests.support.callers import RestCaller, calling
from tests.support.daemon import DaemonProcess, eventually

_ID = re.compile(r"\b(?:org|prj|mbr|tok|agt|tsk|lck|req)_[0-9a-z]{10}\b")
ROUNDS = 5


@dataclass
class Tenant:
    """An organisation as its own people see it. said: every answer that they were given."""

    slug: str
    cost_usd: str
    id: str = ""
    owner: str = ""
    service: str = ""
    project: str = ""
    agents: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def marker(self) -> str:
        """A word that stands in this organisation's texts and nowhere else."""
        return f"secret-of-{self.slug}"

    @property
    def ids(self) -> set[str]:
        """Every id that they were told."""
        return set(_ID.findall("".join(self.said)))


def test_two_organizations_with_the_same_names_learn_nothing_of_each_other(daemon: DaemonProcess) -> None:
    north, south = Tenant("north", "0.25"), Tenant("south", "0.5")

    asyncio.run(_work_side_by_side(daemon, north, south))

    for one, other in ((north, south), (south, north)):
        everything = "".join(one.said)
        assert len(one.ids) > 20
        assert one.ids & other.ids == set()
        assert other.marker not in everything
        assert [lock["agent_id"] for lock in daemon.call("list_locks", one.owner)["items"]] == ["ada"] * ROUNDS
        assert len(daemon.call("list_tasks", one.owner)["items"]) == 2 * ROUNDS
        spent = daemon.call("get_costs", one.owner, group_by=["agent"])
        total = f"{float(one.cost_usd) * ROUNDS:g}"
        assert [(row["agent"], row["cost_usd"], row["events"]) for row in spent["rows"]] == [("ada", total, ROUNDS)]
        numbers = [event["number"] for event in daemon.every("list_events", one.owner, since=0)]
        assert numbers == list(range(1, len(numbers) + 1))
        _assert_the_others_ids_are_as_unknown_as_any(daemon, one, other)
        _assert_metrics_are_its_own(daemon, one, other)


async def _work_side_by_side(daemon: DaemonProcess, *tenants: Tenant) -> None:
    async with calling(daemon) as root:
        for tenant in tenants:
            await _found(root, tenant)
        for number in range(ROUNDS):
            await asyncio.gather(*(_work(root, tenant, number) for tenant in tenants))
        for tenant in tenants:
            await _look_at_everything(root.like(tenant.owner), tenant)
            await _look_at_everything(root.like(tenant.agents["ada"]), tenant)


async def _found(root: RestCaller, tenant: Tenant) -> None:
    """The owner of the installation makes the organisation; the rest its own owner does."""
    tenant.id = (await root.call("create_organization", name=tenant.slug.title(), slug=tenant.slug))["id"]
    made = await root.call("create_token", kind="usr", role="owner", name="Olga", organization_id=tenant.id)
    tenant.owner = made["token"]
    owner = root.like(tenant.owner)
    tenant.project = (await _say(tenant, owner, "create_project", name="Shop", slug="shop"))["id"]
    tenant.service = (await _say(tenant, owner, "create_token", kind="svc", name="CI"))["token"]
    for name in ("ada", "bob"):
        reply = await _say(tenant, owner, "register_agent", agent_id=name, name=name.title(), idempotency_key=name)
        tenant.agents[name] = reply["token"]
    await _say(tenant, owner, "set_quota", scope="organization", limit_usd="100", window="total")
    focus = f"{tenant.marker}: a shop"
    await _say(tenant, owner, "update_onboarding_config", focus=focus, version=0, idempotency_key="focus")


async def _work(root: RestCaller, tenant: Tenant, number: int) -> None:
    """A round of work with the same keys, paths and names in each organisation."""
    owner, ada, bob = (root.like(token) for token in (tenant.owner, *tenant.agents.values()))
    key = f"round-{number}"
    task = await _say(tenant, owner, "create_task", title=f"{tenant.marker} {number}", idempotency_key=key)
    await _say(tenant, owner, "create_task", title="Waits", dependencies=[task["id"]], idempotency_key=f"{key}-next")
    await _say(tenant, bob, "claim_task", task_id=task["id"], idempotency_key=key)
    await _say(tenant, ada, "acquire_lock", paths=[f"src/{number}/**"], reason=tenant.marker, idempotency_key=key)
    refused = await bob.ask("acquire_lock", paths=[f"src/{number}/app.py"])
    tenant.said.append(refused.body.decode())
    assert refused.json()["code"] == "lock_held"
    await _say(
        tenant, ada, "record_cost", model="m", input_tokens=1, output_tokens=1, cost_usd=tenant.cost_usd,
        idempotency_key=key,
    )  # fmt: skip
    await _say(tenant, bob, "complete_task", task_id=task["id"], attempt=1, result=tenant.marker, idempotency_key=key)
    await _say(tenant, ada, "log_action", action=tenant.marker, idempotency_key=key)


async def _look_at_everything(caller: RestCaller, tenant: Tenant) -> None:
    """Every list there is, and every answer of who only looks."""
    for name, row in CATALOGUE.items():
        if not row.writes and not any(field.is_required() for field in row.request.model_fields.values()):
            # People say for which agent they want something explained.
            answer = await caller.ask(name, **({"agent_id": "ada"} if name == "explain_task" else {}))
            assert answer.status in {200, 403}, answer.body
            tenant.said.append(answer.body.decode())


async def _say(tenant: Tenant, caller: RestCaller, operation: str, **given: Any) -> dict[str, Any]:
    answer = await caller.ask(operation, **given)
    assert answer.status == 200, answer.body
    tenant.said.append(answer.body.decode())
    return answer.json()


def _assert_the_others_ids_are_as_unknown_as_any(daemon: DaemonProcess, one: Tenant, other: Tenant) -> None:
    """Every argument that takes an id answers for a real one of the other as for one that nobody has."""
    kinds = {"task_id": "tsk", "project_id": "prj", "member_id": "mbr", "token_id": "tok", "lock_id": "lck"}
    for operation, extra in _PROBES:
        (argument,) = set(CATALOGUE[operation].request.model_fields) & kinds.keys() - {"project_id"} or {"project_id"}
        theirs = next(id for id in sorted(other.ids) if id.startswith(kinds[argument]))
        nobodys = f"{kinds[argument]}_0000000000"

        answers = [daemon.ask(operation, one.owner, {argument: id, **extra}) for id in (theirs, nobodys)]

        assert {answer.status_code for answer in answers} <= {400, 404}, (operation, answers[0].text)
        assert answers[0].text.replace(theirs, "id") == answers[1].text.replace(nobodys, "id"), operation


_PROBES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("get_task", {}),
    ("update_task", {"note": "mine now"}),
    ("get_project", {}),
    ("list_tasks", {}),
    ("list_locks", {}),
    ("list_agents", {}),
    ("get_costs", {}),
    ("list_events", {}),
    ("get_onboarding_config", {}),
    ("update_project", {"name": "mine now"}),
    ("release_lock", {"force": True}),
    ("remove_member", {}),
    ("revoke_token", {}),
    ("rotate_token", {}),
)


def _assert_metrics_are_its_own(daemon: DaemonProcess, one: Tenant, other: Tenant) -> None:
    def page() -> str:
        return httpx.get(f"{daemon.url}/metrics", headers={"Authorization": f"Bearer {one.service}"}).text

    counted = f'conductor_locks{{organization="{one.slug}"}} {float(ROUNDS)}'
    eventually(lambda: counted in page(), f"{counted} is shown")
    shown = page()
    assert f'organization="{one.slug}"' in shown
    assert set(re.findall(r'organization="([^"]*)"', shown)) == {one.slug}
    assert other.slug not in shown
    assert json.dumps(other.id) not in shown
