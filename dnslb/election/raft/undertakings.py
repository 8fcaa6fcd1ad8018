"""Changing commands on their way, each with a token: they go on when whoever asked has gone.

Law: bounded; what was done is told once it is known, and forgotten after an hour.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterReply
from dnslb.net.clock import mono_s

KEPT_MAX = 100
KEPT_S = 3600.0


@dataclass(eq=False)
class _Undertaking:
    what: str
    begun_at: float
    over: trio.Event = field(default_factory=trio.Event)
    end: ClusterReply | CommandRefused | None = None


class Undertakings:
    """Serves within one trio run, once."""

    def __init__(self) -> None:
        self._kept: dict[str, _Undertaking] = {}
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Carries them out until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    def begin(self, what: str, work: Callable[[], Awaitable[ClusterReply]]) -> str:
        """The token of a command that is under way from now on. Raises `CommandRefused`."""
        self._prune()
        if self._nursery is None or len(self._kept) >= KEPT_MAX:
            raise CommandRefused(f"{KEPT_MAX} commands are under way or not forgotten; try later.")
        token = secrets.token_hex(8)
        one = self._kept[token] = _Undertaking(what, mono_s())
        self._nursery.start_soon(self._carry_out, one, work)
        return token

    async def _carry_out(
        self, one: _Undertaking, work: Callable[[], Awaitable[ClusterReply]]
    ) -> None:
        try:
            one.end = await work()
        except CommandRefused as refused:
            one.end = refused
        finally:
            one.over.set()

    def knows(self, token: str) -> bool:
        """Whether that one was given here, and not forgotten."""
        return token in self._kept

    async def wait(self, token: str) -> ClusterReply:
        """What it came to; raises `CommandRefused`, also for a token that is not known here."""
        one = self._kept.get(token)
        if one is None:
            raise CommandRefused(
                f"no command with the token {token[:40]!r} is known here: a token is valid on the "
                "member that gave it as the leader, for an hour or until it is forgotten"
            )
        await one.over.wait()
        if one.end is None:
            raise CommandRefused(f"{one.what} was cut off; look at what is in force")
        if isinstance(one.end, CommandRefused):
            raise one.end
        return one.end

    def forget(self, token: str) -> None:
        """Raises `CommandRefused` for a token that is not known, or still under way."""
        one = self._kept.get(token)
        if one is None:
            raise CommandRefused(f"no command with the token {token[:40]!r} is known here")
        if not one.over.is_set():
            raise CommandRefused(f"{one.what} is still under way; await {token} first")
        del self._kept[token]

    def _prune(self) -> None:
        now = mono_s()
        for token, one in list(self._kept.items()):
            if one.over.is_set() and now > one.begun_at + KEPT_S:
                del self._kept[token]
