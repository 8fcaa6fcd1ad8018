"""``dnslb adopt ZONE`` and ``dnslb fence reset ZONE``: a person overrules a zone's marker.

Both show first whose it is, and do nothing before that was typed. Neither touches anything else
in the zone.

Law: what is replaced or removed is what was shown; a marker that changed meanwhile stays.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from functools import partial

from dnslb.daemon.config import Config
from dnslb.daemon.registry import Publication
from dnslb.daemon.verbs.at_provider import ask, asks_for_help, load, one_word, split, with_provider
from dnslb.errors import DnslbError, InvalidValue, ProviderConflict, ProviderRefusal
from dnslb.model.lease import NOBODYS_EPOCH, FencingToken
from dnslb.model.names import marker_name, to_name
from dnslb.net.clock import Clock
from dnslb.ports.fence import Fence

ADOPT_USAGE = "dnslb adopt ZONE -cfg F [--from OWNER] [flags of the daemon]"
RESET_USAGE = "dnslb fence reset ZONE -cfg F [--yes] [flags of the daemon]"
WORK_S_MAX = 60.0
Found = FencingToken | str | None
"""A token, a sentence about something that is none, or no marker at all."""


def adopt(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """0 when the zone is not another's afterwards. Raises `DnslbError`."""
    if asks_for_help(argv):
        print(f"usage: {ADOPT_USAGE}")
        return 0
    wanted = split(argv, {"from": True}, ADOPT_USAGE)
    zone = _zone(one_word(wanted, "zone", ADOPT_USAGE))
    config = load(wanted.flags, environ)
    held = with_provider(config, partial(_look, config, zone), limit_s=WORK_S_MAX)
    if held is None:
        print(f"{zone} has no marker, so it is nobody's: any instance takes it by itself.")
        return 0
    if isinstance(held, str):
        raise DnslbError(held)
    print(_shown(zone, held))
    if held.owner_id == config.owner_id:
        print(f"That is the owner id of this configuration: nothing in {zone} is to be adopted.")
        return 0
    print(
        f"Is an instance of {held.owner_id!r} still running? Stop it first, or take the names of "
        f"{zone} out of its configuration. Where writes are fenced its next one is refused; "
        "elsewhere it may write once more."
    )
    typed = wanted.options.get("from")
    if typed is None:
        typed = ask("To take the zone over, type the owner id in its marker", "--from OWNER")
    if typed != held.owner_id:
        raise DnslbError(f"{typed!r} is not the owner id in the marker; nothing was changed")
    with_provider(config, partial(_take, config, zone, held), limit_s=WORK_S_MAX)
    print(f"{zone} belongs to {config.owner_id!r} now.")
    print(
        "A running instance of ours takes it when it tries again; 'dnslbctl sync' makes it try "
        "at once."
    )
    return 0


def fence(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """0 when the zone has no marker afterwards. Raises `DnslbError`."""
    if asks_for_help(argv):
        print(f"usage: {RESET_USAGE}")
        return 0
    if argv[:1] != ["reset"]:
        raise DnslbError(f"expected fence reset; usage: {RESET_USAGE}")
    wanted = split(argv[1:], {"yes": False}, RESET_USAGE)
    zone = _zone(one_word(wanted, "zone", RESET_USAGE))
    config = load(wanted.flags, environ)
    held = with_provider(config, partial(_look, config, zone), limit_s=WORK_S_MAX)
    if held is None:
        print(f"{zone} has no marker: there is nothing to reset.")
        return 0
    print(held if isinstance(held, str) else _shown(zone, held))
    print(
        f"Without it {zone} is nobody's, and the next instance that starts takes it, whose ever "
        "it is. An instance that writes there now resigns at its next write; a single one stays "
        "so until it is restarted."
    )
    if "yes" not in wanted.options:
        typed = ask("To remove the marker, type the name of the zone", "--yes")
        if typed.lower().removesuffix(".") != zone:
            raise DnslbError(f"{typed!r} is not {zone}; nothing was changed")
    with_provider(config, partial(_reset, config, zone, held), limit_s=WORK_S_MAX)
    print(f"The marker of {zone} is removed.")
    return 0


async def _look(config: Config, zone: str, publication: Publication, clock: Clock) -> Found:
    fence = _fence(config, publication)
    served = await publication.provider.find_zone(zone)
    if served != zone:
        where = f"that name lies in {served}" if served else "the provider knows nothing of it"
        raise DnslbError(f"{zone} is no zone there: {where}; nothing was changed")
    return await _read(fence, zone)


async def _take(
    config: Config, zone: str, held: FencingToken, publication: Publication, clock: Clock
) -> None:
    token = FencingToken(config.owner_id or "", NOBODYS_EPOCH, 0, secrets.token_hex(8))
    await _fence(config, publication).take(zone, token, over=held.owner_id)


async def _reset(
    config: Config, zone: str, shown: Found, publication: Publication, clock: Clock
) -> None:
    fence = _fence(config, publication)
    if isinstance(shown, FencingToken):
        await fence.reset(zone, only=shown)
    elif await _read(fence, zone) == shown:
        await fence.reset(zone)
    else:
        raise ProviderConflict(f"what stands there has changed meanwhile: {zone} is left as it is")


async def _read(fence: Fence, zone: str) -> Found:
    try:
        return await fence.read(zone)
    except ProviderRefusal as refusal:
        return str(refusal)


def _fence(config: Config, publication: Publication) -> Fence:
    if publication.fence is None:
        setting = " with -bind-ownership off" if config.bind else ""
        raise DnslbError(f"provider {config.provider} keeps no marker{setting}: nothing to change")
    return publication.fence


def _zone(text: str) -> str:
    try:
        return to_name(text)
    except InvalidValue as error:
        raise DnslbError(str(error)) from error


def _shown(zone: str, held: FencingToken) -> str:
    return (
        f"The marker of {zone} (TXT {marker_name(zone)}) names owner id {held.owner_id!r}, epoch "
        f"{held.epoch}, term {held.term}."
    )
