"""``dnslb agent``: from a command line to a running agent, and its exit code.

Exit 0 when it was told to stop (SIGTERM, SIGINT) or asked for its usage; 1 for wrong flags and
files, with one sentence for each. Nothing that a network does ends it.
"""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

import trio

from dnslb.agent.agent import Agent
from dnslb.agent.fan import Fan
from dnslb.agent.link import Link
from dnslb.agent.options import (
    REPORT_MAX_AGE_S,
    USAGE,
    HelpWanted,
    OptionErrors,
    Options,
    read_options,
)
from dnslb.agent.upstream import Upstream
from dnslb.errors import LocalError
from dnslb.net.clock import Clock
from dnslb.net.sdnotify import Notifier
from dnslb.net.tls import ReloadingContext, TlsError, TlsFiles, client_context
from dnslb.sources.prober import Prober

log = logging.getLogger(__name__)


def run(argv: Sequence[str]) -> int:
    """Runs an agent with the arguments after ``dnslb agent``; returns its exit code."""
    try:
        options = read_options(argv, socket.gethostname())
        context = ReloadingContext(options.tls, client_context, on_problem=_on_tls_problem)
    except HelpWanted:
        print(USAGE, end="")
        return 0
    except OptionErrors as errors:
        return _refuse([*errors.sentences, *_file_faults(errors.tls)])
    except TlsError as error:
        return _refuse([str(error)])
    _set_up_logging(options)
    if options.keep_alive_s >= REPORT_MAX_AGE_S:
        log.warning(
            "-keep-alive %g: reports older than %g s count for nothing, so this agent's vote will "
            "lapse whenever nothing changes; expected less",
            options.keep_alive_s,
            REPORT_MAX_AGE_S,
        )
    faults: list[str] = []
    try:
        trio.run(_run, options, context)
    except* LocalError as group:
        faults += [str(error) for error in _leaves(group)]
    return _refuse(faults) if faults else 0


async def _run(options: Options, context: ReloadingContext) -> None:
    clock, notifier = Clock(), Notifier.from_environment()

    def link(url: str, address: str | None = None) -> Link:
        upstream = Upstream(url, options.name, context.context, address=address)
        return Link(upstream, interval_s=options.interval_s)

    to_all = options.mode == "all"
    agent = Agent(
        [] if to_all else [link(url) for url in options.upstreams],
        Prober(options.name, clock=clock),
        clock,
        fans=[Fan(url, partial(link, url)) for url in options.upstreams] if to_all else [],
        sync_interval_s=options.sync_interval_s,
        keep_alive_s=options.keep_alive_s,
    )
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(agent.run)
            log.info("agent %s started", options.name)
            # Whether anybody is in reach is no part of being ready: an agent waits for that itself.
            await notifier.insist_ready(agent.described())
            nursery.start_soon(notifier.run, agent.described)
            async for number in signals:
                log.info("agent %s stops: %s", options.name, signal.Signals(number).name)
                notifier.stopping("stopping")
                nursery.cancel_scope.cancel()
                break


def _refuse(sentences: Sequence[str]) -> int:
    for sentence in sentences:
        print(f"dnslb agent: {sentence}", file=sys.stderr)
    return 1


def _file_faults(files: TlsFiles) -> list[str]:
    try:
        client_context(files)
    except TlsError as error:
        return [str(error)]
    return []


def _on_tls_problem(error: TlsError) -> None:
    log.error("%s; the certificate in force stays", error)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return f"{_at(record)} {record.levelname.lower()} {super().format(record)}"


class _JsonFormatter(logging.Formatter):
    """One object per line, with healthagent's keys."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": _at(record), "level": record.levelname.lower()}
        return json.dumps({**entry, "msg": super().format(record)}, ensure_ascii=False)


def _at(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _set_up_logging(options: Options) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter() if options.json_logging else _TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("dnslb").setLevel(logging.DEBUG if options.debug else logging.INFO)
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _leaves(group: BaseExceptionGroup[LocalError]) -> Iterator[LocalError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
