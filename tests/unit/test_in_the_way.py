"""What keeps a claim from its files: leases of others, and places that it would have to pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from conductor.domain.in_the_way import Line
from conductor.domain.lock_queue import LockQueue
from conductor.domain.locks import Lease, LockTable, Mode, Wanted

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def lease(agent_id: str, path: str, mode: Mode = Mode.EXCLUSIVE) -> Lease:
    return Lease(f"lck_{agent_id}", "prj_a", agent_id, (path,), mode, 1, 900, NOW, NOW + timedelta(seconds=900))


def wanted(agent_id: str, *paths: str, mode: Mode = Mode.EXCLUSIVE) -> Wanted:
    return Wanted(agent_id, paths, mode, 900)


def line(leases: list[Lease], *waiting: Wanted) -> Line:
    table, queue = LockTable(leases), LockQueue(aging_s=3600)
    for number, each in enumerate(waiting):
        queue.put(queue.place(each, 2, "prj_a", table, NOW, lambda number=number: f"tkt_{number}"))  # type: ignore[misc]
    return Line(table, queue, lambda task_id: None)


def test_without_a_queue_only_leases_are_in_the_way() -> None:
    held = lease("ada", "a.py")

    assert line([held]).conflicts(wanted("cal", "a.py"), NOW) == [held]
    assert line([held]).conflicts(wanted("cal", "b.py"), NOW) == []


def test_a_place_is_in_the_way_like_a_lease_until_it_is_lost() -> None:
    both = line([lease("ada", "a.py")], wanted("bob", "a.py", "b.py"))

    (place,) = both.conflicts(wanted("cal", "b.py"), NOW)

    assert (place.agent_id, place.paths) == ("bob", ("a.py", "b.py"))
    assert place.expires_at == NOW + timedelta(seconds=60)
    assert both.conflicts(wanted("cal", "b.py"), NOW + timedelta(seconds=60)) == []


def test_nobody_is_in_its_own_way_nor_in_that_of_who_shares() -> None:
    both = line([lease("ada", "a.py")], wanted("bob", "a.py", "b.py", mode=Mode.SHARED))

    assert both.conflicts(wanted("bob", "b.py"), NOW) == []
    assert both.conflicts(wanted("cal", "b.py", mode=Mode.SHARED), NOW) == []


def test_what_is_in_the_way_comes_in_the_order_in_which_it_ends() -> None:
    both = line([lease("ada", "a.py")], wanted("bob", "a.py"))

    assert [each.agent_id for each in both.conflicts(wanted("cal", "a.py"), NOW)] == ["bob", "ada"]
