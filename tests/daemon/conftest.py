"""Fixtures of the daemon's tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.loading import Loader


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    return Loader(tmp_path)


@pytest.fixture
def log_settings() -> Iterator[None]:
    """Puts everything back that `set_up_logging` changes in this process."""
    root = logging.getLogger()
    loggers = [root, *map(logging.getLogger, ("dnslb", "httpx", "httpcore", "h11", "asyncio"))]
    handlers, raises = root.handlers[:], logging.raiseExceptions
    levels = [logger.level for logger in loggers]
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raises
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
