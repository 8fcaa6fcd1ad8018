"""The edge to foreign code: loading a provider class, and its exceptions as sentences.

Part of the worker. Not octoDNS itself: nothing of it is imported here but by name.

Law: whatever foreign code raises becomes a `Foreign` with a kind and a sentence; what it raises
while it writes leaves the outcome unknown.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dnslb.errors import (
    DnslbError,
    FenceLost,
    OutcomeUnknown,
    ProviderConflict,
    ProviderRefusal,
)
from dnslb.providers.octodns_wire import Failed, Kind

DETAIL_MAX = 65_536
"""Characters of a foreign text; what is shown of it is cut again, after scrubbing."""

_KINDS: tuple[tuple[type[DnslbError], Kind], ...] = (
    (ProviderRefusal, "refused"),
    (ProviderConflict, "conflict"),
    (OutcomeUnknown, "unknown"),
    (FenceLost, "fenced"),
)
_REFUSED = frozenset({"SupportsException", "ValidationError", "UnsafePlan"})
_UNAUTHORIZED = (
    "unauthor",
    "authenticationerror",
    "authenticationfailed",
    "forbidden",
    "accessdenied",
    "nocredentials",
    "invalidcredential",
)
_CALLED_WRONGLY = (TypeError, ValueError, KeyError, AttributeError)


class Foreign(Exception):
    """Foreign code failed; ``failed`` says how, in words for an operator."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.sentence)
        self.failed = failed


def to_failed(error: DnslbError) -> Failed:
    kind: Kind = next((k for kind_of, k in _KINDS if isinstance(error, kind_of)), "temporary")
    return Failed(kind, str(error))


@contextmanager
def foreign(sentence: str, *, writes: bool = False) -> Iterator[None]:
    """Around a call of foreign code. ``sentence``: what could not be done if it raises."""
    try:
        yield
    except (DnslbError, Foreign):
        raise
    except (Exception, SystemExit) as error:  # foreign code may raise, and end, as it likes
        kind: Kind = "unknown" if writes else _kind(error)
        raise Foreign(Failed(kind, sentence, _text(error))) from error


def _kind(error: BaseException) -> Kind:
    """Refused: what trying again cannot help. Judged by names, since classes share no tree."""
    names = [kind.__name__ for kind in type(error).__mro__]
    code = getattr(getattr(error, "response", None), "status_code", None)
    if code in (401, 403) or not _REFUSED.isdisjoint(names):
        return "refused"
    words = " ".join(names).lower()
    return "refused" if any(word in words for word in _UNAUTHORIZED) else "temporary"


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot even be shown still has a type
        text = ""
    return f"{type(error).__name__}: {text}"[:DETAIL_MAX].removesuffix(": ")


def load_class(name: str) -> Any:
    """The class with this dotted name. Raises `ProviderRefusal` with what to install."""
    path, _, last = name.rpartition(".")
    package = path.partition(".")[0]
    if importlib.util.find_spec("octodns") is None:
        raise ProviderRefusal(f"octoDNS is not installed: {_install(package)}.")
    try:
        with foreign(f"The module {path} cannot be loaded"):
            module = importlib.import_module(path)
    except Foreign as error:
        missing = getattr(error.__cause__, "name", None)
        if not isinstance(error.__cause__, ModuleNotFoundError) or not missing:
            raise
        if missing == path or path.startswith(f"{missing}."):
            what = "module" if importlib.util.find_spec(package) else "package"
            raise ProviderRefusal(
                f"The {what} {missing} of the class {name} is not installed: {_install(package)}."
            ) from error
        raise ProviderRefusal(
            f"The class {name} needs the module {missing}, which is not installed."
        ) from error
    found = getattr(module, last, None)
    if found is None:
        there = sorted(n for n in vars(module) if n.endswith("Provider") and n != "BaseProvider")
        others = f"; there is {', '.join(there[:8])}" if there else ""
        raise ProviderRefusal(f"The module {path} has no class {last}{others}.")
    if not isinstance(found, type) or not all(
        callable(getattr(found, method, None)) for method in ("populate", "plan", "apply", "_apply")
    ):
        raise ProviderRefusal(f"{name} is no octoDNS provider class: it cannot be written to.")
    return found


def writer_of(kind: type) -> str:
    """Package and name of the class that ``kind`` has its ``_apply`` from."""
    owner = next(base for base in kind.__mro__ if "_apply" in vars(base))
    return f"{owner.__module__.partition('.')[0]}.{owner.__qualname__}"


def construct(kind: Any, name: str, instance_id: str, settings: Mapping[str, Any]) -> Any:
    """A new instance. Raises `Foreign`; settings that do not fit are refused."""
    try:
        with foreign(f"{name} could not be started"):
            return kind(instance_id, **settings)
    except Foreign as error:
        if isinstance(error.__cause__, _CALLED_WRONGLY):
            sentence = f"{name} refuses its settings in [octodns]"
            raise Foreign(Failed("refused", sentence, error.failed.detail)) from error
        raise


def _install(package: str) -> str:
    wanted = "" if package == "octodns" else f" {package.replace('_', '-')}"
    return f"pip install 'dnslb[octodns]'{wanted}"
