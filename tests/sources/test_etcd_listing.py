"""When agents that tell by position can be taken to mean our list."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from dnslb.daemon.notices import Notices
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.net.clock import FakeClock
from dnslb.sources.etcd_codec import Held
from dnslb.sources.etcd_listing import POSITION_SETTLES_S, Listing


def listing(*urls: str) -> MonitorList:
    return MonitorList(tuple(map(Monitor.from_url, urls)), tuple(range(len(urls))))


OURS = listing("http://192.0.2.1:80", "tcp://192.0.2.1:80")
BODY = b'["http://192.0.2.1:80","tcp://192.0.2.1:80"]'
SWAPPED = b'["tcp://192.0.2.1:80","http://192.0.2.1:80"]'


async def made() -> Listing:
    clock = FakeClock()
    one = Listing(clock, Notices(lambda: clock.now().wall, lambda: None), "warning")
    await one.set_wanted(OURS)
    return one


async def test_positions_count_once_the_list_has_stood_for_long(autojump_clock: MockClock) -> None:
    one = await made()
    await trio.sleep(POSITION_SETTLES_S * 2)
    assert not one.wire_of()[1], "nobody has seen yet what stands there"
    one.see(Held("monitors", BODY, 1))
    await trio.sleep(POSITION_SETTLES_S - 1)
    one.see(Held("monitors", BODY, 1))
    assert not one.wire_of()[1]
    await trio.sleep(1)
    assert one.wire_of()[1]


async def test_another_list_in_between_begins_the_wait_anew(autojump_clock: MockClock) -> None:
    one = await made()
    one.see(Held("monitors", BODY, 1))
    await trio.sleep(POSITION_SETTLES_S)
    assert one.wire_of()[1]
    one.see(Held("monitors", SWAPPED, 2))
    assert not one.wire_of()[1]
    one.see(Held("monitors", BODY, 3))
    await trio.sleep(POSITION_SETTLES_S - 1)
    assert not one.wire_of()[1]
    await trio.sleep(1)
    assert one.wire_of()[1]


async def test_a_reload_begins_the_wait_anew(autojump_clock: MockClock) -> None:
    one = await made()
    one.see(Held("monitors", BODY, 1))
    await trio.sleep(POSITION_SETTLES_S)
    newer = listing("http://192.0.2.2:80", "tcp://192.0.2.2:80")
    await one.set_wanted(newer)
    wire, trusted = one.wire_of()
    assert wire.monitors == newer
    assert not trusted
