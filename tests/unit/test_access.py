"""A token is read back exactly or not at all, and nobody hands out more than they have."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor.domain import access, ids
from conductor.domain.access import AGENT_ROLES, MEMBER_ROLES, Caller, PlainToken, Role, TokenKind
from conductor.operations.catalogue import CATALOGUE

MANY = settings(max_examples=60, deadline=None)

PEOPLE_AND_THEIR_AGENTS = {*MEMBER_ROLES, *AGENT_ROLES, Role.SERVICE, Role.ENROLMENT}

MAY_GRANT: dict[Role, set[Role]] = {
    Role.ROOT: PEOPLE_AND_THEIR_AGENTS,
    Role.OWNER: PEOPLE_AND_THEIR_AGENTS,
    Role.ADMIN: PEOPLE_AND_THEIR_AGENTS - {Role.OWNER},
    Role.MEMBER: {*AGENT_ROLES},
    Role.VIEWER: set(),
    Role.LEAD: {Role.CONTRIBUTOR, Role.REVIEWER, Role.OBSERVER},
    Role.CONTRIBUTOR: set(),
    Role.REVIEWER: set(),
    Role.OBSERVER: set(),
    Role.SERVICE: set(),
    Role.ENROLMENT: set(),
}

BEYOND_THE_GIVER = {
    # OPERATIONS.md: register_agent is for "lead, member+", and these for leads and admins, not for members.
    (Role.MEMBER, Role.LEAD): {
        "approve_access",
        "reject_access",
        "revoke_access",
        "list_access_requests",
        "update_onboarding_config",
    }
}

tokens = st.builds(
    lambda kind, seed: access.make_token(kind, random.Random(seed).randbytes),
    st.sampled_from(TokenKind),
    st.integers(0, 2**32),
)


@pytest.mark.parametrize(("giver", "given_role"), [*product(Role, Role)])
def test_each_role_gives_exactly_the_roles_it_may(giver: Role, given_role: Role) -> None:
    assert access.may_grant(giver, given_role) == (given_role in MAY_GRANT[giver])


@pytest.mark.parametrize("giver", Role)
def test_a_granted_role_can_do_nothing_that_its_giver_cannot(giver: Role) -> None:
    can = {role: {name for name, row in CATALOGUE.items() if role in row.allowed} for role in Role}
    # What even the owner of the installation cannot do is work that only agents and services do, and no power.
    powers = can[Role.ROOT]

    beyond = {role: (can[role] & powers) - can[giver] for role in Role if access.may_grant(giver, role)}

    assert {role: more for role, more in beyond.items() if more} == {
        role: more for (who, role), more in BEYOND_THE_GIVER.items() if who is giver
    }


@pytest.mark.parametrize("giver", Role)
def test_nobody_makes_an_owner_of_the_installation(giver: Role) -> None:
    assert not access.may_grant(giver, Role.ROOT)


@given(tokens)
@MANY
def test_a_token_is_read_back_as_it_was_made(token: PlainToken) -> None:
    read = access.parse_token(str(token))

    assert read == token
    assert str(read).startswith(f"cdr_{token.kind}_")
    assert ids.is_id(token.token_id, ids.Kind.TOKEN)


@given(tokens, st.integers(0, 70), st.characters(exclude_characters=ids.ALPHABET + "_"), st.booleans())
@MANY
def test_a_token_with_a_foreign_character_is_none(token: PlainToken, at: int, character: str, replaces: bool) -> None:
    text = str(token)
    changed = text[:at] + character + text[at + replaces :]

    assert access.parse_token(changed) is None


@given(tokens, st.integers(0, 70))
@MANY
def test_a_token_cut_short_or_grown_is_none(token: PlainToken, length: int) -> None:
    text = str(token)

    assert access.parse_token(text[:length]) is None
    assert access.parse_token(text + text[length]) is None


@given(st.text(max_size=100))
@MANY
def test_junk_is_no_token(text: str) -> None:
    assert access.parse_token(text) is None


@pytest.mark.parametrize("wrong", ["\n", " ", "\x00"])
def test_a_token_has_nothing_around_it(wrong: str) -> None:
    text = str(access.make_token(TokenKind.AGENT, random.Random(1).randbytes))

    assert access.parse_token(text) is not None
    assert access.parse_token(text + wrong) is None
    assert access.parse_token(wrong + text) is None


@given(tokens)
@MANY
def test_a_token_that_is_printed_for_debugging_keeps_its_secret(token: PlainToken) -> None:
    shown = [repr(token), f"{token!r}", repr([token]), repr({"token": token})]

    assert not any(token.secret in text for text in shown)


def test_the_log_names_a_caller_by_what_its_token_stands_for() -> None:
    caller = Caller(TokenKind.USER, Role.ADMIN, "org_a", "tok_a", member_id="mbr_a", agent_name=None)
    agent = Caller(TokenKind.AGENT, Role.LEAD, "org_a", "tok_b", "prj_a", agent_name="ada")
    service = Caller(TokenKind.SERVICE, Role.SERVICE, "org_a", "tok_c")
    enrolment = Caller(TokenKind.ENROLMENT, Role.ENROLMENT, "org_a", "tok_d", "prj_a")

    actors = [one.actor for one in (caller, agent, service, enrolment)]

    assert actors == ["member:mbr_a", "agent:ada", "service:tok_c", "enrolment:tok_d"]


def test_an_agent_with_a_new_token_is_the_same_caller_and_its_namesake_elsewhere_is_not() -> None:
    ada = Caller(TokenKind.AGENT, Role.LEAD, "org_a", "tok_a", "prj_a", agent_name="ada")
    renewed = Caller(TokenKind.AGENT, Role.LEAD, "org_a", "tok_b", "prj_a", agent_name="ada")
    namesake = Caller(TokenKind.AGENT, Role.LEAD, "org_a", "tok_c", "prj_b", agent_name="ada")

    assert ada.scope_key == renewed.scope_key
    assert ada.scope_key != namesake.scope_key


def test_services_are_told_apart_by_their_tokens() -> None:
    one = Caller(TokenKind.SERVICE, Role.SERVICE, "org_a", "tok_a")
    other = Caller(TokenKind.SERVICE, Role.SERVICE, "org_a", "tok_b")

    assert one.scope_key != other.scope_key
