"""The story that the demo tells: two agents, three tasks, one file that both want.

Everything in it is real: the calls, the refusal, the edits, the commits. Each step says who did what and what the
daemon answered.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from conductor.cli.demo_repository import APP, STORE, Repository
from conductor.client.synchronous import Client
from conductor.domain import errors
from conductor.domain.tasks import CLOSED
from conductor.operations.projects import Project
from conductor.operations.tasks import ClaimedTask, Evidence

Connect = Callable[[str], Client]
"""Makes a client for a token."""

YOU, ADA, BOB = "you", "ada", "bob"
_MODELS = {ADA: "claude-sonnet-4-5", BOB: "claude-haiku-4-5"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step. call: the operation, or what was run. answer: lines; error: the code when it was refused."""

    who: str
    does: str
    call: str
    answer: list[str] = field(default_factory=list)
    error: str | None = None


class Story:
    """The demo's project and its two agents; `tell` goes through the story, `clean` ends what it left open."""

    def __init__(self, owner: Client, connect: Connect, repository: Repository) -> None:
        self._owner = owner
        self._connect = connect
        self._repository = repository
        self._project: Project | None = None
        self._agents: dict[str, Client] = {}

    def tell(self) -> Iterator[Step]:
        """Go through the story, one step at a time."""
        commit = self._repository.create()
        yield Step(YOU, "make a small repository", "git init, git commit", [f"commit {commit[:8]}: {APP}, {STORE}"])
        project = self._project = self._owner.create_project(name=f"demo-{uuid.uuid4().hex[:6]}")
        yield Step(YOU, "make a project for it", "create_project", [project.line()])
        for name in (ADA, BOB):
            let_in = self._owner.register_agent(agent_id=name, name=name.title(), project_id=project.id)
            self._agents[name] = self._connect(let_in.token or "")
            yield Step(
                YOU, f"let {name} in", "register_agent", [f"{name} is a {let_in.agent.role} and has a token of its own"]
            )
        polite, count, report = self._tasks(project.id)
        yield Step(
            YOU,
            "plan the work: the third task waits for the other two",
            "create_task, 3 times",
            [
                f"{polite}: greet politely ({APP})",
                f"{count}: count the greetings ({STORE})",
                f"{report}: say the count",
            ],
        )
        yield from self._share(polite, count)
        yield from self._finish(report)
        yield from self._look_back(project.id)

    def clean(self) -> None:
        """Cancel what is still open, for a story that was broken off, and end the agents' tokens."""
        if self._project is None:
            return
        project_id = self._project.id
        for task in self._owner.list_tasks(project_id=project_id).items:
            if task.status not in CLOSED:
                self._owner.update_task(task_id=task.id, status="cancelled")
        cursor = None
        while True:
            page = self._owner.list_tokens(limit=200, cursor=cursor)
            for token in page.items:
                if token.project_id == project_id and token.revoked_at is None:
                    self._owner.revoke_token(token_id=token.id)
            cursor = page.next_cursor
            if cursor is None:
                break
        for client in self._agents.values():
            client.close()

    def _tasks(self, project_id: str) -> tuple[str, str, str]:
        polite = self._owner.create_task(
            title="Greet politely", files=[APP], priority="high", assigned_to=ADA, project_id=project_id
        )
        count = self._owner.create_task(title="Count the greetings", files=[STORE], project_id=project_id)
        report = self._owner.create_task(
            title="Say how many were greeted", files=[APP], dependencies=[polite.id, count.id], project_id=project_id
        )
        return polite.id, count.id, report.id

    def _share(self, polite: str, count: str) -> Iterator[Step]:
        """Both work at once, on different files."""
        ada, bob = self._agents[ADA], self._agents[BOB]
        hers = ada.claim_task(task_id=polite)
        yield Step(ADA, f"takes the task, and {APP} with it", "claim_task", [hers.line()])
        yield self._refused(f"wants to edit {APP} too", "acquire_lock", lambda: bob.acquire_lock(paths=[APP]))
        his = bob.claim_task()
        yield Step(BOB, "asks for whatever is ready instead", "claim_task", [his.line()])
        if his.task.id != count:
            raise errors.Internal(f"The best ready task should have been {count}, not {his.task.id}.")
        # Both edits stand in one checkout before either is committed: the leases keep them apart.
        self._repository.replace(APP, 'return "hello " + name', 'return f"Good day, {name}!"')
        self._repository.replace(
            STORE, "    names.append(name)\n", "    names.append(name)\n\n\ndef count():\n    return len(names)\n"
        )
        yield from self._work(ADA, hers, "edits and commits", input_tokens=9_300, output_tokens=1_450)
        yield from self._work(BOB, his, "edits and commits in the same checkout", input_tokens=6_100, output_tokens=880)

    def _finish(self, report: str) -> Iterator[Step]:
        """The third task is open now, and the file free."""
        bob = self._agents[BOB]
        last = bob.claim_task(task_id=report)
        yield Step(BOB, f"takes the task that was waiting; {APP} is free now", "claim_task", [last.line()])
        self._repository.replace(APP, "from store import remember", "from store import count, remember")
        self._repository.replace(APP, 'print(greet("world"))', 'print(greet("world"), f"({count()} greeted)")')
        yield from self._work(BOB, last, "edits what ada left, and commits", input_tokens=7_400, output_tokens=1_020)
        yield Step(YOU, "run the project", f"python {APP}", [self._repository.run()])

    def _work(
        self, name: str, claim: ClaimedTask, does: str, *, input_tokens: int, output_tokens: int
    ) -> Iterator[Step]:
        """Commit what was edited, book what the model used, complete the task."""
        agent = self._agents[name]
        commit = self._repository.commit(name, claim.task.title, *claim.task.files)
        booked = agent.record_cost(
            model=_MODELS[name],
            provider="anthropic",
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            task_id=claim.task.id,
            idempotency_key=uuid.uuid4().hex,
        )
        yield Step(name, does, "git commit, record_cost", [f"commit {commit[:8]}: {claim.task.title}", booked.line()])
        done = agent.complete_task(
            task_id=claim.task.id,
            attempt=claim.attempt,
            result=f"{claim.task.title}: done in {commit[:8]}",
            evidence=Evidence(commit=commit),
        )
        yield Step(name, "is done", "complete_task", [done.line()])

    def _refused(self, does: str, call: str, attempt: Callable[[], object]) -> Step:
        try:
            attempt()
        except errors.LockHeld as held:
            because = [f"it could: {step.tool} ({step.because})" for step in held.next]
            return Step(BOB, does, call, [f"{held.code}: {held.message}", *because], held.code)
        raise errors.Internal("Two agents were given the same file.")

    def _look_back(self, project_id: str) -> Iterator[Step]:
        costs = self._owner.get_costs(group_by=["agent"], project_id=project_id)
        spent = [f"{row.agent}: {row.cost_usd} USD in {row.events} call(s)" for row in costs.rows]
        yield Step(YOU, "see what it cost", "get_costs by agent", [*spent, f"together {costs.total.cost_usd} USD"])
        yield Step(YOU, "see who committed what", "git log", self._repository.history().splitlines())
        page = self._owner.list_events(project_id=project_id, limit=50)
        events = sorted(page.items, key=lambda event: event.number)
        trail = [f"#{event.number} {event.actor} {event.kind} {event.subject_id or ''}".rstrip() for event in events]
        yield Step(YOU, "read the audit trail", "list_events", trail)
