"""The Prometheus text format 0.0.4: families of samples as values, and their bytes.

Written by hand, since prometheus_client appends ``_total`` to counters whose names are a
contract here, and its import alone takes longer than the daemon may take to be ready. Knows
nothing of dnslb.

Law: a name, a label or a value that the format cannot carry never gets into it.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Kind = Literal["counter", "gauge"]
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. ``samples``: values by the label's values; () for one without labels.

    Raises ValueError for a name that the format does not know.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    samples: Mapping[tuple[str, ...], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.name, *self.labels):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a metric or label")

    def text(self) -> str:
        lines = [_head(self.name, self.kind, self.help)]
        if len(self.labels) == 1:  # by load balancer there are thousands of these
            start = f'{self.name}{{{self.labels[0]}="'
            lines += [
                f'{start}{escaped(values[0])}"}} {number(value)}\n'
                for values, value in self.samples.items()
            ]
        else:
            lines += [
                f"{self.name}{_labels(self.labels, values)} {number(value)}\n"
                for values, value in self.samples.items()
            ]
        return "".join(lines)


class Histogram:
    """Counts observations by upper bound; mutable, for one owner.

    ``bounds`` ascend; the one above all is implied.
    """

    def __init__(self, name: str, help_: str, bounds: tuple[float, ...]) -> None:
        if not _NAME.fullmatch(name) or list(bounds) != sorted(set(bounds)):
            raise ValueError(f"{name!r} with bounds {bounds} is no histogram")
        self.name = name
        self._help = help_
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    @property
    def count(self) -> int:
        return sum(self._counts)

    def observe(self, value: float) -> None:
        """Counts one observation, in the unit that the name says."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def text(self) -> str:
        lines = [_head(self.name, "histogram", self._help)]
        total = 0
        for bound, count in zip((*self._bounds, math.inf), self._counts, strict=True):
            total += count
            lines.append(f'{self.name}_bucket{{le="{number(bound)}"}} {total}\n')
        lines.append(f"{self.name}_sum {number(self._sum)}\n{self.name}_count {total}\n")
        return "".join(lines)


def number(value: float) -> str:
    """As the format writes it: whole numbers without a fraction, infinities and NaN by name."""
    if type(value) is int:
        return str(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def escaped(value: str) -> str:
    """A label's value; for most there is nothing to do."""
    return value if value.isalnum() else value.translate(_LABEL_ESCAPES)


def _head(name: str, kind: str, help_: str) -> str:
    return f"# HELP {name} {help_.translate(_HELP_ESCAPES)}\n# TYPE {name} {kind}\n"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not names:
        return ""
    pairs = zip(names, values, strict=True)
    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in pairs) + "}"
