"""``dnslb raft recover``: a new cluster of the one member that is left of an old one.

Not what is written (`dnslb.election.raft.recovery`). This holds the stopped member's directory,
shows what is in it, and does nothing before each other member was declared dead by its name.

Law (`safety.md` 5.4): what is recovered is what was shown, since the directory is held all the
time; it is recovered whole or not at all, and never twice.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence

from dnslb.daemon import registry
from dnslb.daemon.config import Config
from dnslb.daemon.registry import Publication
from dnslb.daemon.verbs.at_provider import ask, asks_for_help, load, split, with_provider
from dnslb.election.raft.journal import BrokenLog, Journal
from dnslb.election.raft.membership import Configuration, Member
from dnslb.election.raft.recovery import Remains, examine, next_epoch, refound
from dnslb.election.raft.store import SqliteStore, why_no_store
from dnslb.election.statedir import StateDirectory
from dnslb.errors import DnslbError, LocalError, StoreError
from dnslb.net.clock import Clock, wall_s

USAGE = "dnslb raft recover -cfg F [--dead ID ...] [-dry-run] [flags of the daemon]"
MARKERS_S_MAX = 15.0
"""How long a recovery waits for the provider."""
HELP = f"""\
usage: {USAGE}

For when so many members are lost for good that the rest cannot elect a leader. Run it on the
member that is left, while its daemon is stopped, as the user that it runs as and with its own
configuration. It shows what the member's directory holds, and makes a new cluster of this member
alone once every other member was declared dead: --dead for each of them, or typed at the
terminal. -dry-run only shows.

While a majority can still be started, start it instead: that loses nothing."""


def run(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """0 when the directory is that of a new cluster, or with -dry-run when it could be made one.
    Raises `DnslbError`."""
    if not argv or asks_for_help(argv) or argv[0] == "help":
        print(HELP)
        return 0
    if argv[0] != "recover":
        raise DnslbError(
            f"expected raft recover, found {argv[0][:80]!r}; usage: {USAGE}. The commands for a "
            "cluster that runs are dnslbctl raft's."
        )
    dead, rest = _split_dead(argv[1:])
    wanted = split(rest, {}, USAGE)
    if wanted.words:
        raise DnslbError(f"raft recover takes no {wanted.words[0][:80]!r}; usage: {USAGE}")
    config = load(wanted.flags, environ)
    if config.raft is None:
        raise DnslbError(f"raft recover is for -election raft, not {config.election}")
    directory = config.raft.directory
    if (sentence := why_no_store(directory)) is not None:
        raise DnslbError(f"{sentence} Look at -raft-dir and -instance-id. Nothing was changed.")
    with _hold(config):
        store = SqliteStore(directory)
        try:
            return _recover(config, store, dead)
        except BrokenLog as e:
            raise StoreError(f"The raft store {store.path} contradicts itself: {e}.") from e
        finally:
            store.close()


def _split_dead(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values of --dead, and all else."""
    dead, rest = [], []
    arguments = iter(argv)
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if name not in ("-dead", "--dead"):
            rest.append(argument)
            continue
        value = text if equals else next(arguments, "")
        if not value:
            raise DnslbError(f"--dead needs the id of a member; usage: {USAGE}")
        dead.append(value)
    return dead, rest


def _hold(config: Config) -> StateDirectory:
    try:
        return StateDirectory(config.state_dir)
    except LocalError as e:
        raise LocalError(f"{e} Only a stopped member can be recovered. Nothing was changed.") from e


def _recover(config: Config, store: SqliteStore, dead: Sequence[str]) -> int:
    assert config.raft is not None
    journal = Journal(store)
    remains = examine(journal, config.instance_id)
    us = Member(config.instance_id, str(config.raft.address), "voter", journal.incarnation)
    _print(_what_is_there(config, remains))
    _print(_what_becomes_of_it(config, remains, us))
    _refuse_strangers(remains, dead)
    newest = _newest_marker(config)
    if config.dry_run:
        print("Nothing was changed (-dry-run).")
        return 0
    _declare(remains, dead)
    cluster_id, epoch = secrets.token_hex(8), next_epoch(remains, wall_s(), newest)
    store.commit(
        refound(journal, us, cluster_id=cluster_id, incarnation=secrets.token_hex(8), epoch=epoch)
    )
    store.close()
    _print(_done(config, remains, _read_back(config, cluster_id)))
    return 0


def _newest_marker(config: Config) -> int:
    """The newest epoch of ours in the markers of the configured zones, as far as they can be read
    now; 0 without any. Says what was not: that must not keep anybody from a recovery."""
    owner_id, seen = config.owner_id or config.instance_id, [0]

    async def look(publication: Publication, clock: Clock) -> None:
        fence, provider = publication.fence, publication.provider
        zones: set[str] = set()
        for lb in config.loadbalancers if fence is not None else ():
            zone = await provider.find_zone(lb.name)
            if zone is None or zone in zones:
                continue
            zones.add(zone)
            assert fence is not None
            held = await fence.read(zone)
            if held is not None and held.owner_id == owner_id:
                seen.append(held.epoch)

    if config.provider is None:
        return 0
    try:
        with_provider(config, look, limit_s=MARKERS_S_MAX)
    except DnslbError as e:
        print(f"The markers of the zones cannot all be read: {e}.")
        print(
            "Should the new cluster's epoch not be above one of them, its first write is refused,"
        )
        print("and a start with -raft-new-epoch raises it.")
    return max(seen)


