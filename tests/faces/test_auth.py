"""Who calls: tokens, how long they are believed, and floods of wrong ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest

from conductor import secrets_hash
from conductor.domain import access, errors
from conductor.domain.access import Caller, Role, TokenKind
from mcp_server.auth import KEPT_S, Authenticator
from tests.faces.double import ORGANIZATION, PEPPER, Desk
from tests.support.clocks import HandClock

ResultT = TypeVar("ResultT")


class World:
    """An authenticator over a desk of tokens, on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.desk = Desk()
        self.authenticator = Authenticator(self.desk.find, PEPPER, self.clock, self.desk.mark_used)

    async def caller(self, token: str) -> Caller:
        """Ask as the door does: what is remembered first."""
        header = f"Bearer {token}".encode()
        known = self.authenticator.recall(header, self.clock.monotonic())
        return known or await self.authenticator.authenticate(header)

    async def is_in(self, token: str) -> bool:
        try:
            await self.caller(token)
        except errors.Unauthenticated:
            return False
        return True


def run(act: Callable[[World], Awaitable[ResultT]]) -> ResultT:
    async def main() -> ResultT:
        return await act(World())

    return asyncio.run(main())


def invented(number: int) -> str:
    letters = "".join("abcdefghjk"[int(digit)] for digit in f"{number:010d}")
    return str(access.PlainToken(TokenKind.AGENT, letters, "0" * access.SECRET_LENGTH))


def test_a_caller_is_what_its_token_says_and_nothing_else() -> None:
    async def act(world: World) -> Caller:
        token = world.desk.add(TokenKind.AGENT, Role.LEAD, project_id="prj_0123456789", agent_name="ada")
        return await world.caller(token)

    caller = run(act)

    assert caller == Caller(
        TokenKind.AGENT, Role.LEAD, ORGANIZATION, "tok_aaaaaaaaaa", project_id="prj_0123456789", agent_name="ada"
    )


def test_a_token_is_looked_up_once_a_second_however_often_it_calls() -> None:
    async def act(world: World) -> list[int]:
        token = world.desk.add(TokenKind.USER, Role.MEMBER)
        counts = []
        for _ in range(3):
            for _ in range(50):
                await world.caller(token)
            counts.append(len(world.desk.looked_up))
            world.clock.move(KEPT_S)
        return counts

    assert run(act) == [1, 2, 3]


def test_callers_that_come_at_once_share_one_lookup() -> None:
    async def act(world: World) -> int:
        token = world.desk.add(TokenKind.USER, Role.MEMBER)
        await asyncio.gather(*(world.caller(token) for _ in range(64)))
        return len(world.desk.looked_up)

    assert run(act) == 1


def test_a_revocation_is_effective_within_a_second_by_itself() -> None:
    async def act(world: World) -> list[bool]:
        token = world.desk.add(TokenKind.USER, Role.MEMBER)
        before = await world.is_in(token)
        world.desk.add(TokenKind.USER, Role.MEMBER, revoked_at=world.clock.now())
        world.clock.move(1.0)
        return [before, await world.is_in(token)]

    assert run(act) == [True, False]


def test_a_revocation_that_is_told_is_effective_at_once() -> None:
    async def act(world: World) -> list[bool]:
        token = world.desk.add(TokenKind.USER, Role.MEMBER)
        before = await world.is_in(token)
        world.desk.add(TokenKind.USER, Role.MEMBER, revoked_at=world.clock.now())
        world.authenticator.forget()
        return [before, await world.is_in(token)]

    assert run(act) == [True, False]


def test_a_lookup_that_began_before_the_revocation_does_not_bring_the_token_back() -> None:
    async def act(world: World) -> bool:
        token = world.desk.add(TokenKind.USER, Role.MEMBER)
        world.desk.gate = asyncio.Event()
        early = asyncio.create_task(world.is_in(token))
        await world.desk.has_begun.wait()
        world.desk.add(TokenKind.USER, Role.MEMBER, revoked_at=world.clock.now())
        world.authenticator.forget()
        world.desk.gate.set()
        await early
        return await world.is_in(token)

    assert run(act) is False


