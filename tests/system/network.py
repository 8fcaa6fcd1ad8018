"""A network of this test's own: hosts in namespaces, joined by a router that cuts what it is told.

Real interfaces and a real kernel, where nothing of this machine's network is touched: it is gone
with the processes that live in it. Only for root; elsewhere its tests are skipped.

Law: a cut is silent, as a broken network is: what is dropped is answered by nobody. It has a
direction, and ends nothing by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

_PROGRAMS = ("ip", "nsenter", "unshare")
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_HOLD = ("unshare", "--net", "sh", "-c", "ip link set lo up && echo && exec cat")
# What a rule drops nobody is told of, and it knows the sender, which a blackhole route does not.
_CUT_PRIORITY = 100


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process runs or a socket is made; without a ``pid`` here, on loopback.
    ``host``: what a certificate and an address call it."""

    address: str = "127.0.0.1"
    host: str = "localhost"
    pid: int | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """What stands before a command that is to run there."""
        return () if self.pid is None else ("nsenter", f"--net={self._namespace}", "--")

    def inside(self) -> AbstractContextManager[None]:
        """The sockets that this thread makes meanwhile are there for good."""
        return contextlib.nullcontext() if self.pid is None else _visiting(self._namespace)

    @property
    def _namespace(self) -> str:
        return f"/proc/{self.pid}/ns/net"


HERE = Place()


@dataclass(eq=False)
class Network:
    """Close it. Each host has an address, and reaches the others through the router."""

    places: dict[str, Place] = field(default_factory=dict)
    _holders: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _router: Place = HERE

    def build(self, *hosts: str) -> None:
        self._router = Place(pid=self._hold())
        _run(self._router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for number, host in enumerate(hosts, 1):
            pid, gate, address = self._hold(), f"10.0.{number}.1", f"10.0.{number}.2"
            self.places[host] = place = Place(address, address, pid)
            _ip(
                self._router,
                f"link add to-{host} type veth peer name out netns {pid}",
                f"address add {gate}/24 dev to-{host}",
                f"link set to-{host} up",
            )
            _ip(
                place,
                f"address add {address}/24 dev out",
                "link set out up",
                f"route add default via {gate}",
            )

    def _hold(self) -> int:
        """A process that keeps a namespace until we are gone; its id."""
        holder = subprocess.Popen(_HOLD, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.read(1) == b"\n"
        return holder.pid

    def close(self) -> None:
        for holder in self._holders:
            holder.kill()
            holder.communicate()

    # -------------------------------------------------------------------------------- cutting

    def cut(self, *ways: tuple[str, str]) -> None:
        """What the first sends to the second is lost, for each of ``ways``."""
        self._change("add", ways)

    def heal(self, *ways: tuple[str, str]) -> None:
        """Takes the same cuts back."""
        self._change("delete", ways)

    def _change(self, verb: str, ways: tuple[tuple[str, str], ...]) -> None:
        _ip(
            self._router,
            *(
                f"rule {verb} from {self.places[source].address} to {self.places[target].address} "
                f"priority {_CUT_PRIORITY} blackhole"
                for source, target in ways
            ),
        )


def both_ways(one: str, *others: str) -> tuple[tuple[str, str], ...]:
    """Nothing passes between ``one`` and each of the others."""
    return tuple(way for other in others for way in ((one, other), (other, one)))


def _ip(place: Place, *commands: str) -> None:
    _run(place, "ip", "-batch", "-", given="\n".join(commands))


def _run(place: Place, *command: str, given: str = "") -> None:
    done = subprocess.run(
        [*place.command, *command], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} {given}: {done.stderr}"


@contextlib.contextmanager
def _visiting(namespace: str) -> Iterator[None]:
    """This thread alone enters, and comes back."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(namespace, "rb") as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def _enter(namespace: int) -> None:
    """setns(2); `os.setns` came with Python 3.12."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _why_not() -> str | None:
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"there is no {missing[0]} here (Debian: iproute2, util-linux)"
    done = subprocess.run(
        ["unshare", "--net", "ip", "link", "add", "a1", "type", "veth", "peer", "name", "a2"],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else f"no network of our own here: {done.stderr.strip()}"


MakeNetwork = Callable[..., Network]


@pytest.fixture
def network() -> Iterator[MakeNetwork]:
    """Makes networks of the hosts named, and ends them all with the test."""
    why_not = _why_not()
    if why_not is not None:
        pytest.skip(why_not)
    made: list[Network] = []

    def make(*hosts: str) -> Network:
        made.append(Network())
        made[-1].build(*hosts)
        return made[-1]

    yield make
    for one in made:
        one.close()
