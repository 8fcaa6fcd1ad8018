"""Why nobody was reached, in words."""

from __future__ import annotations

import socket

import pytest
import trio

from dnslb.net.unreached import unreached_sentence


async def test_where_nobody_listens_the_systems_reason_is_told_and_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(OSError, match="all attempts") as failed:
                await trio.open_tcp_stream(host, taken.getsockname()[1])
            assert unreached_sentence(failed.value) == "Connection refused"


def test_other_reasons_are_as_the_system_says_them() -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert unreached_sentence(unknown) == "Name or service not known"
    assert unreached_sentence(OSError("odd")) == "odd"
    assert unreached_sentence(OSError()) == "the system does not say why"
    several = OSError("all attempts failed")
    several.__cause__ = ExceptionGroup("", [OSError(113, "x"), OSError(111, "y"), OSError(111, "")])
    assert unreached_sentence(several) == "Connection refused; No route to host"
