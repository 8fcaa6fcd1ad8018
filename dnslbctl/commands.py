"""What each verb does: asks the daemon, prints for people or for scripts, gives the exit code.

Not the parser (`cli`), not the looks (`pages`, `explanation`), not the wire (`client`).

Law: standard output holds the answer and nothing else; reasons for failure go to standard
error, by raising `Failed`.
"""

from __future__ import annotations

import os
import sys

from dnslb.api.codec import encode
from dnslbctl import cli, output, pages
from dnslbctl.client import Client, Failed, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Callable, Iterable

    from dnslb.api import messages
    from dnslbctl.aclient import AsyncClient
    from dnslbctl.client import Reply
    from dnslbctl.output import Terminal

READ_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
NO_TERMINAL = (
    "the interactive console needs a terminal for its input and output: "
    "dnslbctl status shows what needs a person, dnslbctl --help lists the verbs"
)


class Session:
    """One call of the program, with what it may ask and where it prints."""

    def __init__(self, call: cli.Call) -> None:
        self.call = call
        self.json = call.has("--json")
        self._terminal: Terminal | None = None
        self._client: Client | None = None

    @property
    def terminal(self) -> Terminal:
        if self._terminal is None:
            try:
                columns = os.get_terminal_size(sys.stdout.fileno()).columns or 80
            except (OSError, ValueError):
                columns = None  # a pipe or a file
            self._terminal = output.Terminal.of(
                os.environ, columns=columns, encoding=sys.stdout.encoding
            )
        return self._terminal

    def client(self) -> Client:
        """The daemon that is meant; raises `Failed` or `Usage`."""
        if self._client is None:
            self._client = self._find()
        return self._client

    def watched(self) -> AsyncClient:
        """The same for whoever keeps a picture of it; somebody is there."""
        if self._is_remote():
            from dnslbctl.remote import watch_members  # noqa: PLC0415 - only over the network

            return watch_members(self.call, self.call.seconds("--timeout", READ_TIMEOUT_S))
        from dnslbctl.aclient import AsyncClient  # noqa: PLC0415 - no verb watches

        client = self.client()
        client.probe()
        return AsyncClient(client.path, client.timeout_s)

    def _is_remote(self) -> bool:
        return any(option in self.call.given for option in cli.REMOTE_OPTIONS)

    def _find(self) -> Client:
        timeout_s = self.call.seconds("--timeout", READ_TIMEOUT_S)
        given = self.call.given
        if self._is_remote():
            from dnslbctl.remote import find_member  # noqa: PLC0415 - only over the network

            return find_member(self.call, timeout_s)
        if path := given.get("--socket") or os.environ.get("DNSLB_SOCKET"):
            return Client(path, timeout_s)
        from dnslbctl.instance import find_instance  # noqa: PLC0415 - only without a path

        return find_instance(os.environ, timeout_s)

    def get(self, target: str) -> Reply:
        reply = self.client().get(target)
        if reply.stale:
            said = output.plain(f"the last known answer, perhaps out of date: {reply.stale}")
            sys.stderr.write(f"{said}\n")
        return reply

    def show(self, value: object, lines: Callable[[], Iterable[str]]) -> None:
        """``value`` as JSON where that is asked for, else the lines."""
        if self.json:
            print_bytes(encode(value) + b"\n")
        else:
            print_lines(lines())


def print_lines(lines: Iterable[str]) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    print_bytes("".join(f"{line}\n" for line in lines).encode(encoding, "backslashreplace"))