def test_a_token_ends_at_its_expiry_and_not_a_moment_later() -> None:
    async def act(world: World) -> list[bool]:
        expires_at = world.clock.now() + timedelta(seconds=0.5)
        token = world.desk.add(TokenKind.USER, Role.MEMBER, expires_at=expires_at)
        seen = [await world.is_in(token)]
        world.clock.move(0.499)
        seen.append(await world.is_in(token))
        world.clock.move(0.001)
        seen.append(await world.is_in(token))
        return seen

    assert run(act) == [True, True, False]


def test_a_wrong_secret_is_refused_also_right_after_the_right_one() -> None:
    async def act(world: World) -> list[bool]:
        token = world.desk.add(TokenKind.USER, Role.MEMBER)
        other_kind = token.replace("_usr_", "_svc_")
        return [await world.is_in(tried) for tried in (token, token[:-1] + "b", other_kind, token)]

    assert run(act) == [True, False, False, True]


def test_first_use_is_noted_and_only_until_the_row_has_it() -> None:
    async def act(world: World) -> list[int]:
        token = world.desk.add(TokenKind.AGENT, Role.CONTRIBUTOR, used_at=None)
        for _ in range(20):
            await world.caller(token)
        counts = [len(world.desk.marked)]
        world.clock.move(KEPT_S)
        await world.caller(token)
        counts.append(len(world.desk.marked))
        world.desk.add(TokenKind.AGENT, Role.CONTRIBUTOR)
        world.clock.move(KEPT_S)
        await world.caller(token)
        return [*counts, len(world.desk.marked)]

    assert run(act) == [1, 2, 2]


def test_a_wrong_secret_notes_no_use() -> None:
    async def act(world: World) -> list[str]:
        token = world.desk.add(TokenKind.AGENT, Role.CONTRIBUTOR, used_at=None)
        await world.is_in(token[:-1] + "b")
        return world.desk.marked

    assert run(act) == []


def test_a_flood_of_one_unknown_token_reaches_the_store_once() -> None:
    async def act(world: World) -> int:
        for _ in range(1000):
            assert not await world.is_in(invented(1))
        return len(world.desk.looked_up)

    assert run(act) == 1


def test_a_flood_of_invented_tokens_is_turned_away_while_known_ones_get_in() -> None:
    async def act(world: World) -> tuple[int, int, bool]:
        token = world.desk.add(TokenKind.USER, Role.MEMBER)
        await world.caller(token)
        turned_away = 0
        for number in range(2000):
            try:
                await world.is_in(invented(number))
            except errors.RateLimited:
                turned_away += 1
        world.clock.move(KEPT_S / 1000)
        world.authenticator.forget()
        return len(world.desk.looked_up), turned_away, await world.is_in(token)

    looked_up, turned_away, is_in = run(act)

    assert looked_up < 400
    assert turned_away > 1600
    assert is_in


def test_a_caller_that_hangs_up_does_not_spoil_the_lookup_of_others() -> None:
    async def act(world: World) -> bool:
        token = world.desk.add(TokenKind.USER, Role.MEMBER)
        world.desk.gate = asyncio.Event()
        first = asyncio.create_task(world.is_in(token))
        second = asyncio.create_task(world.is_in(token))
        await world.desk.has_begun.wait()
        first.cancel()
        world.desk.gate.set()
        return await second

    assert run(act) is True


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"bearer  x", b"\xff\xfe", b"Bearer " + b"a" * 300]
)
def test_what_is_no_token_is_refused_without_a_lookup(header: bytes | None) -> None:
    async def act(world: World) -> int:
        with pytest.raises(errors.Unauthenticated):
            await world.authenticator.authenticate(header)
        return len(world.desk.looked_up)

    assert run(act) == 0


def test_a_tokens_hash_depends_on_all_of_it_and_on_the_pepper() -> None:
    token = str(access.PlainToken(TokenKind.USER, "a" * 10, "b" * access.SECRET_LENGTH))
    kept = secrets_hash.token_hash(PEPPER, token)

    assert len(kept) == 64
    assert secrets_hash.matches(PEPPER, token, kept)
    assert not secrets_hash.matches(b"q" * 32, token, kept)
    assert not secrets_hash.matches(PEPPER, token.replace("_a", "_c"), kept)
    assert token[-10:] not in kept
