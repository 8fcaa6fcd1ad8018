"""What is to be published and how its health is found out: monitors, endpoints, load balancers.

Pure values, validated in the constructor. An *endpoint* is one address with one monitor; an
address lives only when every endpoint that publishes it lives.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from dnslb.errors import InvalidValue
from dnslb.model.names import to_name

Protocol = Literal["tcp", "http", "https", "none"]
AllDownPolicy = Literal["keep", "all", "fallback", "none"]

PROTOCOLS: tuple[Protocol, ...] = ("tcp", "http", "https", "none")
ALL_DOWN_POLICIES: tuple[AllDownPolicy, ...] = ("keep", "all", "fallback", "none")
DEFAULT_PATH = "/healthz"
_URL = re.compile(
    r"(?P<protocol>[a-z]+)://(?P<host>\[[^\]]*\]|[^/:\[\]]+):(?P<port>\d+)(?P<path>/.*)?"
)
_PATH = re.compile(r"/[\x21-\x7e]*")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]{1,255}")


def to_address(text: str) -> str:
    """``text`` as a canonical IPv4 or IPv6 address; raises `InvalidValue`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError as e:
        raise InvalidValue(f"{text!r} is no IPv4 or IPv6 address") from e
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise InvalidValue(f"{text!r} has a scope, which DNS cannot publish")
    return str(address)


def rtype_of(address: str) -> str:
    """The RRset type that publishes ``address``: "AAAA" or "A"."""
    return "AAAA" if ":" in address else "A"


@dataclass(frozen=True)
class Monitor:
    """One check: what is connected to, how often, and when its agent's vote turns.

    Times in seconds. ``rise`` and ``fall`` are numbers of checks in a row. ``host_header`` is
    sent as Host (and as the TLS server name) by http and https; None means the address itself.
    """

    protocol: Protocol
    host: str
    port: int
    path: str = ""
    interval_s: float = 1.0
    timeout_s: float = 1.0
    host_header: str | None = None
    expect: tuple[int, int] = (200, 299)
    rise: int = 2
    fall: int = 2

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InvalidValue(f"protocol {self.protocol!r} is none of {', '.join(PROTOCOLS)}")
        if to_address(self.host) != self.host:
            raise InvalidValue(f"{self.host!r} is not in canonical form")
        if not 1 <= self.port <= 65535:
            raise InvalidValue(f"port {self.port} is not between 1 and 65535")
        if self.path and self.protocol not in ("http", "https"):
            raise InvalidValue(f"a path means nothing to {self.protocol}")
        if self.path and (not _PATH.fullmatch(self.path) or len(self.path) > 1024):
            raise InvalidValue(f"path {self.path[:80]!r} has characters that no request may carry")
        if not 0.1 <= self.interval_s <= 3600:
            raise InvalidValue(f"interval {self.interval_s:g} is not between 0.1 and 3600 seconds")
        if not 0.01 <= self.timeout_s <= 60:
            raise InvalidValue(f"timeout {self.timeout_s:g} is not between 0.01 and 60 seconds")
        if self.host_header is not None and not _HEADER_VALUE.fullmatch(self.host_header):
            raise InvalidValue(f"host-header {self.host_header[:80]!r} is no host name")
        low, high = self.expect
        if not 100 <= low <= high <= 599:
            raise InvalidValue(f"expect [{low}, {high}] is no range of HTTP status codes")
        for key, count in (("rise", self.rise), ("fall", self.fall)):
            if not 1 <= count <= 100:
                raise InvalidValue(f"{key} {count} is not between 1 and 100")

    @classmethod
    def from_url(cls, url: str, **options: object) -> Monitor:
        """A monitor from ``protocol://address:port[/path]``; raises `InvalidValue`."""
        match = _URL.fullmatch(url)
        if match is None:
            raise InvalidValue(
                f"{url!r} is no endpoint: expected protocol://address:port, "
                "such as tcp://192.0.2.1:443 or http://[2001:db8::1]:80/ready"
            )
        protocol, host = match["protocol"], match["host"]
        if protocol not in PROTOCOLS:
            raise InvalidValue(f"{url!r}: {protocol!r} is none of {', '.join(PROTOCOLS)}")
        if host.startswith("["):
            host = host[1:-1]
        return cls(
            protocol=protocol,
            host=to_address(host),
            port=int(match["port"][:6]),
            path=match["path"] or "",
            **options,  # type: ignore[arg-type]
        )

    @property
    def host_port(self) -> str:
        """``192.0.2.1:80`` or ``[2001:db8::1]:80``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @cached_property
    def url(self) -> str:
        """The monitor as its URL: how people name it."""
        return f"{self.protocol}://{self.host_port}{self.path}"

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits over all fields: the name of this check on the wire."""
        fields = (self.url, self.interval_s, self.timeout_s, self.host_header, self.expect)
        text = repr((*fields, self.rise, self.fall))
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    @property
    def is_plain(self) -> bool:
        """Whether the Go healthagent can parse it and would check the same thing."""
        return (
            ":" not in self.host
            and self.path in ("", DEFAULT_PATH)
            and self.host_header is None
            and self.expect == (200, 299)
        )

    @property
    def plain_url(self) -> str:
        """``protocol://ipv4:port``: how the Go healthagent wants it."""
        return f"{self.protocol}://{self.host_port}"


