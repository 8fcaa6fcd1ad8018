"""``dnslb check provider``: credentials, reachability, permissions; with ``--canary`` by writing.

Runs beside a daemon without disturbing it. What is looked at is in `examination.py`, what is
written in `canary.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from dnslb.daemon.config import Config
from dnslb.daemon.registry import Publication
from dnslb.daemon.verbs.at_provider import asks_for_help, load, split, with_provider
from dnslb.daemon.verbs.canary import Canary
from dnslb.daemon.verbs.examination import Examination, Finding, Tell
from dnslb.errors import DnslbError, InvalidValue, ProviderError
from dnslb.model.names import to_name
from dnslb.net.clock import Clock

USAGE = "dnslb check provider -cfg F [--canary NAME] [--json] [flags of the daemon]"
LOOK_S_MAX = 1800.0
"""AutoDNS gives a look beside a daemon one call in two seconds."""


def run(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """0 when nothing is wrong. Raises `DnslbError`."""
    if asks_for_help(argv):
        print(f"usage: {USAGE}")
        return 0
    wanted = split(argv, {"canary": True, "json": False}, USAGE)
    if wanted.words:
        raise DnslbError(f"{wanted.words[0]!r} was not expected; usage: {USAGE}")
    canary = wanted.options.get("canary")
    name = None if canary is None else _name(canary)
    config = load(wanted.flags, environ)
    as_json = "json" in wanted.options
    findings: list[Finding] = []

    def tell(finding: Finding) -> None:
        findings.append(finding)
        if not as_json:
            print(f"{finding.level:9}{finding.subject}: {finding.sentence}", flush=True)

    work = partial(_look, config, name, tell)
    measured = None
    try:
        measured = with_provider(config, work, limit_s=LOOK_S_MAX)
    except DnslbError as error:
        if not as_json:
            raise
        tell(Finding("error", name or str(config.provider), str(error)))
    errors = sum(finding.level == "error" for finding in findings)
    if as_json:
        shown = {
            "ok": not errors,
            "provider": config.provider,
            "findings": [finding._asdict() for finding in findings],
            "canary": measured,
        }
        print(json.dumps(shown, indent=2))
    elif errors:
        print(f"{errors} error{'' if errors == 1 else 's'}", file=sys.stderr)
    return 1 if errors else 0


async def _look(
    config: Config, name: str | None, tell: Tell, publication: Publication, clock: Clock
) -> dict[str, Any] | None:
    await Examination(config, publication, tell).run()
    if name is None:
        return None
    canary = Canary(config, publication, clock, name, tell)
    try:
        await canary.run()
    except ProviderError as error:
        tell(Finding("error", name, str(error)))
    return canary.measured


def _name(text: str) -> str:
    try:
        return to_name(text)
    except InvalidValue as error:
        raise DnslbError(f"--canary: {error}") from error
