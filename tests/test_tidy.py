"""The rules of tests/tidy.py, held against sources that break them and sources that do not."""

from __future__ import annotations

import pytest

from tests import tidy
from tests.tidy import Source

OFFENCE = "FIX" + "ME"


def clock(text: str, *allowed: str) -> list[str]:
    return list(tidy.clock_reads(Source("some.py", text), frozenset(allowed)))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("import time\nnow = time.time()", "time.time"),
        ("import time as t\nnow = t.monotonic_ns()", "time.monotonic_ns"),
        ("import time\nread = time.clock_gettime", "time.clock_gettime"),
        ("from time import perf_counter", "time.perf_counter"),
        ("import time\nnow = time.gmtime()", "time.gmtime"),
        ("import datetime\nnow = datetime.datetime.now()", "datetime.datetime.now"),
        ("from datetime import datetime as d\nnow = d.now(tz)", "datetime.datetime.now"),
        ("from datetime import date\nnow = date.today()", "datetime.date.today"),
        ("import trio\nnow = trio.current_time()", "trio.current_time"),
        ("from trio import current_time\nnow = current_time()", "trio.current_time"),
        ("import trio.lowlevel\nc = trio.lowlevel.current_clock()", "trio.lowlevel.current_clock"),
        ("def f():\n    import time\n    return time.time()", "time.time"),
        (
            "import asyncio\nnow = asyncio.get_running_loop().time()",
            "asyncio.get_running_loop().time",
        ),
    ],
)
def test_reading_a_clock_is_seen(text: str, name: str) -> None:
    assert any(offence.endswith(f": {name}") for offence in clock(text))


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "import trio\nwith trio.move_on_after(1):\n    pass",
        "from dnslb.net import clock\nat = clock.now()",
        "from datetime import UTC, datetime\nat = datetime.fromtimestamp(0, UTC)",
        "def f(time):\n    return time.time()",
    ],
)
def test_what_reads_no_clock_is_left_alone(text: str) -> None:
    assert clock(text) == []


def test_an_allowed_clock_is_left_alone() -> None:
    text = "import time\nat = time.monotonic()\nnow = time.time()"
    assert clock(text, "time.monotonic") == ["some.py:3: time.time"]


def test_headers() -> None:
    assert list(tidy.missing_header(Source("dnslb/a.py", "x = 1")))
    assert list(tidy.missing_header(Source("dnslb/model/__init__.py", "x = 1")))
    assert not list(tidy.missing_header(Source("dnslb/a.py", '"""What it is."""')))
    assert not list(tidy.missing_header(Source("dnslb/model/__init__.py", "\n")))
    assert not list(tidy.missing_header(Source("dnslb/__init__.py", "x = 1")))


def test_a_version_and_nothing_else() -> None:
    assert not list(tidy.more_than_a_version(Source("a.py", '__version__ = "1"\n')))
    assert list(tidy.more_than_a_version(Source("a.py", '__version__ = "1"\nimport os')))
    assert list(tidy.more_than_a_version(Source("a.py", "")))


def test_sizes() -> None:
    assert list(tidy.long_file(Source("a.py", "x = 1\n" * 401)))
    assert not list(tidy.long_file(Source("a.py", "x = 1\n" * 400)))
    function = "async def f():\n" + "    x = 1\n" * 69
    assert not list(tidy.long_function(Source("a.py", function)))
    assert list(tidy.long_function(Source("a.py", function + "    x = 1\n"))) == [
        "a.py:1: f has 71 lines"
    ]
    assert list(tidy.long_line(Source("a.py", "#" * 101))) == ["a.py:1: 101 columns"]
    assert not list(tidy.long_line(Source("a.py", "#" * 100)))


def test_bare_except() -> None:
    assert list(tidy.bare_except(Source("a.py", "try:\n    x\nexcept:\n    y"))) == [
        "a.py:3: bare except"
    ]
    assert not list(tidy.bare_except(Source("a.py", "try:\n    x\nexcept OSError:\n    y")))


def test_postponed_work() -> None:
    assert list(tidy.postponed_work(Source("a.py", f"x = 1  # {OFFENCE}: later"))) == [
        f"a.py:1: {OFFENCE}"
    ]
    assert not list(tidy.postponed_work(Source("a.py", "mktemp = 'dnslb.XXXXXX'")))
    assert list(tidy.unwritten_code(Source("a.py", "raise " + tidy.NOT_WRITTEN)))


@pytest.mark.parametrize("above", ["/home", "/root", "/work", "/Users"])
def test_paths_of_a_build_machine(above: str) -> None:
    assert list(tidy.build_path(Source("a.py", f"here = '{above}/me/dnslb'")))
    assert not list(tidy.build_path(Source("a.py", f"url = 'http://192.0.2.1{above}/me'")))


@pytest.mark.parametrize(
    ("path", "vague"),
    [
        ("dnslb/net/zone_manager.py", True),
        ("dnslb/utils.py", True),
        ("dnslb/net/http_util.py", True),
        ("tests/helpers.py", True),
        ("dnslb/common.py", True),
        ("dnslb/model/rrset.py", False),
        ("docs/decisions/0007-utilisation.md", False),
    ],
)
def test_vague_names(path: str, vague: bool) -> None:
    assert tidy.vague_name(path) is vague
