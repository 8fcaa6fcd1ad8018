"""Load balancers as they are written, short and long and on the command line, into values.

Not the rules that they keep: those are in `dnslb.model`, and whatever a constructor there
refuses becomes a sentence here, with its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dnslb.daemon.duration import format_duration
from dnslb.daemon.kinds import (
    IP_ADDRESS,
    SHARE,
    Kind,
    choice,
    duration,
    integer,
    listed,
    word,
)
from dnslb.daemon.origin import FromFile, FromText, Origin
from dnslb.daemon.problems import Findings, found, key_text, similar
from dnslb.daemon.reader import Reader
from dnslb.errors import InvalidValue
from dnslb.model.loadbalancer import (
    ALL_DOWN_POLICIES,
    Endpoint,
    LoadBalancer,
    Monitor,
    Policy,
    to_address,
)
from dnslb.model.names import MARKER_LABEL, to_name

ENDPOINTS_MAX = 10_000
NAME_LENGTH_MAX = 1024
URL_LENGTH_MAX = 2048
READ_MAX = 4096
EXPECTED_ENDPOINT = (
    'an endpoint such as "tcp://192.0.2.1:443", '
    'or a table such as { monitor = "http://10.0.0.1:80", address = "192.0.2.1" }'
)
_BETWEEN_ENDPOINTS = re.compile(r",(?=\w+://)")
_NOBODY: Mapping[str, str] = {}


class Option(NamedTuple):
    """One key of a load balancer: its kind, and the field of `Monitor` or `Policy` it fills."""

    kind: Kind[Any]
    field: str
    meaning: str
    is_monitor: bool = False
    is_http: bool = False


OPTIONS: dict[str, Option] = {
    "ttl": Option(integer(1, 86400), "ttl", "TTL of the published records, in seconds"),
    "interval": Option(
        duration(0.1, 3600), "interval_s", "time between two checks", is_monitor=True
    ),
    "timeout": Option(
        duration(0.01, 60), "timeout_s", "how long a check may take", is_monitor=True
    ),
    "host-header": Option(
        word(r"[\x21-\x7e]{1,255}", "a host name, with :port where one is wanted", "HOST"),
        "host_header",
        "sent as Host and as TLS server name",
        is_monitor=True,
        is_http=True,
    ),
    "expect": Option(
        listed(integer(100, 599)),
        "expect",
        "status codes from the first to the second are healthy",
        is_monitor=True,
        is_http=True,
    ),
    "rise": Option(
        integer(1, 100),
        "rise",
        'good checks in a row before an agent votes "up" again',
        is_monitor=True,
    ),
    "fall": Option(
        integer(1, 100),
        "fall",
        'failed checks in a row before it votes "down"; the second follows the first at once',
        is_monitor=True,
    ),
    "up-after": Option(
        duration(0, 3600),
        "up_after_s",
        'how long the quorum must have said "up" before publication; doubles with each flap',
    ),
    "down-after": Option(
        duration(0, 3600),
        "down_after_s",
        'how long the quorum must have said "down" before withdrawal',
    ),
    "when-all-down": Option(
        choice(*ALL_DOWN_POLICIES),
        "when_all_down",
        "keep what is published, publish all, publish the fallback, or none",
    ),
    "fallback": Option(
        listed(IP_ADDRESS), "fallback", "addresses for the all-down policy of that name"
    ),
    "min-published": Option(
        integer(0, 1000), "min_published", "verdicts never make the set smaller than this"
    ),
    "max-withdraw": Option(
        SHARE, "max_withdraw", "share of this load balancer that may be withdrawn per window"
    ),
}
KEYS = ("endpoints", *OPTIONS)
ENDPOINT_KEYS = ("monitor", "address", "priority")


@dataclass(slots=True)
class Reading:
    """Load balancers read so far, and what was found on the way."""

    findings: Findings
    loadbalancers: list[LoadBalancer] = field(default_factory=list)
    _places: dict[str, Callable[[], str]] = field(default_factory=dict)
    _endpoints: int = 0
    _read: dict[object, object] = field(default_factory=dict)

    def take_table(self, table: object, origin: FromFile) -> None:
        """The ``[lb]`` table of a file."""
        if not isinstance(table, dict):
            self.findings.error(origin.place(), f"expected a table [lb], {found(table)}")
            return
        for key, value in table.items():
            below = origin.below(key)
            if isinstance(value, dict):
                self._take(key, value, below, below.below("endpoints"))
            elif isinstance(value, list):
                self._take(key, {"endpoints": value}, below, below)
            else:
                expected = f"a list of endpoints or a table [{key_text(('lb', key))}]"
                self.findings.error(below.place(), f"expected {expected}, {found(value)}")

    def take_texts(self, texts: Iterable[str], origin: Origin) -> None:
        """``name=url,url`` of the flag or the environment."""
        for text in texts:
            name, equals, urls = text.partition("=")
            if not equals or not urls:
                example = "www.example.org=http://192.0.2.1:80,tcp://192.0.2.2:443"
                self.findings.error(origin.place(), f"expected {example}, {found(text)}")
                continue
            below = FromText(origin, key_text((name,)))
            table: dict[str, object] = {"endpoints": _BETWEEN_ENDPOINTS.split(urls)}
            self._take(name, table, below, below)

    def _take(
        self, key: str, table: dict[str, object], origin: Origin, endpoints_origin: Origin
    ) -> None:
        name = self._name(key, origin)
        options = self._options(table, origin)
        endpoints = self._read_endpoints(table, options, origin, endpoints_origin)
        if name is None or options is None or endpoints is None:
            return
        try:
            policy = Policy(**{o.field: v for o, v in options if not o.is_monitor})
            lb = LoadBalancer(name, endpoints, policy)
        except InvalidValue as error:
            self.findings.error(origin.place(), str(error))
            return
        self._check(lb, table, origin)
        self.loadbalancers.append(lb)

    def _name(self, key: str, origin: Origin) -> str | None:
        try:
            if len(key) > NAME_LENGTH_MAX:
                raise InvalidValue("a DNS name has at most 253 characters")
            name = to_name(key)
            if name.partition(".")[0] == MARKER_LABEL:
                raise InvalidValue(f"{MARKER_LABEL} is reserved for the fencing marker")
        except InvalidValue as error:
            self.findings.error(origin.place(), str(error))
            return None
        if (other := self._places.get(name)) is not None:
            sentence = f"load balancer {name} is configured twice; the other is {other()}"
            self.findings.error(origin.place(), sentence)
            return None
        self._places[name] = origin.place
        return name

    def _options(self, table: dict[str, object], origin: Origin) -> list[tuple[Option, Any]] | None:
        read: list[tuple[Option, Any]] = []
        usable = True
        for key, raw in table.items():
            if key == "endpoints":
                continue
            if (option := OPTIONS.get(key)) is None:
                sentence = f"a load balancer has no such key{similar(key, KEYS)}"
                self.findings.error(origin.place(key), sentence)
                usable = False
                continue
            value = self._option(key, option, raw, origin)
            usable = usable and value is not None
            read.append((option, value))
        return read if usable else None

    def _option(self, key: str, option: Option, raw: object, origin: Origin) -> object:
        """The value, or None for one that is wrong; no option's value is None."""
        # Thousands of load balancers mostly say the same. True is 1, but not what 1 means.
        same = (key, type(raw), raw) if isinstance(raw, str | int | float) else None
        if same in self._read:
            return self._read[same]
        below = origin.below(key) if isinstance(origin, FromFile) else origin
        reader = Reader(option.kind, below, self.findings, _NOBODY)
        value = reader.read((raw,))
        if reader.failed:
            return None
        if key == "expect" and not _is_range(value):
            expected = "expected two status codes such as [200, 299]"
            self.findings.error(below.place(), f"{expected}, {found(raw)}")
            return None
        if same is not None and len(self._read) < READ_MAX:
            self._read[same] = value
        return value

    def _read_endpoints(
        self,
        table: dict[str, object],
        options: list[tuple[Option, Any]] | None,
        origin: Origin,
        endpoints_origin: Origin,
    ) -> tuple[Endpoint, ...] | None:
        raw = table.get("endpoints")
        if not isinstance(raw, list) or not raw:
            what = found(raw) if raw else "found none"
            place = origin.place() if raw is None else endpoints_origin.place()
            self.findings.error(place, f"expected a list of endpoints, {what}")
            return None
        self._endpoints += len(raw)
        if self._endpoints > ENDPOINTS_MAX:
            sentence = f"more than {ENDPOINTS_MAX} endpoints are configured"
            self.findings.error("", sentence)
            return None
        plain = {o.field: v for o, v in options or () if o.is_monitor and not o.is_http}
        http = {o.field: v for o, v in options or () if o.is_monitor}
        endpoints: dict[Endpoint, None] = {}
        usable = True
        for i, item in enumerate(raw):
            try:
                endpoint = self._endpoint(item, plain, http)
                if endpoint in endpoints:
                    raise InvalidValue(f"{endpoint.label} is listed twice")
                endpoints[endpoint] = None
            except InvalidValue as error:
                self.findings.error(endpoints_origin.place(i), str(error))
                usable = False
        return tuple(endpoints) if usable else None

    def _endpoint(
        self, item: object, plain: Mapping[str, Any], http: Mapping[str, Any]
    ) -> Endpoint:
        if isinstance(item, str):
            monitor = _monitor(item, plain, http)
            return Endpoint(monitor, monitor.host)
        if not isinstance(item, dict):
            raise InvalidValue(f"expected {EXPECTED_ENDPOINT}, {found(item)}")
        for key in item:
            if key not in ENDPOINT_KEYS:
                raise InvalidValue(
                    f"an endpoint has no key {key[:80]!r}{similar(key, ENDPOINT_KEYS)}"
                )
        url, priority = item.get("monitor"), item.get("priority", 0)
        if not isinstance(url, str):
            what = "found none" if url is None else found(url)
            raise InvalidValue(f'expected monitor = "protocol://address:port", {what}')
        if type(priority) is not int or priority.bit_length() > 64:
            raise InvalidValue(
                f"expected priority to be a whole number from 0 to 1000, {found(priority)}"
            )
        monitor = _monitor(url, plain, http)
        address = item.get("address", monitor.host)
        if not isinstance(address, str):
            raise InvalidValue(f"expected address to be an IP address, {found(address)}")
        if address != monitor.host:
            address = to_address(address[:URL_LENGTH_MAX])
        return Endpoint(monitor, address, priority)

    def _check(self, lb: LoadBalancer, table: Mapping[str, object], origin: Origin) -> None:
        """What the model allows and an operator hardly means."""
        policy, findings = lb.policy, self.findings
        if policy.min_published > len(lb.addresses):
            findings.error(
                origin.place("min-published"),
                f"min-published {policy.min_published} is more than "
                f"the {len(lb.addresses)} addresses of {lb.name}",
            )
        if len(set(policy.fallback)) != len(policy.fallback):
            findings.error(origin.place("fallback"), "an address is listed twice")
        if policy.fallback and policy.when_all_down != "fallback":
            findings.warn(
                origin.place("fallback"),
                f'has no effect while when-all-down is "{policy.when_all_down}"',
            )
        monitor = lb.endpoints[0].monitor
        if monitor.timeout_s > monitor.interval_s:
            findings.warn(
                origin.place("timeout" if "timeout" in table else "interval"),
                f"the timeout ({format_duration(monitor.timeout_s)}) is longer than the interval "
                f"({format_duration(monitor.interval_s)}): "
                "an endpoint that hangs is checked less often",
            )
        if not any(e.monitor.protocol in ("http", "https") for e in lb.endpoints):
            for key in ("host-header", "expect"):
                if key in table:
                    findings.warn(origin.place(key), "has no effect without an HTTP check")


def _is_range(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and value[0] <= value[1]


def _monitor(url: str, plain: Mapping[str, Any], http: Mapping[str, Any]) -> Monitor:
    if len(url) > URL_LENGTH_MAX:
        raise InvalidValue(f"an endpoint's URL has at most {URL_LENGTH_MAX} characters")
    # What only HTTP knows is kept out of the others, so that equal checks are one check.
    return Monitor.from_url(url, **(http if url.startswith("http") else plain))
