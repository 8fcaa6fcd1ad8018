"""A reload: the configuration is read again; a good one comes into force, a bad one does not.

Law: what is wrong is told all at once, and leaves what is in force untouched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from dnslb.daemon.config import Config
from dnslb.daemon.instance import Instance
from dnslb.daemon.logs import set_up_logging
from dnslb.daemon.problems import ConfigProblems
from dnslb.daemon.reload import differences_needing_restart
from dnslb.decide import reason

log = logging.getLogger(__name__)
REFUSED, RESTART = "config-refused", "config-restart"


async def reload(instance: Instance, load: Callable[[], Config]) -> None:
    """Compares with what the process was started with: that needs a restart to change."""
    running = instance.config
    try:
        # In a thread: thousands of endpoints take longer to read than the loop may stand still.
        config = await trio.to_thread.run_sync(load)
    except ConfigProblems as problems:
        _refuse(instance, problems)
        return
    _log_as(config, running)
    instance.notices.clear(REFUSED)
    instance.notices.clear(RESTART)
    for warning in config.warnings:
        log.warning("%s", warning)
    waiting = differences_needing_restart(running, config)
    for sentence in waiting:
        log.warning("%s", sentence)
        instance.notices.put(
            "info",
            RESTART,
            sentence.partition(" ")[0],
            sentence,
            "restart this instance when it suits",
        )
    instance.counters.reloads += 1
    instance.reconfigure(config)
    lbs, later = len(config.loadbalancers), len(waiting)
    message = f"the configuration was reloaded: {reason.plural(lbs, 'load balancer')}"
    if later:
        message += f"; {reason.plural(later, 'setting')} to be in force after a restart"
    instance.note("config-reloaded", message)


def _refuse(instance: Instance, problems: ConfigProblems) -> None:
    for problem in problems.problems:
        log.error("%s", problem)
    count = len(problems.problems)
    what = "one mistake" if count == 1 else f"{count} mistakes"
    sentence = (
        f"the changed configuration has {what} and is not in force, the older one is; "
        f"the first: {problems.problems[0]}"
    )
    instance.counters.reloads_refused += 1
    instance.note(REFUSED, sentence)
    instance.notices.put(
        "warning",
        REFUSED,
        str(instance.config.source or "the configuration"),
        sentence,
        "correct it (dnslb check -cfg FILE names every mistake), then reload again",
    )


def _log_as(config: Config, running: Config) -> None:
    """-debug comes into force at once; every secret, old and new, stays out of the log."""
    set_up_logging(
        debug=config.debug,
        as_json=running.json_logging,
        secrets=(*running.secrets, *config.secrets),
    )
