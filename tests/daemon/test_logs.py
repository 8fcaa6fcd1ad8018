"""The log: a line for each record whatever stands in it, and no known secret."""

from __future__ import annotations

import io
import json
import logging

import pytest

from dnslb.daemon.logs import LINE_LENGTH_MAX, set_up_logging
from dnslb.daemon.secret import Secret

pytestmark = pytest.mark.usefixtures("log_settings")
log = logging.getLogger("dnslb.tests")


def text_of(
    *, debug: bool = False, as_json: bool = False, secrets: tuple[str, ...] = ()
) -> io.StringIO:
    stream = io.StringIO()
    set_up_logging(debug=debug, as_json=as_json, secrets=map(Secret, secrets), stream=stream)
    return stream


def test_lines_for_people() -> None:
    stream = text_of()
    log.warning("zone %s is held", "example.org", extra={"fields": {"held": 3, "by": "guard"}})
    at, _, rest = stream.getvalue().partition(" ")
    assert at.endswith("Z")
    assert len(at) == len("2026-01-31T12:00:00.000Z")
    assert rest == "warning zone example.org is held held=3 by=guard\n"


def test_objects_for_machines() -> None:
    stream = text_of(as_json=True)
    log.info("a\nb", extra={"fields": {"n": 1, "f": 0.5, "ok": True, "none": None, "x": object}})
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "info",
        "msg": "a\\x0ab",
        "logger": "dnslb.tests",
        "fields": {"n": 1, "f": 0.5, "ok": True, "none": None, "x": "<class 'object'>"},
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_a_record_is_one_line_of_bounded_length(as_json: bool) -> None:
    stream = text_of(as_json=as_json)
    log.info("\x1b[31m%s", "x\r\ny" * LINE_LENGTH_MAX, extra={"fields": {"a\nb": "c\u2028d"}})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue()) < 2 * LINE_LENGTH_MAX


@pytest.mark.parametrize("as_json", [False, True])
def test_secrets_are_masked_wherever_they_stand(as_json: bool) -> None:
    stream = text_of(as_json=as_json, secrets=("geheim1", "geheim1-long", "ab"))
    try:
        raise ValueError("geheim1 in an error")
    except ValueError:
        log.exception("geheim1-long %s", "geheim1", extra={"fields": {"geheim1": ["geheim1"]}})
    log.info("a cab")
    assert "geheim1" not in stream.getvalue()
    assert "long" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "cab" in stream.getvalue()


def test_a_traceback_is_indented() -> None:
    stream = text_of()
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("broken")
    first, *below = stream.getvalue().splitlines()
    assert first.endswith("error broken")
    assert below
    assert all(line.startswith("    ") for line in below)


def test_levels() -> None:
    stream = text_of()
    log.debug("no")
    logging.getLogger("httpx").info("no")
    logging.getLogger("httpcore").debug("no")
    logging.getLogger("elsewhere").info("no")
    assert stream.getvalue() == ""
    stream = text_of(debug=True)
    log.debug("yes")
    logging.getLogger("httpx").info("GET https://me:geheim@example.org")
    assert stream.getvalue().endswith("debug yes\n")


def test_set_up_twice_writes_once() -> None:
    text_of()
    stream = text_of()
    log.info("once")
    assert stream.getvalue().count("once") == 1


def test_a_reader_that_went_away_is_no_second_disaster(capsys: pytest.CaptureFixture[str]) -> None:
    stream = text_of()
    stream.close()
    log.error("lost")
    assert capsys.readouterr().err == ""