@dataclass(frozen=True)
class MonitorList:
    """All monitors of a configuration, each once; ``slots`` has one index per endpoint, in order.

    The Go programs' list has one entry per endpoint (`health-protocol.md`), so one monitor can
    stand in several slots.
    """

    monitors: tuple[Monitor, ...] = ()
    slots: tuple[int, ...] = ()

    @classmethod
    def of(cls, loadbalancers: Iterable[LoadBalancer]) -> MonitorList:
        index: dict[Monitor, int] = {}
        slots = tuple(
            index.setdefault(endpoint.monitor, len(index))
            for lb in loadbalancers
            for endpoint in lb.endpoints
        )
        return cls(tuple(index), slots)

    @cached_property
    def index_by_id(self) -> dict[str, int]:
        return {monitor.id: i for i, monitor in enumerate(self.monitors)}

    @cached_property
    def index_of(self) -> dict[Monitor, int]:
        return {monitor: i for i, monitor in enumerate(self.monitors)}

    def __len__(self) -> int:
        return len(self.monitors)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One published address and the monitor that speaks for it; lower ``priority`` goes first."""

    monitor: Monitor
    address: str
    priority: int = 0

    def __post_init__(self) -> None:
        if to_address(self.address) != self.address:
            raise InvalidValue(f"{self.address!r} is not in canonical form")
        if not 0 <= self.priority <= 1000:
            raise InvalidValue(f"priority {self.priority} is not between 0 and 1000")

    @property
    def label(self) -> str:
        """How people name it: the monitor's URL."""
        return self.monitor.url

    @property
    def id(self) -> str:
        """What tells it from all others of its load balancer: the label, with the published
        address where the label does not show it, since one monitor can speak for several."""
        if self.monitor.host == self.address:
            return self.label
        return f"{self.label}={self.address}"

    @classmethod
    def from_id(cls, text: str) -> Endpoint:
        """An endpoint known only by its id (it left the configuration); raises `InvalidValue`."""
        label, _, address = text.rpartition("=")
        try:
            return cls(Monitor.from_url(label), to_address(address))
        except InvalidValue:
            monitor = Monitor.from_url(text)
            return cls(monitor, monitor.host)

    @property
    def spoken(self) -> str:
        """The label, behind the published address where the label does not show it."""
        if self.monitor.host == self.address:
            return self.label
        return f"{self.address} ({self.label})"

    def is_called(self, text: str) -> bool:
        """Whether an operator who writes ``text`` means this endpoint."""
        monitor = self.monitor
        return text in (
            self.id,
            monitor.url,
            monitor.plain_url,
            monitor.host_port,
            self.address,
            monitor.host,
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """How one load balancer's verdicts become published addresses. Times in seconds."""

    ttl: int = 60
    up_after_s: float = 3.0
    down_after_s: float = 0.0
    when_all_down: AllDownPolicy = "keep"
    fallback: tuple[str, ...] = ()
    min_published: int = 1
    max_withdraw: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.ttl <= 86400:
            raise InvalidValue(f"ttl {self.ttl} is not between 1 and 86400")
        for key, value in (("up-after", self.up_after_s), ("down-after", self.down_after_s)):
            if not 0 <= value <= 3600:
                raise InvalidValue(f"{key} {value:g} is not between 0 and 3600 seconds")
        if self.when_all_down not in ALL_DOWN_POLICIES:
            raise InvalidValue(
                f"when-all-down {self.when_all_down!r} is none of {', '.join(ALL_DOWN_POLICIES)}"
            )
        if self.when_all_down == "fallback" and not self.fallback:
            raise InvalidValue('when-all-down "fallback" needs at least one address in "fallback"')
        for address in self.fallback:
            if to_address(address) != address:
                raise InvalidValue(f"fallback {address!r} is not in canonical form")
        if not 0 <= self.min_published <= 1000:
            raise InvalidValue(f"min-published {self.min_published} is not between 0 and 1000")
        if not 0 <= self.max_withdraw <= 1:
            raise InvalidValue(f"max-withdraw {self.max_withdraw:.0%} is not between 0% and 100%")


@dataclass(frozen=True)
class LoadBalancer:
    """One owner name, the endpoints behind it and its policy."""

    name: str
    endpoints: tuple[Endpoint, ...]
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        if to_name(self.name) != self.name:
            raise InvalidValue(f"{self.name!r} is not in canonical form")
        if not self.endpoints:
            raise InvalidValue(f"load balancer {self.name} has no endpoints")
        if len(self.addresses) > 1000:
            raise InvalidValue(f"load balancer {self.name} has more than 1000 addresses")
        seen: set[tuple[Monitor, str]] = set()
        for endpoint in self.endpoints:
            if (key := (endpoint.monitor, endpoint.address)) in seen:
                raise InvalidValue(f"load balancer {self.name} lists {endpoint.label} twice")
            seen.add(key)
        priorities: dict[str, int] = {}
        for endpoint in self.endpoints:
            known = priorities.setdefault(endpoint.address, endpoint.priority)
            if known != endpoint.priority:
                raise InvalidValue(
                    f"load balancer {self.name} gives {endpoint.address} two priorities"
                )

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """Each published address once, in the order of the configuration."""
        return tuple(dict.fromkeys(endpoint.address for endpoint in self.endpoints))

    @cached_property
    def rtypes(self) -> tuple[str, ...]:
        """Both types are always ours: an address family that leaves is withdrawn, not forgotten."""
        return ("A", "AAAA")
