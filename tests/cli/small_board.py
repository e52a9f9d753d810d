"""Just enough memory behind the double for the demo's story: three tasks, their leases, a ledger, a trail."""

from typing import Any

from conductor.domain import errors
from conductor.operations.admin import Identity, RevokedToken, TokenPage, TokenSeen
from conductor.operations.agents import Agent, RegisteredAgent
from conductor.operations.audit import EventPage, EventSeen
from conductor.operations.costs import CostRow, Costs, CostTotal, RecordedCost
from conductor.operations.locks import Lock, LockGrant
from conductor.operations.projects import Project
from conductor.operations.tasks import ClaimedTask, CompletedTask, Task, TaskPage
from tests.cli import samples
from tests.cli.double import Asked, Double

PROJECT = "prj_0000000001"


class SmallBoard:
    """One project. `ended`: the tokens that were revoked."""

    def __init__(self, double: Double, *, role: str = "owner") -> None:
        self.role = role
        self.tasks: dict[str, dict[str, Any]] = {}
        self.leases: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.costs: list[str] = []
        self.trail: list[dict[str, Any]] = []
        self.ended: list[str] = []
        double.always = {
            name: getattr(self, name)
            for name in (
                "whoami", "create_project", "register_agent", "create_task", "claim_task", "acquire_lock",
                "record_cost", "complete_task", "update_task", "get_costs", "list_events", "list_tasks",
                "list_tokens", "revoke_token",
            )
        }  # fmt: skip

    def whoami(self, asked: Asked) -> Any:
        return samples.reply(Identity, kind="usr", organization_id="org_1", role=self.role)

    def create_project(self, asked: Asked) -> Any:
        return samples.reply(Project, id=PROJECT, name=asked.body["name"], slug=asked.body["name"])

    def register_agent(self, asked: Asked) -> Any:
        name = asked.body["agent_id"]
        self.names[f"Bearer cdr_agt_{name}"] = name
        agent = samples.reply(Agent, agent_id=name, role="contributor")
        return samples.reply(RegisteredAgent, agent=agent, token=f"cdr_agt_{name}")

    def create_task(self, asked: Asked) -> Any:
        given = {key: value for key, value in asked.body.items() if key in Task.model_fields}
        task = samples.reply(Task, **given, id=f"tsk_{len(self.tasks)}", status="pending", attempt=0)
        self.tasks[task["id"]] = task
        return task

    def claim_task(self, asked: Asked) -> Any:
        name = self.names[asked.authorization or ""]
        open_ones = [task for task in self.tasks.values() if task["status"] == "pending"]
        ready = [
            task for task in open_ones if all(self.tasks[key]["status"] == "completed" for key in task["dependencies"])
        ]
        task = self.tasks.get(asked.body.get("task_id", "")) or ready[0]
        if task not in ready:
            raise errors.NotReady("it waits")
        locks = [self._lease(name, path, task["id"]) for path in task["files"]]
        task.update(status="claimed", assigned_to=name, attempt=1)
        self._note(name, "task.claimed", task["id"])
        return samples.reply(ClaimedTask, task=task, attempt=1, locks=locks)

    def acquire_lock(self, asked: Asked) -> Any:
        name = self.names[asked.authorization or ""]
        return samples.reply(LockGrant, lock=self._lease(name, asked.body["paths"][0], None))

    def record_cost(self, asked: Asked) -> Any:
        self.costs.append(self.names[asked.authorization or ""])
        return samples.reply(RecordedCost, cost_usd="0.05", spent_usd="0.05", exceeded=False)

    def complete_task(self, asked: Asked) -> Any:
        task = self.tasks[asked.body["task_id"]]
        task["status"] = "completed"
        self.leases = {path: holder for path, holder in self.leases.items() if path not in task["files"]}
        self._note(task["assigned_to"], "task.completed", task["id"])
        freed = [other["id"] for other in self.tasks.values() if task["id"] in other["dependencies"]]
        return samples.reply(CompletedTask, task=task, unblocked=freed, released=["lck_1"])

    def update_task(self, asked: Asked) -> Any:
        self.tasks[asked.body["task_id"]]["status"] = asked.body["status"]
        return self.tasks[asked.body["task_id"]]

    def get_costs(self, asked: Asked) -> Any:
        rows = [
            samples.reply(CostRow, agent=name, cost_usd="0.05", events=self.costs.count(name))
            for name in ("ada", "bob")
        ]
        total = samples.reply(CostTotal, cost_usd="0.15", events=len(self.costs))
        return samples.reply(Costs, rows=rows, total=total)

    def list_events(self, asked: Asked) -> Any:
        return samples.reply(EventPage, items=list(reversed(self.trail)))

    def list_tasks(self, asked: Asked) -> Any:
        return samples.reply(TaskPage, items=list(self.tasks.values()))

    def list_tokens(self, asked: Asked) -> Any:
        ours = [samples.reply(TokenSeen, id=f"tok_{name}", project_id=PROJECT) for name in self.names.values()]
        other = samples.reply(TokenSeen, id="tok_other", project_id="prj_0000000002")
        return samples.reply(TokenPage, items=[other, *ours])

    def revoke_token(self, asked: Asked) -> Any:
        self.ended.append(asked.body["token_id"])
        return samples.reply(RevokedToken)

    def _lease(self, name: str, path: str, task_id: str | None) -> dict[str, Any]:
        holder = self.leases.setdefault(path, name)
        if holder != name:
            step = errors.NextStep("claim_task", {}, "to work on something else")
            raise errors.LockHeld(f"{path} is leased by {holder} until 14:02Z.", facts={"holder": holder}, next=[step])
        return samples.reply(Lock, agent_id=name, paths=[path], task_id=task_id)

    def _note(self, name: str, kind: str, subject_id: str) -> None:
        number = len(self.trail) + 1
        self.trail.append(
            samples.reply(EventSeen, number=number, actor=f"agent:{name}", kind=kind, subject_id=subject_id)
        )
