"""What an operator is told of a command: nothing that was so before it was given."""

from __future__ import annotations

from dataclasses import replace

from dnslb.daemon.settlement import is_settled, sentences
from dnslb.decide.intents import Answer
from dnslb.model.command import Command
from dnslb.model.status import ZoneView
from tests.doubles.operations import WALL, ep, lb, picture

OLD = ZoneView("example.org", WALL - 60, None, False, 3, "it refused", None, failed_wall=WALL - 9)
OTHER = ZoneView("example.net", WALL - 60, WALL - 60, False, 0, None, None)
A = "192.0.2.1"
DONE = Answer(1, True, "being read")


def sync(*subjects: str) -> Command:
    return Command("sync", subjects, "kim")


def settled(*zones: ZoneView, command: Command = sync()) -> bool:  # noqa: B008 - frozen
    return is_settled(picture(zones={z.name: z for z in zones}), command, DONE, WALL)


def told(*zones: ZoneView, command: Command = sync()) -> tuple[str, ...]:  # noqa: B008 - frozen
    return sentences({}, picture(zones={z.name: z for z in zones}), command, DONE)


def test_a_comparison_waits_for_an_answer_of_its_own() -> None:
    assert not settled(OLD), "what failed before says nothing of what is asked now"
    assert settled(replace(OLD, failed_wall=WALL + 1))
    read = replace(OLD, last_read_wall=WALL + 1)
    assert not settled(read), "it is read again, and the write that failed has not been tried"
    assert settled(replace(read, blocked="paused"))
    assert settled(replace(read, error=None, failed_wall=None))


def test_of_one_zone_only_that_one_is_told() -> None:
    read = replace(OTHER, last_read_wall=WALL + 1)
    compared = "zone example.net was read and compared"
    assert settled(OLD, read, command=sync("example.net"))
    assert told(OLD, read, command=sync("example.net")) == (compared,)
    assert told(OLD, read) == (compared, "zone example.org: it refused")


def test_another_names_trouble_is_no_reason_of_this_one() -> None:
    """What one name is refused for does not hold up the others of its zone."""
    waits = lb("www.example.org", ep(f"tcp://{A}:80", "down"), published=(A,), desired=())
    answer = Answer(1, True, "forced down", lbs=(waits.name,), addresses=(A,))

    def why(zone: ZoneView) -> str:
        status = picture(waits, zones={zone.name: zone})
        return " ".join(sentences({}, status, Command("force-down", (A,), "kim"), answer))

    assert "it refused" in why(OLD)
    assert "it refused" in why(replace(OLD, refused=(waits.name,)))
    assert "it refused" not in why(replace(OLD, refused=("api.example.org",)))
