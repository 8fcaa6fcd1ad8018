"""Draws the pictures of docs/console/: `python tests/console/pictures.py`.

Not a test. What they show is the crowd of `stage` at a clock that stands still, so that a run
without a change in the console changes no picture.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dnslbctl import aclient
from tests.console.cluster import Cluster
from tests.console.driving import Hands, drive
from tests.console.stage import CLUSTERS, CROWD, ENTRIES, info, round_trip_s
from tests.dnslbctl.daemon import running

DIRECTORY = Path(__file__).resolve().parents[2] / "docs" / "console"
SMALL, LARGE = (80, 24), (180, 50)


@dataclass(frozen=True)
class Picture:
    name: str
    size: tuple[int, int]
    keys: tuple[str, ...]
    shown: str
    unicode: bool = True
    write: str = ""


PICTURES = (
    Picture("all", LARGE, ("2", "down", "down", "down"), "its last word was up"),
    Picture("now", SMALL, (), "x decides it here"),
    Picture("endpoints", SMALL, ("2", "down"), "in → held"),
    Picture("drain", SMALL, ("2", "down", "down", "d"), "'disk swap' --for 2h", write="disk swap"),
    Picture("decide", SMALL, ("4", "x", "right"), "type shop.example.org"),
    Picture("add-voter", SMALL, ("a",), "not at index 183,911 any more"),
    Picture("ascii", SMALL, ("2", "down"), "in -> held", unicode=False),
)


def tidied(svg: str) -> str:
    """Without fonts from elsewhere, and without the number that Rich draws by lot."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    return svg.replace("<text ", '<text xml:space="preserve" ')


def draw(one: Picture) -> None:
    async def hand(hands: Hands) -> None:
        await hands.press(*one.keys)
        if one.write:
            await hands.write(one.write)
        await hands.until_shown(one.shown)
        svg = hands.console.export_screenshot(title="dnslbctl")
        (DIRECTORY / f"{one.name}.svg").write_text(tidied(svg))

    with tempfile.TemporaryDirectory() as directory:
        given = {
            "entries": ENTRIES,
            "members": CLUSTERS["raft"],
            "info": info("raft"),
            "round_trip_s": round_trip_s,
        }
        with running(Path(directory) / "s", CROWD, **given) as daemon:
            daemon.shown.execute = Cluster(daemon.shown).execute  # type: ignore[method-assign]
            drive(daemon.path, hand, size=one.size, unicode=one.unicode)


def main() -> None:
    aclient.QUIET_S = 60.0  # the daemon's clock stands still, so it sends no heartbeats
    DIRECTORY.mkdir(exist_ok=True)
    for one in PICTURES:
        draw(one)
        print(f"docs/console/{one.name}.svg")


if __name__ == "__main__":
    main()
