"""The lock table against a plain dictionary of leases that is searched by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, count, product
from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from conductor.domain import errors, globs
from conductor.domain.locks import Grant, Lease, LockTable, Mode, Wanted

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EXCLUSIVE, SHARED = Mode.EXCLUSIVE, Mode.SHARED

agent_ids = st.sampled_from(["ada", "bob", "cyd"])
task_ids = st.sampled_from([None, None, "tsk_a", "tsk_b"])
modes = st.sampled_from(Mode)
texts = st.sampled_from(["a.py", "b.py", "src/a.py", "src/b.py", "src/", "src/**", "src/*.py", "**/a.py", "docs/?.md"])
path_sets = st.lists(texts, min_size=1, max_size=3, unique=True).map(lambda chosen: tuple(sorted(chosen)))
ttls_s = st.sampled_from([10, 60, 900])


def meet(one: Sequence[str], other: Sequence[str]) -> bool:
    return any(globs.overlapping(globs.parse(a), globs.parse(b)) for a, b in product(one, other))


def covers(lease: Lease, paths: Sequence[str]) -> bool:
    return all(globs.covers([globs.parse(held) for held in lease.paths], globs.parse(path)) for path in paths)


def clash(one: Lease | Wanted, other: Lease | Wanted) -> bool:
    return one.agent_id != other.agent_id and EXCLUSIVE in (one.mode, other.mode) and meet(one.paths, other.paths)


def seen(table: LockTable) -> object:
    return table.live(), table.fencing_token, table.next_deadline(), len(table)


class AgainstAList(RuleBasedStateMachine):
    """Grants, renewals, releases and ends in any order; the model is a plain dictionary and brute force."""

    def __init__(self) -> None:
        super().__init__()
        self.table = LockTable()
        self.model: dict[str, Lease] = {}
        self.now = NOW
        self.tokens: list[int] = []
        self.numbers = count(1)

    def live(self) -> list[Lease]:
        return [lease for lease in self.model.values() if lease.is_live(self.now)]

    def make_id(self) -> str:
        return f"lck_{next(self.numbers)}"

    def keep(self, lease: Lease) -> None:
        self.table.put(lease)
        self.model[lease.id] = lease

    def end(self, lease: Lease) -> None:
        self.table.drop(lease.id)
        del self.model[lease.id]

    @rule(agent_id=agent_ids, paths=path_sets, mode=modes, ttl_s=ttls_s, task_id=task_ids)
    def acquire(self, agent_id: str, paths: tuple[str, ...], mode: Mode, ttl_s: int, task_id: str | None) -> None:
        request = Wanted(agent_id, paths, mode, ttl_s, task_id)
        blockers = sorted(
            (lease for lease in self.live() if clash(lease, request)), key=lambda lease: (lease.expires_at, lease.id)
        )
        before = seen(self.table)

        assert self.table.conflicts(request, self.now) == blockers
        if blockers:
            with pytest.raises(errors.LockHeld) as refusal:
                self.table.decide_acquire(request, "prj_a", self.now, self.make_id)
            assert refusal.value.facts["holder"] == blockers[0].agent_id
            assert seen(self.table) == before
            return

        lease, grant = self.table.decide_acquire(request, "prj_a", self.now, self.make_id)

        assert seen(self.table) == before
        self.check_grant(request, lease, grant)
        self.keep(lease)

    def check_grant(self, request: Wanted, lease: Lease, grant: Grant) -> None:
        own = [
            held
            for held in self.live()
            if held.agent_id == request.agent_id
            and request.task_id in (None, held.task_id)
            and meet(held.paths, request.paths)
        ]
        bearing = [held for held in own if covers(held, request.paths) and request.mode in (SHARED, held.mode)]
        former = self.model.get(lease.id)
        assert covers(lease, request.paths)
        assert lease.mode is EXCLUSIVE or request.mode is SHARED
        assert lease.expires_at >= self.now + timedelta(seconds=request.ttl_s)
        if grant is Grant.RENEWED:
            assert former in bearing
            assert former is not None
            assert lease == replace(former, ttl_s=lease.ttl_s, expires_at=lease.expires_at)
        else:
            assert lease.token > max(self.tokens, default=0)
            assert not bearing
            self.tokens.append(lease.token)
        if grant is Grant.NEW:
            assert former is None
            # A lease beside one that it touches is made only where that one could not grow.
            oldest = min(
                own, key=lambda held: (held.task_id != request.task_id, held.acquired_at, held.id), default=None
            )
            if oldest is not None:
                mode = EXCLUSIVE if EXCLUSIVE in (oldest.mode, request.mode) else SHARED
                grown = replace(request, paths=(*oldest.paths, *request.paths), mode=mode)
                assert any(clash(held, grown) for held in self.live())
            return
        assert former is not None
        assert lease.expires_at >= former.expires_at
        assert lease.ttl_s == max(former.ttl_s, request.ttl_s)
        assert set(former.paths) <= set(lease.paths) <= {*former.paths, *request.paths}
        assert (lease.task_id, lease.acquired_at) == (former.task_id, former.acquired_at)

    @precondition(lambda self: self.model)
    @rule(pick=st.randoms(use_true_random=False), force=st.booleans())
    def release_what_is_leased(self, pick: Random, force: bool) -> None:
        lease = pick.choice(list(self.model.values()))
        self.release(
            lease.agent_id, [pick.choice(lease.paths), *pick.choices(lease.paths, k=pick.randint(0, 1))], force
        )

    @rule(agent_id=agent_ids, paths=st.lists(texts, min_size=1, max_size=2), force=st.booleans())
    def release_anything(self, agent_id: str, paths: list[str], force: bool) -> None:
        self.release(agent_id, paths, force)

    def release(self, agent_id: str, paths: list[str], force: bool) -> None:
        mine = [lease for lease in self.model.values() if force or lease.agent_id == agent_id]
        before = seen(self.table)
        try:
            changes = self.table.decide_release(agent_id, paths, force=force)
        except errors.NotHolder:
            assert any(all(path not in lease.paths for lease in mine) for path in paths)
            assert seen(self.table) == before
            return

        assert seen(self.table) == before
        assert {was.id for was, _ in changes} == {lease.id for lease in mine if set(paths) & set(lease.paths)}
        for was, stays in changes:
            left = tuple(path for path in was.paths if path not in paths)
            assert stays == (replace(was, paths=left) if left else None)
            if stays is None:
                self.end(was)
            else:
                self.keep(stays)

    @rule(agent_id=agent_ids)
    def show_a_sign_of_life(self, agent_id: str) -> None:
        expected = [
            replace(lease, expires_at=self.now + timedelta(seconds=lease.ttl_s))
            for lease in self.live()
            if lease.agent_id == agent_id and (lease.expires_at - self.now).total_seconds() < lease.ttl_s * 2 / 3
        ]

        renewed = self.table.renewals(agent_id, self.now)

        assert sorted(renewed, key=lambda lease: lease.id) == sorted(expected, key=lambda lease: lease.id)
        for lease in renewed:
            self.keep(lease)

    @precondition(lambda self: self.model)
    @rule(seconds=st.sampled_from([1, 9, 10, 50, 400]), looks=st.booleans())
    def let_time_pass(self, seconds: int, looks: bool) -> None:
        self.now += timedelta(seconds=seconds)
        over = [lease for lease in self.model.values() if not lease.is_live(self.now)]

        assert self.table.expired(self.now) == sorted(over, key=lambda lease: (lease.expires_at, lease.id))
        for lease in over if looks else []:
            self.end(lease)

    @rule(agent_id=agent_ids, task_id=st.none() | st.just("tsk_a"))
    def end_a_task_or_an_agent(self, agent_id: str, task_id: str | None) -> None:
        ended = self.table.of_agent(agent_id) if task_id is None else self.table.of_task(task_id, agent_id)

        assert {lease.id for lease in ended} == {
            lease.id for lease in self.model.values() if lease.agent_id == agent_id and task_id in (None, lease.task_id)
        }
        assert ended == sorted(ended, key=lambda lease: (lease.acquired_at, lease.id))
        for lease in ended:
            self.end(lease)

    @rule()
    def load_anew(self) -> None:
        self.table = LockTable(self.model.values(), self.table.fencing_token)

    @invariant()
    def no_two_live_leases_conflict(self) -> None:
        assert not any(clash(one, other) for one, other in combinations(self.live(), 2))

    @invariant()
    def the_table_is_the_list(self) -> None:
        assert self.table.live() == sorted(self.model.values(), key=lambda lease: lease.id)
        assert self.table.next_deadline() == min((lease.expires_at for lease in self.model.values()), default=None)


AgainstAList.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestAgainstAList = AgainstAList.TestCase
