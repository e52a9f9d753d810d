"""A unit of work sees what it wrote, writes a row once however often it changed, and is whole or nothing."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from conductor.domain import errors
from conductor.domain.events import EventKind
from conductor.domain.quotas import Scope
from conductor.domain.tasks import Priority
from storage import tables
from storage.store import Fenced
from storage.tasks import TaskFilter
from tests.storage.conftest import ORGANIZATION, Place


def test_a_read_sees_what_the_unit_wrote_before(place: Place) -> None:
    with place.store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        task = tx.tasks.create(place.project.id, "first")
        tx.tasks.save(replace(task, title="second"))

        assert tx.tasks.get(task.id) == replace(task, title="second")


def test_a_read_that_sends_out_what_was_kept_back_is_no_change(place: Place) -> None:
    with place.store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        tx.tasks.create(place.project.id, "first")
        before = tx.writes

        # A command that looks for its idempotency key and then refuses has written nothing.
        tx.replies.find("agent:ada", "acquire_lock", "k")

        assert tx.writes == before


def test_nothing_of_a_unit_that_fails_stays(place: Place) -> None:
    with contextlib.suppress(ZeroDivisionError), place.store.transaction(ORGANIZATION) as transaction:
        transaction.unit(ORGANIZATION).tasks.create(place.project.id, "never")
        raise ZeroDivisionError

    with place.store.reading(ORGANIZATION) as tx:
        assert tx.tasks.page(place.project.id).items == []
        assert [kind.event.kind for kind in tx.events.page().items] == ["project.created", "organization.created"]


def test_what_is_made_and_ended_in_one_unit_leaves_only_its_events(place: Place) -> None:
    with place.store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        row = {"organization_id": ORGANIZATION, "project_id": place.project.id, "path": "a", "agent_id": "ada"}
        tx.insert(tables.fences, {**row, "token": 1, "place": "a"})
        tx.delete(tables.fences, row)
        tx.record(EventKind.ACTION_LOGGED, action="tried")

    with place.store.reading(ORGANIZATION) as tx:
        assert tx.locks.highest_token(place.project.id) == 0
        assert tx.events.page(limit=1).items[0].event.facts == {"action": "tried"}


def test_numbers_that_are_added_in_one_unit_are_added_up(place: Place) -> None:
    row = {"organization_id": ORGANIZATION, "scope": Scope.ORGANIZATION, "subject": "", "day": -1}
    for _ in range(2):
        with place.store.transaction(ORGANIZATION) as transaction:
            tx = transaction.unit(ORGANIZATION)
            for _ in range(3):
                tx.merge("add", tables.spend, {**row, "cost_nano": 5, "tokens": 1, "events": 1})

    with place.store.reading(ORGANIZATION) as tx:
        assert tx.rows(tables.spend.select())[0][4:] == (30, 6, 6)


def test_a_row_that_must_be_new_and_is_not_is_refused_by_the_database(place: Place) -> None:
    row = {
        "organization_id": ORGANIZATION,
        "project_id": place.project.id,
        "path": "a",
        "agent_id": "ada",
        "token": 1,
        "place": "a",
    }
    with place.store.transaction(ORGANIZATION) as transaction:
        transaction.unit(ORGANIZATION).insert(tables.fences, dict(row))

    with pytest.raises(IntegrityError), place.store.transaction(ORGANIZATION) as transaction:
        transaction.unit(ORGANIZATION).insert(tables.fences, dict(row))


def test_a_unit_for_reading_refuses_to_write(place: Place) -> None:
    with place.store.reading(ORGANIZATION) as tx, pytest.raises(errors.Unavailable, match="reading only"):
        tx.tasks.create(place.project.id, "never")


def test_events_of_units_that_race_are_numbered_without_gaps(place: Place) -> None:
    def write(count: int) -> None:
        for _ in range(count):
            with place.store.transaction(ORGANIZATION) as transaction:
                tx = transaction.unit(ORGANIZATION)
                tx.record(EventKind.ACTION_LOGGED, action="one")
                tx.record(EventKind.ACTION_LOGGED, action="two")

    threads = [threading.Thread(target=write, args=(10,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    with place.store.reading(ORGANIZATION) as tx:
        numbers = [numbered.number for numbered in tx.events.page(since=0, limit=200).items]
    assert numbers == list(range(1, 83))


def test_a_fence_that_was_claimed_by_another_lets_nothing_through(place: Place) -> None:
    old = place.store.claim([1, 2], "old")
    new = place.store.claim([2, 3], "new")

    with place.store.transaction(ORGANIZATION, old.of([1])):
        pass
    with place.store.transaction(ORGANIZATION, new.of([2])):
        pass
    with pytest.raises(Fenced), place.store.transaction(ORGANIZATION, old.of([2])):
        pass


def test_pages_go_on_where_the_last_ended_also_when_rows_come_and_go(place: Place) -> None:
    def create(title: str) -> str:
        place.clock.move(1)
        with place.store.transaction(ORGANIZATION) as transaction:
            return transaction.unit(ORGANIZATION).tasks.create(place.project.id, title).id

    made = [create(f"task {number}") for number in range(5)]
    with place.store.reading(ORGANIZATION) as tx:
        first = tx.tasks.page(place.project.id, limit=2)
    create("came meanwhile")
    with place.store.reading(ORGANIZATION) as tx:
        second = tx.tasks.page(place.project.id, limit=2, cursor=first.next_cursor)
        third = tx.tasks.page(place.project.id, limit=2, cursor=second.next_cursor)

    assert [task.id for page in (first, second, third) for task in page.items] == made[::-1]
    assert third.next_cursor is None


@pytest.mark.parametrize("cursor", ["x", "bm9uZQ==", "WzEsMl0=", "W10=", "WyJhIiwiYiJd", "W3RydWUsICJhIl0="])
def test_a_cursor_of_another_list_is_refused(place: Place, cursor: str) -> None:
    with place.store.reading(ORGANIZATION) as tx, pytest.raises(errors.Invalid, match="cursor"):
        tx.tasks.page(place.project.id, cursor=cursor)


def test_filters_narrow_together(place: Place) -> None:
    with place.store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        wanted = tx.tasks.create(place.project.id, "Fix 100% of it", priority=Priority.HIGH, tags=['a"b', "x"])
        tx.tasks.create(place.project.id, "Fix 100 of it", priority=Priority.HIGH, tags=['a"b', "x"])
        tx.tasks.create(place.project.id, "fix 100% of it", priority=Priority.LOW, tags=['a"b', "x"])
        tx.tasks.create(place.project.id, "fix 100% of it", priority=Priority.HIGH, tags=["a", "b"])

    with place.store.reading(ORGANIZATION) as tx:
        found = tx.tasks.page(
            place.project.id, TaskFilter(priority=[Priority.HIGH], tags=['a"b'], text="FIX 100%", ready=True)
        )
    assert [task.id for task in found.items] == [wanted.id]


def test_another_organisation_sees_nothing(place: Place) -> None:
    other = "org_0000000002"
    with place.store.transaction(other) as transaction:
        transaction.unit(other).organizations.create("Other", slug="other")

    with place.store.reading(other) as tx:
        assert tx.projects.get(place.project.id) is None
        assert [numbered.number for numbered in tx.events.page().items] == [1]
