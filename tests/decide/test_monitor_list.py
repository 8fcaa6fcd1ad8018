"""When the monitor list is to be kept, and when it is left to whoever may write."""

from __future__ import annotations

from dataclasses import replace

from dnslb.decide.events import LeaseChanged, SettingsChanged
from dnslb.decide.intents import Intent, KeepMonitorList
from dnslb.decide.settings import Settings
from tests.decide.world import World, balancer, settings

ONE = balancer("www.example.org", "192.0.2.1", "192.0.2.2")
TWO = balancer("api.example.org", "192.0.2.3")


def keeping(*names: object, **more: object) -> Settings:
    return replace(settings(*names, **more), keeps_monitor_list=True)  # type: ignore[arg-type]


def said(intents: list[Intent]) -> list[KeepMonitorList]:
    return [intent for intent in intents if isinstance(intent, KeepMonitorList)]


def test_it_is_kept_with_the_lease_alone() -> None:
    world = World(keeping(ONE))
    assert said(world.feed(SettingsChanged(world.settings))) == []
    lease = world.lease()
    assert said(world.feed(LeaseChanged(lease))) == [
        KeepMonitorList(world.settings.monitors, lease.token)
    ]
    prolonged = replace(lease, good_until_boot=5000.0)
    assert said(world.feed(LeaseChanged(prolonged))) == []
    assert said(world.feed(LeaseChanged(None))) == [KeepMonitorList(world.settings.monitors, None)]


def test_a_reload_changes_what_is_kept() -> None:
    world = World(keeping(ONE)).start()
    newer = keeping(ONE, TWO)
    assert said(world.feed(SettingsChanged(newer))) == [
        KeepMonitorList(newer.monitors, world.lease().token)
    ]


def test_without_a_store_for_it_nothing_is_said() -> None:
    world = World(settings(ONE))
    assert said(world.feed(SettingsChanged(world.settings))) == []
    assert said(world.feed(LeaseChanged(world.lease()))) == []