def print_bytes(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def console(session: Session) -> int:
    """No verb: the interactive console, at a terminal and nowhere else."""
    dumb = os.environ.get("TERM", "dumb") in ("", "dumb")
    if dumb or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failed(NO_TERMINAL)
    watched = session.watched()
    from dnslbctl.console.launch import run  # noqa: PLC0415 - no verb may load Textual

    return run(watched, session.terminal)


# ------------------------------------------------------------------------------------- looking


def status(session: Session) -> int:
    reply = session.get("/status")
    value: messages.Status = reply.value
    if not session.call.has("--check"):
        session.show(value, lambda: pages.status_page(value, session.terminal))
        return 0
    session.show(value, lambda: pages.check_page(value, session.terminal))
    if value["leader"] is None:
        return 4
    return int(any(row["severity"] != "info" for row in value["attention"]))


def members(session: Session) -> int:
    value = session.get("/members").value
    session.show(value, lambda: pages.members_page(value, session.terminal))
    return 0


def endpoints(session: Session) -> int:
    lb = session.call.given.get("--lb")
    reply = session.get("/endpoints" + query(lb=lb))
    session.show(reply.value, lambda: pages.endpoints_page(reply.value, reply.at, session.terminal))
    return 0


def changes(session: Session) -> int:
    from dnslbctl.publication import waiting_lines  # noqa: PLC0415 - only this verb needs it

    reply = session.get("/changes" + query(all="1" if session.call.has("--all") else None))

    def page() -> list[str]:
        zones = session.get("/status").value["zones"]
        waiting = waiting_lines(reply.value, zones, reply.at, session.terminal)
        return [*pages.changes_page(reply.value, reply.at, session.terminal), *waiting]

    session.show(reply.value, page)
    return 0


def overrides(session: Session) -> int:
    reply = session.get("/overrides")
    session.show(reply.value, lambda: pages.orders_page(reply.value, reply.at, session.terminal))
    return 0


def why(session: Session) -> int:
    from dnslbctl.explanation import why_page  # noqa: PLC0415 - only this verb needs it

    name = quote(session.call.arguments[0])
    reply = session.get(f"/why/{name}" + query(at=session.call.given.get("--at")))
    session.show(reply.value, lambda: why_page(reply.value, reply.at, session.terminal))
    return 0


def events(session: Session) -> int:
    follow = session.call.has("-f")
    target = "/events" + query(follow="1" if follow else None)
    last = None
    for event in session.client().lines(target):
        seq = event.get("seq")
        if isinstance(seq, int):
            if last is not None and seq > last + 1 and not session.json:
                print_lines([f"({seq - last - 1} events came too fast and are not shown)"])
            last = seq
        at = str(event.get("at", ""))
        line = pages.event_line(event, at, session.terminal)
        session.show(event, lambda line=line: [line])  # type: ignore[misc]
    if follow:
        raise Failed("the daemon ended the stream: it is stopping")
    return 0


# ------------------------------------------------------------------------------------ steering


def perform(session: Session, kind: str, subjects: list[str], **more: object) -> int:
    """Sends one command and prints what became of it."""
    client = session.client()
    return _perform(session, client, kind, subjects, more)


def _perform(
    session: Session, client: Client, kind: str, subjects: list[str], more: dict[str, object]
) -> int:
    timeout_s = session.call.seconds("--timeout", COMMAND_TIMEOUT_S)
    request: dict[str, object] = {"kind": kind, "subjects": subjects, "timeout": timeout_s, **more}
    if reason := session.call.given.get("--reason"):
        request["reason"] = reason
    if lb := session.call.given.get("--lb"):
        request["lb"] = lb
    if (length := session.call.given.get("--for")) and length != cli.FOREVER:
        request["for_seconds"] = cli.duration_s(length)
    if session.call.has("--yes"):
        request["insist"] = True
    reply = client.post("/commands", request, wait_s=timeout_s).value
    session.show(reply, lambda: [output.plain(sentence) for sentence in reply["sentences"]])
    return 0


def override(session: Session) -> int:
    """drain, force-up, force-down, clear: lists what matches before it acts on it."""
    kind = "clear" if session.call.verb == "undrain" else session.call.verb
    name = session.call.arguments[0]
    client = session.client()
    reply = client.get("/endpoints" + query(lb=session.call.given.get("--lb"), called=name))
    matching: list[messages.Endpoint] = reply.value
    if not matching:
        where = f" in {session.call.given['--lb']}" if session.call.has("--lb") else ""
        raise Refused(f"no endpoint is called {name}{where}: dnslbctl endpoints lists them")
    if len(matching) > 1 and not session.json:
        print_lines([f"{name} is {output.count(len(matching), 'endpoint')}:"])
        print_lines(f"  {output.plain(e['lb'])}  {output.plain(e['endpoint'])}" for e in matching)
        if at_terminal() and not session.call.has("--yes"):
            ask(f"{kind} all of them?", "nothing was done; --lb NAME picks one load balancer")
    return _perform(session, client, kind, [name], {})


def at_terminal() -> bool:
    """Whether a person is there to be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def ask(question: str, otherwise: str) -> None:
    """Asks that person; raises `Refused` with ``otherwise`` unless the answer is yes."""
    sys.stdout.write(f"{question} [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused(otherwise)


def simple(session: Session) -> int:
    """pause, approve, drop, sync: the words are the subjects."""
    return perform(session, session.call.verb, session.call.arguments)


def resume(session: Session) -> int:
    """Says first what waits to be written."""
    client = session.client()
    if not session.json:
        reply = client.get("/changes")
        waiting = [change for change in reply.value if change["state"] == "pending"]
        if waiting:
            print_lines(["waiting to be written:"])
            print_lines(pages.changes_page(waiting, reply.at, session.terminal))
        else:
            print_lines(["nothing waits to be written"])
    return _perform(session, client, "resume", session.call.arguments, {})


def release(session: Session) -> int:
    delete = session.call.has("--delete")
    return perform(session, "release", session.call.arguments, delete=delete)


def raft(session: Session) -> int:
    from dnslbctl.raftwords import (  # noqa: PLC0415 - rare
        ASKED_ABOUT,
        DNSLBCTL,
        RaftUsage,
        check_words,
    )

    try:
        command, arguments = check_words(session.call.arguments, DNSLBCTL)
    except RaftUsage as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if command in ASKED_ABOUT and not session.call.has("--yes"):
        words = " ".join([command, *arguments])
        if not at_terminal():
            raise Refused(f"{command} wants --yes, since nobody can be asked here")
        ask(f"{words}: really?", "nothing was done")
    request: dict[str, object] = {"command": command, "arguments": arguments}
    if session.call.has("--async"):
        request["async"] = True
    wait_s = session.call.seconds("--timeout", COMMAND_TIMEOUT_S)
    reply = session.client().post("/raft", request, wait_s=wait_s).value
    session.show(reply["values"], lambda: map(output.plain, reply["lines"]))
    return 0


# --------------------------------------------------------------------------------------- other


def hand_over(session: Session) -> int:
    """config and pki need more than the API: they are verbs of ``dnslb``."""
    words = ["dnslb", session.call.verb, *session.call.arguments]
    beside = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "dnslb")
    program = beside if os.access(beside, os.X_OK) and os.path.isfile(beside) else "dnslb"
    sys.stdout.flush()
    try:
        os.execvp(program, words)
    except OSError as error:
        why_not = error.strerror or str(error)
        sentence = f"cannot run {program}, which has the verb {words[1]}: {why_not}"
        raise Failed(sentence) from error


def completion(session: Session) -> int:
    from dnslbctl.completion import SHELLS, script  # noqa: PLC0415 - rare

    shell = session.call.arguments[0]
    if shell not in SHELLS:
        raise cli.Usage(f"completion is for {', '.join(SHELLS)}, not {shell!r}", "completion")
    print_lines([script(shell)])
    return 0


def complete(session: Session) -> int:
    """Words that only the daemon knows, one a line; silent when it is not there."""
    from dnslbctl.completion import words  # noqa: PLC0415 - rare

    try:
        print_lines(words(session.call.arguments, session.get))
    except Failed:
        return 1
    return 0


def query(**fields: str | None) -> str:
    """``?name=value&...`` of the fields that are there."""
    parts = [f"{name}={quote(value)}" for name, value in fields.items() if value is not None]
    return f"?{'&'.join(parts)}" if parts else ""


def quote(text: str) -> str:
    """Percent-encoded, all but letters, digits and ``-._~`` (RFC 3986 2.3)."""
    return "".join(
        chr(byte) if chr(byte) in _UNRESERVED else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


VERBS: dict[str, Callable[[Session], int]] = {
    "status": status,
    "members": members,
    "endpoints": endpoints,
    "changes": changes,
    "events": events,
    "overrides": overrides,
    "why": why,
    "drain": override,
    "force-up": override,
    "force-down": override,
    "clear": override,
    "undrain": override,
    "pause": simple,
    "resume": resume,
    "approve": simple,
    "drop": simple,
    "release": release,
    "sync": simple,
    "raft": raft,
    "config": hand_over,
    "pki": hand_over,
    "completion": completion,
    cli.COMPLETE: complete,
}
