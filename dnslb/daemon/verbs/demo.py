"""``dnslb demo``: see endpoints die and return, on this machine alone.

Runs the real daemon in this process, over a temporary directory that is gone afterwards; needs no
privilege and no port of its own choice. What happens on the stage is `daemon/demo/`. With
--cluster the daemons are three processes, since what is shown is how one of them dies.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

import dns.exception
import dns.rdatatype
import dns.zone
import trio

from dnslb.daemon.demo.acts import ROUND_S, SCRIPT, Cast
from dnslb.daemon.demo.cluster import Company, perform, tell
from dnslb.daemon.demo.members import members
from dnslb.daemon.demo.screen import Screen
from dnslb.daemon.demo.stage import ADDRESSES, AGENTS, NAME, Agent, Endpoint, Places
from dnslb.daemon.duration import parse_duration
from dnslb.daemon.instance import Instance
from dnslb.daemon.load import load_config
from dnslb.daemon.process import run_verb
from dnslb.errors import DnslbError
from dnslb.net.clock import Clock, mono_s
from dnslb.sources.prober import Prober

_LOOK_S = 0.02


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise DnslbError(
            f"demo: {message}; expected dnslb demo [--duration S] [--plain] [--cluster]"
        )


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Arguments(prog="dnslb demo", description=__doc__.splitlines()[0])
    parser.add_argument("--duration", "-duration", default="60", metavar="S")
    parser.add_argument("--plain", "-plain", action="store_true", help="no colours, for pipes")
    parser.add_argument(
        "--cluster", "-cluster", action="store_true", help="three members, whose leader dies"
    )
    return parser.parse_args(list(argv))


def run(argv: Sequence[str]) -> int:
    """Exit code 0 when the story was told or Ctrl-C ended it. Raises `DnslbError`."""
    arguments = _parse(argv)
    play = _play_cluster if arguments.cluster else _play
    duration_s = parse_duration(arguments.duration)
    plain = arguments.plain or not sys.stdout.isatty()
    with tempfile.TemporaryDirectory(prefix="dnslb-demo-") as directory:
        places = Places(Path(directory))
        with _logging_to(places.log):
            run_verb(partial(play, places, duration_s, plain))
    return 0


class _logging_to:  # noqa: N801 - used like a function
    """The daemon's log goes to a file, so that the story stays readable."""

    def __init__(self, path: Path) -> None:
        self._handler = logging.FileHandler(path)

    def __enter__(self) -> None:
        root = logging.getLogger("dnslb")
        root.addHandler(self._handler)
        root.setLevel(logging.INFO)
        root.propagate = False

    def __exit__(self, *exc: object) -> None:
        root = logging.getLogger("dnslb")
        root.removeHandler(self._handler)
        root.propagate = True
        self._handler.close()


async def _play(places: Places, duration_s: float, plain: bool) -> None:
    clock = Clock()
    began = clock.now().mono
    screen = Screen(lambda: clock.now().mono - began, plain, sys.stdout)
    async with trio.open_nursery() as nursery:
        endpoints = [Endpoint(address) for address in ADDRESSES]
        for endpoint in endpoints:
            await endpoint.start(nursery)
        places.furnish(endpoints)
        config = load_config(["-cfg", str(places.config)], {})
        far = Agent(Prober(AGENTS[2], clock=clock))
        instance = Instance(config, clock=clock, more_sources=(Prober(AGENTS[1], clock=clock), far))
        nursery.start_soon(_stop_on_signal, instance)
        nursery.start_soon(_stop_after, instance, duration_s)
        audience = _Audience(screen, places, clock)
        nursery.start_soon(audience.watch_zone)
        nursery.start_soon(audience.follow_log, instance)
        cast = Cast(instance, endpoints, far, nursery, screen, audience.note)
        nursery.start_soon(_perform, cast, places)
        await instance.run()
        screen.closing(audience.writes)
        nursery.cancel_scope.cancel()


async def _play_cluster(places: Places, duration_s: float, plain: bool) -> None:
    clock = Clock()
    began = clock.now().mono
    screen = Screen(lambda: clock.now().mono - began, plain, sys.stdout)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_on_signal, nursery.cancel_scope)
        endpoints = [Endpoint(address) for address in ADDRESSES]
        for endpoint in endpoints:
            await endpoint.start(nursery)
        places.furnish(endpoints)
        audience = _Audience(screen, places, clock)
        async with members(places, endpoints) as cast:
            screen.opening_of_cluster([member.socket for member in cast.all], places.zone)
            screen.act("one member founds the cluster, two are added")
            await cast.form()
            nursery.start_soon(audience.watch_zone)
            company = Company(cast, endpoints, nursery, screen, audience.note, places.zone)
            for member in cast.all:
                nursery.start_soon(tell, company, member)
            with trio.move_on_after(max(0.0, duration_s - (clock.now().mono - began))):
                await perform(company)
        screen.closing(audience.writes)
        nursery.cancel_scope.cancel()


async def _cancel_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()


async def _stop_after(instance: Instance, duration_s: float) -> None:
    await trio.sleep(duration_s)
    instance.stop()


async def _stop_on_signal(instance: Instance) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            instance.stop()


async def _perform(cast: Cast, places: Places) -> None:
    """The script, again and again until the time is up."""
    await cast.instance.ready.wait()
    cast.screen.opening(places)
    cast.screen.act("all four endpoints are up")
    cast.noted()
    began = mono_s()
    while True:
        for at_s, act in SCRIPT:
            await trio.sleep_until(began + at_s)
            await act(cast)
        began += ROUND_S
        await trio.sleep_until(began)


class _Audience:
    """Watches the zone file and the event log, as anyone could."""

    def __init__(self, screen: Screen, places: Places, clock: Clock) -> None:
        self._screen = screen
        self._places = places
        self._clock = clock
        self._noted_mono: float | None = None
        self.writes = 0

    def note(self) -> None:
        """Something happened that the zone should follow; the next answer tells how late."""
        self._noted_mono = self._clock.now().mono

    async def watch_zone(self) -> None:
        seen: tuple[int, int] | None = None
        answered: tuple[str, ...] = ()
        while True:
            await trio.sleep(_LOOK_S)
            stat = self._places.zone.stat()
            if (stat.st_mtime_ns, stat.st_ino) == seen:
                continue
            self.writes += seen is not None
            seen = (stat.st_mtime_ns, stat.st_ino)
            addresses = _answer(self._places.zone)
            if addresses != answered:
                answered = addresses
                now = self._clock.now().mono
                late = None if self._noted_mono is None else now - self._noted_mono
                self._noted_mono = None
                self._screen.answer(addresses, late)

    async def follow_log(self, instance: Instance) -> None:
        log, told = instance.log, 0
        while True:
            entries = log.value
            new = log.revision - told
            for entry in entries[-new:] if new else ():
                self._screen.event(entry)
            told = log.revision
            await log.wait_changed(told)


def _answer(path: Path) -> tuple[str, ...]:
    """What a name server would answer from this file."""
    zone = dns.zone.from_file(str(path), origin="demo.test.", relativize=False)
    rdataset = zone.get_rdataset(f"{NAME}.", dns.rdatatype.A)
    return tuple(sorted(rdata.to_text() for rdata in rdataset)) if rdataset else ()
