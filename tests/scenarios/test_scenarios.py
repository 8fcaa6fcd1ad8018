"""Recorded scenarios: commands and what the controller made of them, readable by an operator.

A file is a list of blocks: command lines, ``----``, the recorded output, a blank line. To record
anew after a wanted change: ``DNSLB_RECORD=1 pytest tests/scenarios``, then explain the diff. The
commands are the methods named ``do_*`` of `Play`.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest

from dnslb.decide.events import LoopStalled, MembersCompared, SettingsChanged
from dnslb.decide.settings import Settings
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import LoadBalancer
from dnslb.model.outcome import Failure
from tests.decide.world import World, balancer, endpoint, settings

HERE = Path(__file__).parent
SCENARIOS = sorted(HERE.glob("*.txt"))
START = Now(1000.0, 1000.0, 1_700_000_000.0)


class Play:
    """One scenario's world; each command returns the lines that it shows."""

    def __init__(self) -> None:
        self.loadbalancers: list[LoadBalancer] = []
        self.options: dict[str, object] = {}
        self.world = World(settings(), now=START)
        self.told = 0
        self.dns: dict[str, str] = {}

    def run(self, line: str) -> list[str]:
        command, *words = line.split()
        shown = getattr(self, "do_" + command.replace("-", "_"))(*words) or []
        log = self.world.log
        events = [f"{kind}: {text}" for kind, text in log[self.told :] if kind != "agent"]
        self.told = len(log)
        return [*events, *shown, *self._dns_now()]

    def _dns_now(self) -> list[str]:
        """Names whose answer changed."""
        now = {str(k): " ".join(v) for k, (_, v) in sorted(self.world.records.items())}
        lines = [f"DNS {k}  {v}" for k, v in now.items() if self.dns.get(k) != v]
        lines += [f"DNS {k}  (gone)" for k in self.dns if k not in now]
        self.dns = now
        return lines

    def _settings(self) -> Settings:
        return replace(settings(*self.loadbalancers), **self.options)  # type: ignore[arg-type]

    def do_lb(self, name: str, *words: str) -> None:
        """``lb NAME ADDRESS[@PRIORITY]|URL[=ADDRESS]... [key=value]``"""
        endpoints = []
        policy: dict[str, object] = {}
        for word in words:
            key, _, value = word.partition("=")
            if key in ("when_all_down", "fallback"):
                policy[key] = (value,) if key == "fallback" else value
            elif key in ("ttl", "min_published", "up_after_s", "down_after_s", "max_withdraw"):
                policy[key] = float(value) if "." in value else int(value)
            else:
                where, _, priority = key.partition("@")
                url = where if "://" in where else f"tcp://{_bracketed(where)}:80"
                endpoints.append(endpoint(url, value or None, int(priority or 0)))
        self.loadbalancers.append(balancer(name, *endpoints, **policy))

    def do_set(self, key: str, value: str) -> None:
        words = {"yes": True, "no": False}
        self.options[key] = words.get(value, value)

    def do_start(self) -> None:
        old = self.world
        self.world = World(
            self._settings(),
            records=old.records,
            now=old.now,
            cnames=old.cnames,
            fail_find=old.fail_find,
        )
        self.told = 0
        self.world.start()

    def do_restart(self) -> None:
        """Another process takes over what was stored."""
        old = self.world
        self.world = World(self._settings(), records=old.records, now=old.now, state=old.state)
        self.told = 0
        self.world.start(guard_age_s=1.0)

    def do_take_over(self, *names: str) -> None:
        """Another member takes over what is stored, with the latest definitions of these load
        balancers and with its own clock of reports."""
        latest = {lb.name: lb for lb in self.loadbalancers}
        self.loadbalancers = [latest[name] for name in names]
        self.do_restart()

    def do_members(self, digest: str = "") -> None:
        """All voters say that they have this configuration; without one: they differ."""
        self.world.feed(MembersCompared(digest))

    def do_reload(self, *names: str) -> None:
        """Keeps only these load balancers; the latest definition of a name counts."""
        latest = {lb.name: lb for lb in self.loadbalancers}
        self.loadbalancers = [latest[name] for name in names]
        self.world.settings = self._settings()
        self.world._votes = {}
        self.world.feed(SettingsChanged(self.world.settings))

    def do_vote(self, agent: str, *words: str) -> None:
        """``vote AGENT|all up|down`` for everything, or ``ADDRESS...=up|down|unknown``"""
        agents = self.world.settings.agents if agent == "all" else (agent,)
        for one in agents:
            if len(words) == 1 and "=" not in words[0]:
                self.world.vote(one, words[0])
                continue
            addresses, _, state = " ".join(words).partition("=")
            self.world.vote(one, dict.fromkeys(addresses.split(), state))

    def do_silence(self, agent: str) -> None:
        self.world._votes.pop(agent, None)

    def do_wait(self, seconds: str) -> None:
        self.world.wait(float(seconds))

    def do_stall(self, seconds: str) -> None:
        self.world.now = self.world.now.later(float(seconds))
        self.world.feed(LoopStalled(float(seconds)))

    def do_edit(self, name: str, rtype: str, *values: str) -> None:
        """Somebody writes into DNS by hand."""
        self.world.publish(name, *values, rtype=rtype)

    def do_cname(self, name: str, target: str) -> None:
        self.world.cnames[name] = target

    def do_unreachable(self, *words: str) -> None:
        """``unreachable WHY``: no zone can be asked for; without a reason, again."""
        self.world.fail_find = " ".join(words) or None

    def do_fail(self, what: str, kind: str, *words: str) -> None:
        sentence = " ".join(words)
        if what == "write":
            self.world.fail_write.append(Failure(kind, sentence))  # type: ignore[arg-type]
        elif what == "read":
            self.world.fail_read.append(Failure(kind, sentence))  # type: ignore[arg-type]
        else:
            self.world.fail_commit = deque([f"{kind} {sentence}".strip()])

    def do_operator(self, kind: str, *words: str) -> list[str]:
        subjects = [w for w in words if not w.startswith("--")]
        if subjects == ["HELD"]:
            subjects = self.world.held()
        answer = self.world.command(
            kind,  # type: ignore[arg-type]
            *subjects,
            insist="--yes" in words,
            delete="--delete" in words,
        )
        return [f"{'done' if answer.ok else 'refused'}: {answer.sentence}"]

    def do_attention(self) -> list[str]:
        rows = self.world.status.attention
        return [f"{r.severity}: {r.sentence}\n    next: {r.next}" for r in rows] or ["nothing"]

    def do_changes(self) -> list[str]:
        open_ = [v for v in self.world.status.changes if v.state in ("pending", "held")]
        return [f"{v.state} {v.id} {v.key}: {v.reason}" for v in open_] or ["none"]


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def played(text: str) -> str:
    """The scenario with its outputs as they are now."""
    play, out = Play(), []
    for block in text.rstrip("\n").split("\n\n"):
        commands = block.partition("\n----")[0]
        lines = [
            shown
            for line in commands.splitlines()
            if not line.startswith("#")
            for shown in play.run(line)
        ]
        if all(line.startswith("#") for line in commands.splitlines()):
            out.append(commands)
        else:
            out.append("\n".join([commands, "----", *lines]))
    return "\n\n".join(out) + "\n"


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    text = path.read_text()
    now = played(text)
    if os.environ.get("DNSLB_RECORD"):
        path.write_text(now)
    assert now == path.read_text()


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 20
