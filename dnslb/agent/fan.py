"""One URL and all the addresses of its host, each an upstream of its own: for mode "all".

A headless service of Kubernetes is one name with an address for each replica, and they come and
go. Not a loop of posts: `dnslb.agent.agent` keeps each link.

Law: only an answer of the resolver takes an address away. A failure, or one answer that lacks
the address while the one before had it, does not: not knowing is not "gone".
"""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from urllib.parse import urlsplit

import trio

from dnslb.agent.link import BACKOFF, Link
from dnslb.errors import SourceError

log = logging.getLogger(__name__)

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""A host name to its addresses; raises `NotResolved`."""
ADDRESSES_MAX = 16
"""Of one name. What is posted to already goes before what is new."""
RESOLVE_S = 10.0
"""How often a name is looked up: a replica's new address is of use well before a report is old."""
RESOLVE_GAP_S = 1.0
"""The least time between two lookups, however often upstreams fail."""


class NotResolved(SourceError):
    """The resolver names no address; the sentence says why, without the name."""


async def addresses_of(host: str) -> tuple[str, ...]:
    """All addresses of ``host`` by the system's resolver, at least one, in its order."""
    try:
        found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotResolved((error.strerror or str(error)).lower()) from error
    except UnicodeError as error:
        raise NotResolved("it is no host name") from error
    return tuple(dict.fromkeys(str(place[0]) for *_, place in found))


class Fan:
    """The links of one URL, one for each address of its host.

    ``open_link``: a link to the URL at this address; the fan closes it.
    """

    def __init__(
        self,
        url: str,
        open_link: Callable[[str], Link],
        *,
        resolve: Resolve = addresses_of,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self.url = url
        self._host = urlsplit(url).hostname or ""
        self._open_link = open_link
        self._resolve = resolve
        self._luck = luck
        self._links: dict[str, Link] = {}
        self._scopes: dict[str, trio.CancelScope] = {}
        self._answered: frozenset[str] = frozenset()
        self._left_out = 0
        self._failure: str | None = None
        self._asked = trio.Event()

    @property
    def links(self) -> Sequence[Link]:
        return tuple(self._links.values())

    def described(self) -> Iterator[str]:
        """How its upstreams stand, a line for each that was asked for anything."""
        if self._failure is not None:
            yield self._failure
        for link in self._links.values():
            if line := link.described():
                yield line
        if self._left_out:
            yield self._left_out_sentence()

    def look_again(self) -> None:
        """An upstream failed: its name may stand for other addresses by now."""
        self._asked.set()

    async def run(self, keep: Callable[[Link], Awaitable[None]]) -> None:
        """Follows the name for ever, with ``keep`` at work on each of its links."""
        failures = 0
        async with trio.open_nursery() as nursery:
            while True:
                self._asked = trio.Event()
                try:
                    found = await self._resolve(self._host)
                except NotResolved as error:
                    failures += 1
                    self._note_failure(error)
                else:
                    failures = 0
                    self._note_answer()
                    for address in self._follow(found):
                        nursery.start_soon(self._tend, address, keep)
                if failures and not self._links:
                    await trio.sleep(BACKOFF.delay_s(failures, self._luck()))
                    continue
                await trio.sleep(RESOLVE_GAP_S)
                with trio.move_on_after(RESOLVE_S - RESOLVE_GAP_S):
                    await self._asked.wait()

    async def _tend(self, address: str, keep: Callable[[Link], Awaitable[None]]) -> None:
        link = self._links[address]
        try:
            with self._scopes[address]:
                await keep(link)
        finally:
            await link.upstream.aclose()

    def _follow(self, found: Sequence[str]) -> list[str]:
        """Ends the links of addresses that are gone, opens those of new ones; returns these."""
        answered = frozenset(found)
        for address in [a for a in self._links if a not in answered | self._answered]:
            log.info("%s: %s has left DNS and is no longer told", self.url, address)
            del self._links[address]
            self._scopes.pop(address).cancel()
        self._answered = answered
        new = [address for address in dict.fromkeys(found) if address not in self._links]
        taken = new[: max(0, ADDRESSES_MAX - len(self._links))]
        for address in taken:
            log.info("%s: %s is told from now on", self.url, address)
            self._links[address] = self._open_link(address)
            self._scopes[address] = trio.CancelScope()
        before, self._left_out = self._left_out, len(new) - len(taken)
        if self._left_out and self._left_out != before:
            log.warning("%s", self._left_out_sentence())
        return taken

    def _left_out_sentence(self) -> str:
        return (
            f"{self.url}: {self._left_out} more addresses are not told: "
            f"at most {ADDRESSES_MAX} of one name are"
        )

    def _note_failure(self, error: NotResolved) -> None:
        known = len(self._links)
        stays = f"the {known} addresses known before are told" if known else "nobody is told"
        sentence = f"{self.url}: the host name cannot be resolved: {error}; {stays} meanwhile"
        if sentence != self._failure:
            log.warning("%s", sentence)
        self._failure = sentence

    def _note_answer(self) -> None:
        if self._failure is not None:
            log.info("%s: the host name is resolved again", self.url)
        self._failure = None
