"""Slugs fit everywhere a slug is asked for; a token lets in exactly while it is valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from conductor.domain import errors, organizations
from conductor.domain.access import AGENT_ROLES, MEMBER_ROLES, Caller, Role, TokenKind
from conductor.domain.organizations import AutoApprove, ProjectSettings, Token
from conductor.operations.words import Slug

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

slugs = TypeAdapter(Slug)


def token(expires_at: datetime | None = None, revoked_at: datetime | None = None) -> Token:
    return Token(
        "tok_a", TokenKind.SERVICE, Role.SERVICE, "hash", None, None, None, None, NOW - SECOND, expires_at, revoked_at
    )


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme & Söhne", "acme-sohne"),
        ("acme", "acme"),
        ("  Acme, Inc.  ", "acme-inc"),
        ("v2.0_beta", "v2-0-beta"),
        ("Ｆｕｌｌ　ｗｉｄｔｈ", "full-width"),
        ("x" * 62 + " tail", "x" * 62),
        ("x" * 100, "x" * 63),
    ],
)
def test_a_slug_keeps_what_it_can_of_the_name(name: str, slug: str) -> None:
    assert organizations.slug_of(name) == slug


@given(st.text(max_size=90))
@settings(max_examples=150, deadline=None)
def test_a_slug_made_from_any_name_is_one_that_every_face_takes(name: str) -> None:
    try:
        slug = organizations.slug_of(name)
    except errors.Invalid:
        assert not any(character.isascii() and character.isalnum() for character in name)
        return

    assert slugs.validate_python(slug) == slug
    assert organizations.slug_of(slug) == slug


@pytest.mark.parametrize("name", ["東京", "—", "", "   "])
def test_a_name_without_a_letter_to_spell_asks_for_a_slug(name: str) -> None:
    with pytest.raises(errors.Invalid, match="give one with slug"):
        organizations.slug_of(name)


@pytest.mark.parametrize(
    ("kept", "is_valid"),
    [
        (token(), True),
        (token(expires_at=NOW + SECOND), True),
        (token(expires_at=NOW), False),
        (token(expires_at=NOW - SECOND), False),
        (token(revoked_at=NOW), False),
        (token(expires_at=NOW + SECOND, revoked_at=NOW - SECOND), False),
    ],
    ids=["for ever", "not yet over", "over now", "over", "revoked now", "revoked before its end"],
)
def test_a_token_lets_in_until_it_expires_or_is_revoked(kept: Token, is_valid: bool) -> None:
    assert kept.is_valid(NOW) is is_valid


def asking(kind: TokenKind = TokenKind.ENROLMENT, *, is_local: bool = True) -> Caller:
    return Caller(kind, Role.ENROLMENT, "org_a", "tok_a", is_local=is_local)


@pytest.mark.parametrize("rule", list(AutoApprove))
@pytest.mark.parametrize("role", [*AGENT_ROLES, *MEMBER_ROLES])
@pytest.mark.parametrize("kind", list(TokenKind))
def test_a_rule_lets_in_nobody_but_contributors_and_observers_of_enrolment_tokens(
    rule: AutoApprove, role: Role, kind: TokenKind
) -> None:
    chosen = ProjectSettings(auto_approve=rule, auto_approve_listed=("ada", "tok_a"))

    is_let_in = organizations.approves(chosen, asking(kind), "ada", role)

    may = kind is TokenKind.ENROLMENT and role in {Role.CONTRIBUTOR, Role.OBSERVER}
    assert is_let_in == (may and rule is not AutoApprove.NONE)


@pytest.mark.parametrize(
    ("listed", "is_let_in"), [((), False), (("ada",), True), (("tok_a",), True), (("Ada", "tok_b", "ad"), False)]
)
def test_a_list_names_agents_or_enrolment_tokens_exactly(listed: tuple[str, ...], is_let_in: bool) -> None:
    chosen = ProjectSettings(auto_approve=AutoApprove.LISTED, auto_approve_listed=listed)

    assert organizations.approves(chosen, asking(is_local=False), "ada", Role.CONTRIBUTOR) is is_let_in


def test_the_same_machine_is_asked_for_where_the_rule_says_so() -> None:
    chosen = ProjectSettings(auto_approve=AutoApprove.SAME_MACHINE, auto_approve_listed=("ada",))

    assert organizations.approves(chosen, asking(), "bob", Role.CONTRIBUTOR)
    assert not organizations.approves(chosen, asking(is_local=False), "ada", Role.CONTRIBUTOR)
