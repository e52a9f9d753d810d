"""Stored replies are found while they are honoured and forgotten afterwards, a bounded number at a time."""

from __future__ import annotations

from datetime import timedelta

from storage.store import Store
from storage.unit_of_work import UnitOfWork
from tests.storage.conftest import ORGANIZATION, Place


def test_a_reply_is_found_until_its_key_expires(place: Place) -> None:
    store, clock = place.store, place.clock
    with store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        tx.replies.keep("agent:ada", "create_task", "k", "hash", "reply", clock.now() + timedelta(seconds=10))

    with store.reading(ORGANIZATION) as tx:
        before = tx.replies.find("agent:ada", "create_task", "k")
    clock.move(10)
    with store.reading(ORGANIZATION) as tx:
        after = tx.replies.find("agent:ada", "create_task", "k")

    assert before == ("hash", "reply")
    assert after is None


def test_pruning_takes_the_oldest_and_no_more_than_it_may(place: Place) -> None:
    store, clock = place.store, place.clock
    with store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        for number in range(5):
            expires_at = clock.now() + timedelta(seconds=number)
            tx.replies.keep_batch(f"batch{number}", 0, {0: f"reply{number}"}, expires_at)
    clock.move(3)

    with store.transaction(ORGANIZATION) as transaction:
        transaction.unit(ORGANIZATION).replies.prune(most=2)
    first = _kept(store)
    with store.transaction(ORGANIZATION) as transaction:
        transaction.unit(ORGANIZATION).replies.prune(most=10)

    assert first == {2, 3, 4}
    assert _kept(store) == {4}


def test_the_replies_of_a_batch_are_put_together_from_its_parts(place: Place) -> None:
    store, clock = place.store, place.clock
    with store.transaction(ORGANIZATION) as transaction:
        tx = transaction.unit(ORGANIZATION)
        tx.replies.keep_batch("b", 1, {0: "first"}, clock.now() + timedelta(seconds=9))
        tx.replies.keep_batch("b", 2, {1: "second"}, clock.now() + timedelta(seconds=9))

        assert tx.replies.of_batch("b") == {0: "first", 1: "second"}


def _kept(store: Store) -> set[int]:
    def has(tx: UnitOfWork, number: int) -> bool:
        return bool(tx.replies.of_batch(f"batch{number}"))

    with store.reading(ORGANIZATION) as tx:
        return {number for number in range(5) if has(tx, number)}
