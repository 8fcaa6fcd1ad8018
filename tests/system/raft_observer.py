"""Watches a name server from outside, as resolvers see it, while everything behind it dies.

Not a check of how fast: what it holds against each answer is exact, whatever the machine's load.

Law, for every single answer: an endpoint that lives is in it; whoever was in it since it lives
does not leave it; the marker never goes back, and one term has one writer.
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass, field

import dns.message
import dns.rdatatype

from dnslb.model.lease import FencingToken
from dnslb.model.names import marker_name
from dnslb.providers import marker
from tests.system.named import Named
from tests.system.stage import Endpoint

PAUSE_S = 0.004
ANSWER_S_MAX = 10.0


@dataclass
class Life:
    """``seen``: it was in an answer since it lives. ``changed_at``: of its last death or return."""

    endpoint: Endpoint
    address: str
    lives: bool = True
    seen: bool = False
    published: bool = False
    changed_at: float | None = None


@dataclass
class Figures:
    """Of a whole watch, for its report; seconds."""

    answers: int = 0
    terms: list[int] = field(default_factory=list)
    lost_s: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)


class Observer:
    """Asks until `close`; `check` raises what was wrong. Lives change through it alone."""

    def __init__(self, named: Named, name: str, zone: str, endpoints: list[Endpoint]) -> None:
        self.figures = Figures()
        self.lives = {
            f"192.0.2.{i}": Life(one, f"192.0.2.{i}") for i, one in enumerate(endpoints, 1)
        }
        self._questions = [
            dns.message.make_query(name, "A").to_wire(),
            dns.message.make_query(marker_name(zone), "TXT").to_wire(),
        ]
        with named.place.inside():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(ANSWER_S_MAX)
        self._socket.connect(named.address)
        self._lock = threading.Lock()
        self._wrong: list[str] = []
        self._over = threading.Event()
        self.token: FencingToken | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()

    def check(self) -> None:
        assert not self._wrong, "\n".join(self._wrong)
        assert self._thread.is_alive(), "the observer fell"

    def kill(self, address: str) -> None:
        """It refuses from now on. Only while another one that lives is published."""
        with self._lock:
            life = self.lives[address]
            assert self.may_die(address)
            life.endpoint.down()
            life.lives = life.seen = False
            life.changed_at = time.monotonic()

    def raise_up(self, address: str) -> None:
        """It serves again. Only once it is in no answer, so that its next loss is a new one."""
        with self._lock:
            life = self.lives[address]
            assert not life.published
            life.endpoint.up()
            life.lives, life.changed_at = True, time.monotonic()

    def may_die(self, address: str) -> bool:
        others = [one for one in self.lives.values() if one.address != address]
        return self.lives[address].seen and any(one.seen for one in others)

    @property
    def settled(self) -> bool:
        """Published is what lives."""
        return all(one.published == one.lives for one in self.lives.values())

    def _watch(self) -> None:
        while not self._over.wait(PAUSE_S):
            for question in self._questions:
                # Lives do not change between a question and what is made of its answer.
                with self._lock:
                    try:
                        self._judge(self._ask(question))
                    except (OSError, ValueError) as e:
                        self._wrong.append(f"no answer to be read: {e!r}")
                        return

    def _ask(self, question: bytes) -> dns.message.Message:
        self._socket.send(question)
        return dns.message.from_wire(self._socket.recv(4096))

    def _judge(self, answer: dns.message.Message) -> None:
        self.figures.answers += 1
        rdatas = [rdata for rrset in answer.answer for rdata in rrset]
        if answer.question[0].rdtype == dns.rdatatype.A:
            self._judge_addresses({rdata.to_text() for rdata in rdatas})
        elif rdatas:
            self._judge_marker(marker.from_text(rdatas[0].strings[0].decode()))

    def _judge_addresses(self, addresses: set[str]) -> None:
        now = time.monotonic()
        if not any(self.lives[address].lives for address in addresses):
            self._wrong.append(f"only dead endpoints are answered: {sorted(addresses)}")
        for life in self.lives.values():
            before, life.published = life.published, life.address in addresses
            if life.published == before:
                continue
            if life.published == life.lives:
                figures = self.figures.back_s if life.lives else self.figures.lost_s
                if life.changed_at is not None:
                    figures.append(now - life.changed_at)
            elif life.seen:
                self._wrong.append(f"{life.address} lives and was withdrawn: {sorted(addresses)}")
            else:
                self._wrong.append(f"{life.address} is dead and came back: {sorted(addresses)}")
            life.seen = life.published and life.lives

    def _judge_marker(self, token: FencingToken) -> None:
        old, self.token = self.token, token
        if old is None or token == old:
            return
        if (token.epoch, token.term) <= (old.epoch, old.term) or token.owner_id != old.owner_id:
            self._wrong.append(f"the marker went from {old} to {token}")
        self.figures.terms.append(token.term)
