"""The checker finds each planted fault, and nothing in a history that is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reliability.lock_history import Grant, History, Release, Sighting, violations

ADA = Grant(1.0, 1.1, "ada", "lck_a", 100, True, frozenset({"a", "b"}), 10.0, 11.05)
BOB = Grant(2.0, 2.1, "bob", "lck_b", 101, True, frozenset({"c"}), 10.0, 12.05)
LATER = Grant(6.0, 6.1, "bob", "lck_c", 102, True, frozenset({"b", "c"}), 10.0, 16.05)


def right() -> History:
    """Ada holds a and b, gives them back at 5; then bob takes b. Both are listed, and one was in the other's way."""
    history = History(
        grants=[ADA, BOB, LATER],
        releases=[Release(5.0, 5.1, "lck_a", was_held=True)],
        sightings=[
            Sighting(3.0, 3.1, frozenset({"lck_a", "lck_b"}), is_all=True),
            Sighting(4.0, 4.1, frozenset({"lck_a"}), is_all=False),
            Sighting(7.0, 7.1, frozenset({"lck_b", "lck_c"}), is_all=True),
        ],
    )
    history.contacts["ada"] = [(1.0, 1.1), (5.0, 5.1)]
    history.contacts["bob"] = [(2.0, 2.1), (4.0, 4.1), (6.0, 6.1)]
    return history


def found(history: History) -> set[str]:
    return {said.partition(":")[0] for said in violations(history)}


def test_a_history_that_is_right_has_no_violation() -> None:
    assert violations(right()) == []


def test_shared_leases_may_share() -> None:
    history = right()
    history.grants += [
        replace(ADA, lock_id="lck_d", token=98, sent=0.2, answered=0.3, is_exclusive=False, files=frozenset({"z"})),
        replace(BOB, lock_id="lck_e", token=99, sent=0.4, answered=0.5, is_exclusive=False, files=frozenset({"z"})),
    ]
    history.sightings = []

    assert violations(history) == []


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_two_live_leases_on_one_file_are_found_when_either_is_exclusive(is_exclusive: bool) -> None:
    history = right()
    taken = replace(BOB, sent=3.2, answered=3.3, expires_at=13.25, lock_id="lck_x", files=ADA.files)
    history.grants[2] = replace(taken, token=103, is_exclusive=is_exclusive)
    history.sightings = []

    assert found(history) == {"exclusion"}


def test_a_lease_given_away_before_its_release_was_sent_is_found() -> None:
    history = right()
    history.grants[2] = replace(LATER, sent=4.5, answered=4.6)
    history.sightings = []

    assert found(history) == {"exclusion"}


def test_a_lease_given_away_after_its_end_is_right() -> None:
    history = right()
    history.releases = []
    history.grants[2] = replace(LATER, sent=11.06, answered=11.1, expires_at=21.1)
    history.sightings = []

    assert violations(history) == []


def test_a_token_that_does_not_grow_is_found() -> None:
    history = right()
    history.grants[2] = replace(LATER, token=99)

    assert found(history) == {"token"}


def test_a_token_that_stands_for_two_leases_is_found() -> None:
    history = right()
    history.grants[2] = replace(LATER, token=BOB.token)

    assert found(history) == {"token"}


def test_a_renewal_keeps_its_token() -> None:
    history = right()
    history.grants.append(replace(BOB, sent=8.0, answered=8.1, expires_at=18.05))

    assert violations(history) == []


def test_a_lease_that_is_not_listed_while_it_is_held_is_found() -> None:
    history = right()
    history.sightings[2] = replace(history.sightings[2], lock_ids=frozenset({"lck_c"}))

    assert found(history) == {"lost"}


def test_a_lease_that_had_ended_when_it_was_given_back_in_time_is_found() -> None:
    history = right()
    history.releases[0] = replace(history.releases[0], was_held=False)
    history.sightings = []

    assert found(history) == {"lost"}


def test_a_lease_that_ends_before_the_time_it_asked_for_is_found() -> None:
    history = right()
    history.grants[1] = replace(BOB, expires_at=9.0)

    assert found(history) == {"short"}


def test_a_lease_that_is_in_force_after_its_release_is_found() -> None:
    history = right()
    history.sightings.append(Sighting(5.5, 5.6, frozenset({"lck_a"}), is_all=False))

    assert found(history) == {"stuck"}


@pytest.mark.parametrize(("sent", "wanted"), [(16.9, set()), (17.2, {"stuck"})])
def test_a_lease_that_is_in_force_long_after_its_holder_was_heard_is_found(sent: float, wanted: set[str]) -> None:
    history = right()
    history.sightings.append(Sighting(sent, sent + 0.1, frozenset({"lck_c"}), is_all=False))

    assert found(history) == wanted


def test_a_call_that_is_under_way_may_already_have_renewed() -> None:
    history = right()
    history.contacts["bob"].append((16.0, 20.0))
    history.sightings.append(Sighting(17.2, 17.3, frozenset({"lck_c"}), is_all=False))

    assert violations(history) == []


@pytest.mark.parametrize(("sent", "wanted"), [(29.0, set()), (31.5, {"stuck"})])
def test_a_lease_may_last_the_grace_after_a_start_and_no_longer(sent: float, wanted: set[str]) -> None:
    history = right()
    history.starts.append((14.0, 15.0))
    history.sightings.append(Sighting(sent, sent + 0.1, frozenset({"lck_c"}), is_all=False))

    assert found(history) == wanted
