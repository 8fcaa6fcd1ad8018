"""Fixtures of the deployment's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.sealed import Sealed, cannot_seal
from tests.deploy.supervisor import Supervisor
from tests.deploy.switch import Switch

Seal = Callable[..., Sealed]
Supervise = Callable[[Path, str], Supervisor]


@pytest.fixture
def seal(tmp_path: Path) -> Iterator[Seal]:
    """Makes sealed roots, and ends them all with the test; skips where there can be none."""
    if (why := cannot_seal()) is not None:
        pytest.skip(why)
    made: list[Sealed] = []

    def make(**given: Any) -> Sealed:
        directory = tmp_path / f"sealed-{len(made)}"
        directory.mkdir()
        made.append(Sealed(directory, **given))
        made[-1].open()
        return made[-1]

    yield make
    for sealed in made:
        sealed.close()


@pytest.fixture
def switch(seal: Seal) -> Iterator[Switch]:
    """Between sealed roots, where these can be."""
    made = Switch()
    yield made
    made.close()


@pytest.fixture
def supervise() -> Iterator[Supervise]:
    """Makes sockets to be told at, and closes them all with the test."""
    made: list[Supervisor] = []

    def make(directory: Path, name: str) -> Supervisor:
        made.append(Supervisor(directory, name))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.close()
