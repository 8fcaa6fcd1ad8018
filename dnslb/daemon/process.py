"""The daemon as a process: signals, the supervisor, exit codes.

Not its parts (`instance.py`). SIGHUP reloads; SIGTERM and SIGINT stop, the second one at once.

Law: it exits 0 within five seconds of a request to stop, whatever hangs; an error at the start is
one sentence and exit code 1.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TypeVar

import trio

from dnslb.daemon.config import Config
from dnslb.daemon.instance import Instance
from dnslb.daemon.reloading import reload
from dnslb.daemon.supervision import described
from dnslb.decide import reason
from dnslb.errors import DnslbError
from dnslb.net.sdnotify import Notifier

log = logging.getLogger(__name__)

EXIT_S_MAX = 4.8
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Load = Callable[[], Config]
T = TypeVar("T")


def run_process(config: Config, load: Load) -> int:
    """Runs until told to stop; returns the exit code. ``load`` reads the configuration again.

    The log is set up, and the configuration's warnings are told, by the caller.
    """
    if not config.loadbalancers and config.provider is None:
        log.warning("there is nothing to publish: neither -lb nor -provider was given")
    try:
        trio.run(partial(_main, config, load))
    except DnslbError as error:
        log.critical("%s", error)
        return 1
    except BaseExceptionGroup as group:
        leaves = tuple(leaves_of(group))
        if any(not isinstance(leaf, DnslbError) for leaf in leaves):
            log.critical("dnslb cannot go on: this is a defect in it", exc_info=group)
            return 1
        for sentence in dict.fromkeys(map(str, leaves)):
            log.critical("%s", sentence)
        return 1
    return 0


def leaves_of(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The exceptions in a group of groups, in their order."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves_of(error)
        else:
            yield error


def run_verb(work: Callable[[], Awaitable[T]]) -> T:
    """`trio.run` for a verb: out of a group comes the first `DnslbError`, or the interrupt."""
    try:
        return trio.run(work)
    except BaseExceptionGroup as group:
        leaves = list(leaves_of(group))
        if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
            raise KeyboardInterrupt from group
        if all(isinstance(leaf, DnslbError) for leaf in leaves):
            raise leaves[0] from group
        raise


async def _main(config: Config, load: Load) -> None:
    notifier = Notifier.from_environment()
    instance = Instance(config)
    async with trio.open_nursery() as nursery:
        # Before anything else, so that a signal during the start is not lost.
        await nursery.start(_heed_signals, instance, load, notifier)
        nursery.start_soon(notifier.run, partial(described, instance))
        nursery.start_soon(_tell_ready, instance, notifier)
        await instance.run()
        log.info("stopped")
        nursery.cancel_scope.cancel()


async def _tell_ready(instance: Instance, notifier: Notifier) -> None:
    await instance.ready.wait()
    # What the start has made stays. Were it looked at in every full collection, the event loop
    # would stand still for 30 ms each time with a large configuration.
    gc.collect()
    gc.freeze()
    config = instance.config
    lbs = reason.plural(len(config.loadbalancers), "load balancer")
    lbs += f", provider {config.provider or 'none'}"
    log.info(
        "ready: %s, control socket %s, metrics port %d",
        lbs,
        config.control_socket,
        instance.doors.port,
    )
    await notifier.insist_ready(described(instance))


async def _heed_signals(
    instance: Instance,
    load: Load,
    notifier: Notifier,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    stopping = False
    with trio.open_signal_receiver(*STOP_SIGNALS, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number == signal.SIGHUP:
                if not stopping:
                    await _reload(instance, load, notifier)
                continue
            name = signal.Signals(number).name
            if stopping:
                log.warning("%s again: ending at once", name)
                os._exit(1)
            stopping = True
            log.info("%s: stopping", name)
            notifier.stopping("stopping")
            _end_in_any_case()
            instance.stop()


async def _reload(instance: Instance, load: Load, notifier: Notifier) -> None:
    # Before the start is over the supervisor takes READY=1 for that.
    started = instance.ready.is_set()
    if started:
        notifier.reloading()
    await reload(instance, load)
    if started:
        await notifier.insist_ready(described(instance))


def _end_in_any_case() -> None:
    """A disk that hangs holds a thread, and no cancelling ends that: the kernel's own time-out
    may be minutes away, the supervisor's kill likewise."""
    timer = threading.Timer(EXIT_S_MAX, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    log.error("something did not end within %g s; ending without it", EXIT_S_MAX)
    os._exit(1)
