"""Beads as tasks and back: what each word means, what is lost, and that the way there and back changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor.domain import beads
from conductor.domain.beads import Bead, Image, Link, Remarks
from conductor.domain.tasks import Priority, Task, TaskStatus

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40).map(str.strip)
WORD = st.from_regex(r"[a-z][a-z0-9-]{0,12}", fullmatch=True)
IDS = st.from_regex(r"bd-[a-z0-9]{1,6}", fullmatch=True)


def task_of(image: Image) -> Task:
    """The task that an image becomes; beads are named by themselves."""
    return Task(
        id="tsk_0000000000",
        project_id="prj_0000000000",
        title=image.title,
        description=image.description,
        status=image.status,
        priority=image.priority,
        dependencies=image.waits_for,
        files=(),
        tags=image.tags,
        requires=(),
        max_attempts=3,
        created_by="member:olga",
        created_at=NOW,
        updated_at=NOW,
        parent_id=image.parent,
        reserved_for=image.assignee,
        result=image.result,
        due_at=image.due_at,
        retry_at=image.rests_until,
        closed_at=NOW if image.status is TaskStatus.COMPLETED else None,
        external_id=image.id,
    )


@st.composite
def sound_beads(draw: st.DrawFn) -> Bead:
    """Beads with nothing in them that is lost on the way."""
    is_closed = draw(st.booleans())
    others = draw(st.lists(IDS, unique=True, max_size=3))
    links = [Link(other) for other in others if other != "bd-0"]
    if draw(st.booleans()):
        links.append(Link("bd-parent", "parent-child"))
    return Bead(
        id="bd-0",
        title=draw(TEXT.map(lambda text: " ".join(text.split())).filter(bool)),
        description=draw(TEXT),
        design=draw(TEXT),
        acceptance_criteria=draw(TEXT),
        notes=draw(TEXT),
        status="closed" if is_closed else draw(st.sampled_from(["open", "deferred"])),
        priority=draw(st.integers(0, 4)),
        issue_type=draw(st.sampled_from(["task", "bug", "feature", "epic", "chore", "spike"])),
        assignee=None if is_closed else draw(st.none() | WORD),
        labels=tuple(draw(st.lists(WORD.filter(lambda word: word != "backlog"), unique=True, max_size=4))),
        links=tuple(links),
        close_reason=draw(TEXT.filter(bool)) if is_closed else None,
        due_at=draw(st.none() | st.just("2026-12-24T18:00:00Z")),
    )


@given(sound_beads())
def test_a_bead_comes_back_as_it_was(bead: Bead) -> None:
    remarks = Remarks()

    back = beads.bead_of(task_of(beads.image(bead, remarks)), {})

    assert back == bead
    assert remarks.told() == []


@given(sound_beads())
def test_a_task_that_is_as_its_bead_says_is_left_alone(bead: Bead) -> None:
    image = beads.image(bead, Remarks())
    task = task_of(image)

    assert beads.updated(task, image, image.assignee) == task


@pytest.mark.parametrize(
    ("priority", "word", "tags"),
    [(0, Priority.CRITICAL, ()), (1, Priority.HIGH, ()), (2, Priority.MEDIUM, ()), (3, Priority.LOW, ()),
     (4, Priority.LOW, ("backlog",))],
)  # fmt: skip
def test_each_priority_has_its_word(priority: int, word: Priority, tags: tuple[str, ...]) -> None:
    image = beads.image(Bead("bd-1", "Do", priority=priority), Remarks())

    assert (image.priority, image.tags) == (word, tags)


@pytest.mark.parametrize("kind", ["blocks", "conditional-blocks", "waits-for"])
def test_what_orders_the_work_is_waited_for(kind: str) -> None:
    assert beads.image(Bead("bd-1", "Do", links=(Link("bd-2", kind),)), Remarks()).waits_for == ("bd-2",)


def test_what_says_nothing_about_the_order_is_left_out_and_named() -> None:
    links = (Link("bd-2", "related"), Link("bd-3", "discovered-from"), Link("bd-4", "related"), Link("bd-1"))
    remarks = Remarks()

    image = beads.image(Bead("bd-1", "Do", links=links), remarks)

    assert image.waits_for == ()
    assert remarks.told() == [
        "dependencies of these types say nothing about the order of work and were left out: related, discovered-from",
        "a bead cannot wait for itself: that dependency was left out: bd-1",
    ]


@pytest.mark.parametrize(
    ("status", "here", "is_named"),
    [
        ("open", TaskStatus.PENDING, False),
        ("in_progress", TaskStatus.PENDING, False),
        ("hooked", TaskStatus.PENDING, False),
        ("deferred", TaskStatus.PENDING, False),
        ("closed", TaskStatus.COMPLETED, False),
        ("qa", TaskStatus.PENDING, True),
    ],
)
def test_each_status_has_its_counterpart(status: str, here: TaskStatus, is_named: bool) -> None:
    remarks = Remarks()

    image = beads.image(Bead("bd-1", "Do", status=status), remarks)

    assert image.status is here
    assert bool(remarks.told()) == is_named
    assert (image.rests_until == beads.FOR_EVER) == (status == "deferred")


def test_what_is_put_off_until_a_day_rests_until_then() -> None:
    bead = Bead("bd-1", "Do", status="deferred", defer_until="2027-01-01T00:00:00.123456789+01:00")

    assert beads.image(bead, Remarks()).rests_until == datetime(2026, 12, 31, 23, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("text", ["soon", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00+23:00"])
def test_a_time_that_is_none_is_named(text: str) -> None:
    remarks = Remarks()

    assert beads.image(Bead("bd-1", "Do", due_at=text), remarks).due_at is None
    assert remarks.told() == ["due_at is no time: bd-1"]


def test_control_characters_and_overlong_texts_do_not_come_in() -> None:
    remarks = Remarks()
    bead = Bead("bd-1", "a\x1b[31m\n b" + "x" * 400, description="\x00" + "y" * 30_000, labels=("z" * 90, "\x07bell"))

    image = beads.image(bead, remarks)

    assert image.title.startswith("a[31m b")
    assert len(image.title) == beads.MOST_TITLE
    assert image.description is not None
    assert len(image.description) == beads.MOST_DESCRIPTION
    assert image.tags == ("z" * 64, "bell")
    assert len(remarks.told()) == 3


def test_tags_that_people_here_gave_stay_and_former_marks_go() -> None:
    image = beads.image(Bead("bd-1", "Do", labels=("ui",)), Remarks())
    task = replace(task_of(image), tags=("type:bug", "urgent", "convoy:release"))

    assert beads.updated(task, image, None).tags == ("urgent", "convoy:release", "ui")


def test_a_task_in_hand_keeps_its_holder() -> None:
    image = beads.image(Bead("bd-1", "Do", assignee="rex"), Remarks())
    held = replace(task_of(image), status=TaskStatus.IN_PROGRESS, holder="ada", reserved_for=None)

    assert beads.updated(held, image, "rex").reserved_for is None


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (TaskStatus.CLAIMED, "in_progress"),
        (TaskStatus.IN_PROGRESS, "in_progress"),
        (TaskStatus.IN_REVIEW, "in_progress"),
        (TaskStatus.BLOCKED, "blocked"),
        (TaskStatus.FAILED, "blocked"),
        (TaskStatus.CANCELLED, "closed"),
    ],
)
def test_each_state_is_told_as_beads_would(status: TaskStatus, told: str) -> None:
    task = replace(task_of(beads.image(Bead("bd-1", "Do"), Remarks())), status=status)

    assert beads.bead_of(task, {}).status == told


def test_a_task_that_rests_after_a_failure_is_not_put_off() -> None:
    task = replace(task_of(beads.image(Bead("bd-1", "Do"), Remarks())), failures=1, retry_at=NOW)

    assert beads.bead_of(task, {}).status == "open"


def test_a_task_made_here_is_told_by_its_own_id_and_others_by_their_beads() -> None:
    task = replace(
        task_of(beads.image(Bead("bd-1", "Do"), Remarks())), external_id=None, dependencies=("tsk_a", "tsk_b")
    )

    bead = beads.bead_of(task, {"tsk_a": "bd-7"})

    assert bead.id == task.id
    assert bead.links == (Link("bd-7"), Link("tsk_b"))


def test_a_convoy_that_is_a_bead_tracks_and_waits_for_its_beads() -> None:
    bead = Bead(
        "hq-1", "Release", issue_type="convoy", links=(Link("bd-1", "tracks"), Link("bd-1"), Link("hq-1", "tracks"))
    )
    convoy = beads.convoy_of(bead)

    image = beads.image_of_convoy(convoy, bead, Remarks())

    assert convoy.beads == image.waits_for == ("bd-1",)
    assert image.tags == ("type:convoy", "convoy:Release")
    assert beads.bead_of(task_of(image), {}).links == (Link("bd-1", "tracks"),)


def test_a_convoy_without_an_id_is_told_as_a_convoy_again() -> None:
    task = task_of(beads.image_of_convoy(beads.convoy("release", ["bd-1"]), None, Remarks()))

    assert beads.convoy_shown(task, {}) == beads.convoy("release", ["bd-1"])
    assert beads.convoy_shown(task_of(beads.image(Bead("bd-1", "Do"), Remarks())), {}) is None


def test_convoys_with_long_names_are_told_apart_and_keep_their_names() -> None:
    one, other = beads.convoy("x" * 100 + "1", ["bd-1"]), beads.convoy("x" * 100 + "2", ["bd-1"])

    assert one.id != other.id
    assert max(len(one.id), len(one.tag)) <= beads.MOST_TAG
    assert beads.convoy_shown(task_of(beads.image_of_convoy(one, None, Remarks())), {}) == one


def test_a_convoy_whose_task_was_renamed_is_still_the_same_convoy() -> None:
    task = task_of(beads.image_of_convoy(beads.convoy("release", ["bd-1"]), None, Remarks()))

    assert beads.convoy_shown(replace(task, title="The great release"), {}) == beads.convoy("release", ["bd-1"])


def test_many_subjects_of_one_remark_are_counted() -> None:
    remarks = Remarks()
    for number in range(14):
        remarks.add("left out", f"bd-{number}")

    assert remarks.told(most=2) == ["left out: bd-0, bd-1 and 12 more"]
