"""``dnslb plan -cfg F``: what would change in DNS now, with reasons; changes nothing.

Runs a dry run of the daemon beside whatever else runs, on a copy of the stored state, until the
endpoints have been checked and the zones read; then tells and ends. Nothing is written but below
a temporary directory.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import trio

from dnslb.daemon.config import Config
from dnslb.daemon.instance import Instance
from dnslb.daemon.load import load_config
from dnslb.daemon.process import run_verb
from dnslb.daemon.verbs.examination import Finding, look_at_marker
from dnslb.decide.reason import listed
from dnslb.errors import DnslbError
from dnslb.model.status import ChangeView, Status

USAGE = "usage: dnslb plan -cfg F [flags of the daemon]"
LOOK_S_MAX = 300.0
DEAD_MAX = 20
_SLACK_S = 0.5
_DRY = " (dry run: nothing is written)"


def run(argv: Sequence[str]) -> int:
    """0 when nothing would change, 2 when something would. Raises `DnslbError`, also when
    something could not be looked at."""
    if any(argument in ("-h", "-help", "--help") for argument in argv):
        print(USAGE)
        return 0
    config = load_config(argv, os.environ)
    for warning in config.warnings:
        print(f"dnslb: warning: {warning}", file=sys.stderr)
    if config.provider is None:
        raise DnslbError("plan: no -provider is configured, so nothing can change in DNS")
    if config.instance_id not in config.agents:
        raise DnslbError(
            f"plan: {config.instance_id} is not one of the agents, so it cannot check the "
            "endpoints itself; ask the running daemon: dnslbctl changes"
        )
    if len(config.agents) > 1:
        print(
            f"dnslb: only {config.instance_id} checks here, so its view stands for all "
            f"{len(config.agents)} agents",
            file=sys.stderr,
        )
    logging.getLogger("dnslb").addHandler(logging.NullHandler())
    logging.getLogger("dnslb").propagate = False
    with tempfile.TemporaryDirectory(prefix="dnslb-plan-") as directory:
        status, foreign = run_verb(partial(_look, _alone(config, Path(directory))))
    return _tell(status, foreign)


def _alone(config: Config, directory: Path) -> Config:
    """The same configuration, touching nothing that the daemon uses."""
    state = directory / "state"
    state.mkdir(mode=0o700)
    stored = config.state_dir / "state.json"
    if stored.exists():
        shutil.copyfile(stored, state / stored.name)
    return replace(
        config,
        agents=(config.instance_id,),
        dry_run=True,
        state_dir=state,
        control_socket=directory / "plan.sock",
        healthd=None,
        port_given=False,
    )


async def _look(config: Config) -> tuple[Status, list[Finding]]:
    """What the daemon sees, and the zones in it that it may not write."""
    instance = Instance(config)
    foreign: list[Finding] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance.run)
        await instance.ready.wait()
        with trio.move_on_after(LOOK_S_MAX):
            await instance.status.wait_value(_is_seen)
            longest = max((lb.policy.up_after_s for lb in config.loadbalancers), default=0.0)
            await trio.sleep(longest + _SLACK_S)
            foreign = await _foreign_zones(instance)
        status = instance.status.value
        instance.stop()
    if status.gate is not None:
        raise DnslbError(f"plan: {status.gate}")
    if not _is_seen(status):
        raise DnslbError(f"plan: not everything could be looked at within {LOOK_S_MAX:g} s")
    return status, foreign


async def _foreign_zones(instance: Instance) -> list[Finding]:
    publication, owner_id = instance.publication, instance.config.owner_id
    if publication is None or publication.fence is None:
        return []
    zones = sorted(name for name, zone in instance.status.value.zones.items() if not zone.error)
    findings = [await look_at_marker(publication.fence, zone, owner_id) for zone in zones]
    return [finding for finding in findings if finding.level == "error"]


def _is_seen(status: Status) -> bool:
    """Whether every endpoint has been checked and every name's zone was read, or failed."""
    failed = any(row.kind == "zone-unknown" for row in status.attention)
    return status.gate is None and (failed or not _unread(status) - _failed(status))


def _unread(status: Status) -> set[str]:
    """Names of which nothing is known: those that are in no zone of the provider are not among
    them."""
    missing = {row.subject for row in status.attention if row.kind == "no-zone"}
    views = status.loadbalancers.values()
    return {view.name for view in views if view.published is None} - missing


def _failed(status: Status) -> set[str]:
    """Names in zones that could not be read, or not be read again."""
    failing = {name for name, zone in status.zones.items() if zone.error}
    return {view.name for view in status.loadbalancers.values() if view.zone in failing}


def _tell(status: Status, foreign: list[Finding]) -> int:
    open_changes = [v for v in status.changes if v.state in ("pending", "held")]
    for row in status.attention:
        if row.severity != "info" and not row.kind.startswith("held-"):
            print(f"{row.severity}: {row.sentence}")
    for finding in foreign:
        print(f"critical: {finding.subject}: {finding.sentence}")
    _tell_dead(status)
    if unread := sorted(_unread(status) | _failed(status)):
        for view in open_changes:
            _tell_change(view)
        raise DnslbError(f"plan: it is not known what would change at {listed(unread, 3)}")
    if not open_changes:
        print("nothing would change")
        return 0
    for view in open_changes:
        _tell_change(view)
    return 2


def _tell_dead(status: Status) -> None:
    """Endpoints that do not count as living, and what the check said."""
    ill = (view for view in status.loadbalancers.values() if view.living < view.total)
    dead = (e for view in ill for e in view.endpoints if e.counts_as != "living")
    for seen in islice(dead, DEAD_MAX):
        print(f"{seen.endpoint.address} ({seen.endpoint.monitor.url}): {seen.reason}")
    if more := sum(1 for _ in dead):
        print(f"and {more} endpoints more that do not live")


def _tell_change(view: ChangeView) -> None:
    held = "  held for a person: " if view.state == "held" else "  "
    print(f"{view.key}  (zone {view.zone})")
    for value in view.before:
        print(f"  {'-' if value not in view.after else ' '} {value}")
    for value in view.after:
        if value not in view.before:
            print(f"  + {value}")
    print(f"{held}{view.reason.removesuffix(_DRY)}")