def _read_back(config: Config, cluster_id: str) -> Configuration:
    """What a start will find."""
    store = SqliteStore(config.state_dir)
    try:
        found = Journal(store).configuration
    finally:
        store.close()
    if found.cluster_id != cluster_id or found.voters != {config.instance_id}:
        raise StoreError(f"{store.path} does not hold what was written; do not start this member.")
    return found


# --------------------------------------------------------------------------- who is dead


def _refuse_strangers(remains: Remains, dead: Collection[str]) -> None:
    names = [one.id for one in remains.others]
    for one in dead:
        if one == remains.us.id:
            raise DnslbError(f"--dead {one}: that is this member, the one to be recovered")
        if one not in names:
            raise DnslbError(
                f"--dead {one[:80]!r}: the members beside {remains.us.id} are {', '.join(names)}; "
                "nothing was changed"
            )


def _declare(remains: Remains, dead: Collection[str]) -> None:
    """Each other member, by name. Raises `DnslbError` for one that was not declared dead."""
    left = [one for one in remains.others if one.id not in dead]
    instead = " ".join(f"--dead {one.id}" for one in left)
    for one in left:
        typed = ask(f"Is {one.id} at {one.address} gone for good? Then type its id", instead)
        if typed != one.id:
            raise DnslbError(f"{typed!r} is not {one.id}; nothing was changed")


# ----------------------------------------------------------------------------- sentences


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _what_is_there(config: Config, remains: Remains) -> list[str]:
    lines = [
        f"{config.state_dir} is the directory of {remains.us.id}.",
        f"  cluster     {remains.cluster_id}, epoch {remains.epoch}, term {remains.term}",
    ]
    ends = f"  log         up to index {remains.last}, of term {remains.last_term}"
    if remains.last == remains.commit:
        lines.append(f"{ends}; all of it committed")
    else:
        logged = _span(remains.commit + 1, remains.last)
        lines.append(f"{ends}; committed up to {remains.commit}")
        lines.append(f"              {logged} logged here, and perhaps committed")
    for one in (remains.us, *remains.others):
        this = ", this one" if one is remains.us else ""
        lines.append(f"  member      {one.id} at {one.address}, {one.suffrage}{this}")
    return lines


def _span(first: int, last: int) -> str:
    return f"{first} is" if first == last else f"{first} to {last} are"


def _what_becomes_of_it(config: Config, remains: Remains, us: Member) -> list[str]:
    lines = [f"A new cluster of {us.id} at {us.address} alone can be made of it: with a new id,"]
    lines.append("a higher epoch, and all that is logged here, committed or not. What the others")
    lines.append(
        f"decided without {us.id} is lost. While a majority can be started, start it instead."
    )
    if us.address != remains.us.address:
        lines.append(f"Its address was {remains.us.address}; -raft-address says {us.address}.")
    if remains.us.suffrage == "nonvoter":
        lines.append(f"{us.id} had no vote, so another member may know more than it.")
    lines.append(_about_writes(config))
    return lines


def _about_writes(config: Config) -> str:
    if config.provider is None:
        return "Without -provider no DNS is written."
    if _is_fenced(config):
        return (
            f"Provider {config.provider} refuses what an old member still writes to a zone once "
            "the new cluster has taken the zone's marker; not before."
        )
    return (
        f"Provider {config.provider} does not compare at the instant of writing (unfenced), so an "
        "old member may write beside the new cluster: switch the others off first, and keep them "
        "from starting again."
    )


def _is_fenced(config: Config) -> bool:
    try:
        publication = registry.make_publication(config, Clock(), beside=True)
    except DnslbError:
        # A provider that cannot be set up now must not keep anybody from a recovery.
        return False
    return publication is not None and publication.provider.capabilities.fenced


def _done(config: Config, remains: Remains, made: Configuration) -> list[str]:
    [us] = made.members
    place = config.state_dir.parent
    lines = [
        f"{us.id} is the only member of the new cluster {made.cluster_id}, epoch {made.epoch}."
    ]
    lines.append("Start it as before, with the same -owner-id: it elects itself. Then, for each")
    lines.append("other member that is to come back: move its old directory away, which belongs to")
    lines.append(
        f"cluster {remains.cluster_id} and is refused; start it without -raft-bootstrap; add it:"
    )
    for one in remains.others:
        old, aside = (shlex.quote(f"{place / one.id}{end}") for end in ("", ".old"))
        lines.append(f"  mv {old} {aside}      # there")
        lines.append(f"  dnslbctl raft add_voter {one.id} {one.address} 0      # here")
    return lines
