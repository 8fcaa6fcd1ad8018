"""``dnslb check``: everything that is wrong with a configuration, and what it amounts to.

It reads what the daemon would read and opens nothing: no socket, no connection, no zone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dnslb.daemon.config import Config
from dnslb.daemon.duration import format_duration
from dnslb.daemon.load import load_config
from dnslb.daemon.problems import ConfigProblems

USAGE = "usage: dnslb check [-cfg F] [flags of the daemon] [--json]"


def run(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Checks what ``argv`` says, with the environment as the daemon would see it."""
    environ = os.environ if environ is None else environ
    if argv and argv[0] == "provider":
        # Lazy: that one asks the provider, and needs all that this one does without.
        from dnslb.daemon.verbs import check_provider  # noqa: PLC0415

        return check_provider.run(argv[1:], environ)
    if any(argument in ("-h", "-help", "--help") for argument in argv):
        print(USAGE)
        return 0
    as_json = any(argument in ("-json", "--json") for argument in argv)
    arguments = [argument for argument in argv if argument not in ("-json", "--json")]
    try:
        config: Config | None = load_config(arguments, environ)
        problems = ConfigProblems((), config.warnings if config else ())
    except ConfigProblems as raised:
        config, problems = None, raised
    if as_json:
        print(json.dumps(_to_object(config, problems), indent=2))
    else:
        _print(config, problems)
    return 0 if config else 1


def _print(config: Config | None, problems: ConfigProblems) -> None:
    for problem in problems.problems:
        print(f"error: {problem}", file=sys.stderr)
    for warning in problems.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    counted = (
        f"{_count(len(problems.problems), 'error')}, {_count(len(problems.warnings), 'warning')}"
    )
    if config is None:
        print(counted, file=sys.stderr)
        return
    sys.stderr.flush()
    for title, text in summary(config):
        print(f"{title + ':':17}{text}")
    print(counted)


def summary(config: Config) -> list[tuple[str, str]]:
    """What the daemon would do, row by row."""
    lbs = len(config.loadbalancers)
    monitors = len({e.monitor for lb in config.loadbalancers for e in lb.endpoints})
    counted = (
        f"{lbs} with {_count(config.endpoints_total, 'endpoint')} "
        f"and {_count(monitors, 'different check')}"
    )
    rows = [
        ("instance", f"{config.instance_id}, election {config.election}"),
        ("load balancers", counted),
        ("agents", ", ".join(config.agents) or "the voters"),
        ("built-in prober", "on" if config.local_agent else "off: this instance is no agent"),
        ("provider", _provider(config)),
        ("verification", _verification(config)),
        ("guard", _guard(config)),
        ("metrics", f"http://{_host(config.listen)}:{config.port}/metrics"),
        ("control socket", str(config.control_socket)),
        ("state", str(config.state_dir)),
    ]
    if config.healthd:
        rows.append(("healthd", f"https://{config.healthd.listen}/"))
    if config.raft:
        rows.append(("raft", f"{config.raft.address}, bound at {config.raft.bind}"))
    if config.dry_run:
        rows.append(("dry run", "nothing outside the state directory is written"))
    return [(title, _printable(text)) for title, text in rows]


def _provider(config: Config) -> str:
    if config.file:
        return f"file, zone files in {config.file.directory}"
    if config.bind:
        marker = "" if config.bind.ownership else ", without a marker"
        return f"bind, updates to {config.bind.server} with the key {config.bind.key.name}{marker}"
    if config.autodns:
        autodns = config.autodns
        return f"autodns, user {autodns.username} in context {autodns.context} at {autodns.url}"
    return config.provider or "none: nothing is published"


def _verification(config: Config) -> str:
    if not config.verify.enabled or config.provider is None:
        return "off"
    if servers := config.verify.servers:
        return f"asks {', '.join(map(str, servers))}"
    if config.file:
        return "off: -verify-servers would name who serves these files"
    return "asks the name servers of each zone"


def _guard(config: Config) -> str:
    guard = config.guard
    return (
        f"at most {guard.max_withdraw_total:.0%} of all addresses withdrawn in "
        f"{format_duration(guard.window_s)}, from {guard.total_from} addresses up"
    )


def _to_object(config: Config | None, problems: ConfigProblems) -> dict[str, Any]:
    return {
        "ok": config is not None,
        "errors": [problem._asdict() for problem in problems.problems],
        "warnings": list(problems.warnings),
        "summary": None if config is None else _summary_object(config),
    }


def _summary_object(config: Config) -> dict[str, Any]:
    return {
        "instance_id": config.instance_id,
        "election": config.election,
        "loadbalancers": len(config.loadbalancers),
        "endpoints": config.endpoints_total,
        "agents": list(config.agents),
        "provider": config.provider,
        "listen": f"{_host(config.listen)}:{config.port}",
        "healthd_listen": str(config.healthd.listen) if config.healthd else None,
        "raft_address": str(config.raft.address) if config.raft else None,
        "control_socket": str(config.control_socket),
        "state_dir": str(config.state_dir),
        "dry_run": config.dry_run,
    }


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)
