"""Load balancers in their three forms, and every mistake in them with its place."""

from __future__ import annotations

from typing import Any

import pytest

from dnslb.daemon.loadbalancer_tables import ENDPOINTS_MAX, OPTIONS
from dnslb.errors import InvalidValue
from dnslb.model.loadbalancer import Endpoint, LoadBalancer, Monitor, Policy
from tests.daemon.loading import MINIMAL, Loader

LB = '[lb."www.example.org"]\n'
ONE = 'endpoints = ["tcp://192.0.2.1:80"]\n'
PLACE = 'dnslb.toml:3: lb."www.example.org".'


def endpoint(url: str, address: str | None = None, priority: int = 0) -> Endpoint:
    monitor = Monitor.from_url(url)
    return Endpoint(monitor, address or monitor.host, priority)


def test_the_three_forms_mean_the_same(loader: Loader) -> None:
    wanted = LoadBalancer(
        "www.example.org",
        (endpoint("http://192.0.2.1:80"), endpoint("tcp://[2001:db8::1]:443")),
    )
    urls = '["http://192.0.2.1:80", "tcp://[2001:db8:0::1]:443"]'
    texts = "www.example.org=http://192.0.2.1:80,tcp://[2001:db8:0::1]:443"
    for config in (
        loader.load(f'[lb]\n"www.example.org" = {urls}'),
        loader.load(f'[lb."WWW.example.org."]\nendpoints = {urls}'),
        loader.load(argv=[*MINIMAL, "-lb", texts]),
        loader.load(environ={"LB": texts}),
    ):
        assert config.loadbalancers == (wanted,)


def test_the_order_is_that_of_the_file(loader: Loader) -> None:
    config = loader.load('[lb]\n"b.example" = ["tcp://192.0.2.1:1"]\n[lb."a.example"]\n' + ONE)
    assert [lb.name for lb in config.loadbalancers] == ["b.example", "a.example"]


def test_every_option_arrives(loader: Loader) -> None:
    toml = """
        [lb."www.example.org"]
        endpoints = [
            "https://192.0.2.1:443/a,b",
            { monitor = "tcp://10.1.0.2:8081", address = "2001:DB8::2", priority = 7 },
        ]
        ttl = 30
        interval = "500ms"
        timeout = 0.25
        host-header = "api.example.org"
        expect = [200, 204]
        rise = 3
        fall = 4
        up-after = "1m"
        down-after = 5
        when-all-down = "fallback"
        fallback = ["192.0.2.9"]
        min-published = 2
        max-withdraw = "40%"
    """
    (lb,) = loader.load(toml).loadbalancers
    times = {"interval_s": 0.5, "timeout_s": 0.25, "rise": 3, "fall": 4}
    https = Monitor.from_url(
        "https://192.0.2.1:443/a,b", host_header="api.example.org", expect=(200, 204), **times
    )
    tcp = Monitor.from_url("tcp://10.1.0.2:8081", **times)
    assert lb.endpoints == (Endpoint(https, "192.0.2.1"), Endpoint(tcp, "2001:db8::2", 7))
    assert lb.policy == Policy(30, 60, 5, "fallback", ("192.0.2.9",), 2, 0.4)


def test_what_only_http_knows_does_not_part_equal_tcp_checks(loader: Loader) -> None:
    toml = 'endpoints = ["tcp://192.0.2.1:80", "http://192.0.2.2:80"]\nhost-header = "x"'
    (lb,) = loader.load(LB + toml).loadbalancers
    assert lb.endpoints[0].monitor == Monitor.from_url("tcp://192.0.2.1:80")
    assert lb.endpoints[1].monitor.host_header == "x"


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ('"ttl"= "60"', "ttl: expected a whole number from 1 to 86400, found '60'"),
        ("ttl = true", "ttl: expected a whole number from 1 to 86400, found true"),
        ("ttl = 1.5", "ttl: expected a whole number from 1 to 86400, found 1.5"),
        ("expect = [200]", "expect: expected two status codes such as [200, 299], found [200]"),
        ("expect = [299, 200]", "expect: expected two status codes such as [200, 299]"),
        ("expect = 200", "expect: expected a list, found 200"),
        ("expect = [99, 200]", "expect[0]: expected a whole number from 100 to 599, found 99"),
        ('host-header = "a b"', "host-header: expected a host name"),
        ("when-all-down = 'panic'", "when-all-down: expected keep, all, fallback or none"),
        ('fallback = ["example.org"]', "fallback[0]: expected an IPv4 or IPv6 address, found"),
        ('fallback = ["::1", "::1"]', "fallback: an address is listed twice"),
        ("min-published = 2", "min-published: min-published 2 is more than the 1 addresses of"),
        ("max-withdraw = 0.5", "max-withdraw: expected a percentage from 0% to 100%"),
        ("interval = 0", "interval: expected a duration from 100ms to 1h, found 0"),
        ("rise = 0", "rise: expected a whole number from 1 to 100, found 0"),
        ("riese = 2", "riese: a load balancer has no such key; did you mean rise?"),
    ],
)
def test_wrong_options(loader: Loader, toml: str, told: str) -> None:
    (problem,) = loader.problems(LB + ONE + toml)
    assert problem.startswith(PLACE + told)


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ('""', "'' is no endpoint: expected protocol://address:port"),
        ('"192.0.2.1:80"', "'192.0.2.1:80' is no endpoint: expected"),
        ('"ftp://192.0.2.1:21"', "'ftp://192.0.2.1:21': 'ftp' is none of tcp, http, https, none"),
        ('"http://example.org:80"', "'example.org' is no IPv4 or IPv6 address"),
        ('"http://192.0.2.1:0"', "port 0 is not between 1 and 65535"),
        ('"tcp://192.0.2.1:80/x"', "a path means nothing to tcp"),
        ('"http://192.0.2.1:80/a b"', "path '/a b' has characters that no request may carry"),
        (f'"http://192.0.2.1:80/{"x" * 4000}"', "an endpoint's URL has at most 2048 characters"),
        ("5", 'expected an endpoint such as "tcp://192.0.2.1:443", or a table'),
        ("{}", 'expected monitor = "protocol://address:port", found none'),
        ("{ monitor = 5 }", 'expected monitor = "protocol://address:port", found 5'),
        ('{ monitor = "tcp://192.0.2.1:1", address = 5 }', "expected address to be an IP address"),
        ('{ monitor = "tcp://192.0.2.1:1", address = "x" }', "'x' is no IPv4 or IPv6 address"),
        ('{ monitor = "tcp://192.0.2.1:1", priority = -1 }', "priority -1 is not between 0 and"),
        ('{ monitor = "tcp://192.0.2.1:1", priority = true }', "expected priority to be a whole"),
        ('{ monitor = "tcp://192.0.2.1:1", prio = 1 }', "an endpoint has no key 'prio'; did you"),
        ('"tcp://192.0.2.9:1"', "tcp://192.0.2.9:1 is listed twice"),
    ],
)
def test_wrong_endpoints(loader: Loader, item: str, told: str) -> None:
    toml = f'{LB}endpoints = ["tcp://192.0.2.9:1",\n{item}\n]\n'
    (problem,) = loader.problems(toml)
    assert problem.startswith(f"{PLACE}endpoints[1]: {told}")
    assert len(problem) < 400


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (LB, 'dnslb.toml:1: lb."www.example.org": expected a list of endpoints, found none'),
        (LB + "endpoints = []", "dnslb.toml:2: lb."),
        (LB + 'endpoints = "tcp://192.0.2.1:80"', "dnslb.toml:2: lb."),
        ('[lb]\n"x.example" = []', 'dnslb.toml:2: lb."x.example": expected a list of endpoints'),
        ('[lb]\n"a b" = ["tcp://192.0.2.1:1"]', "dnslb.toml:2: lb.\"a b\": 'a b' is no DNS name"),
        ('[lb]\n"" = ["tcp://192.0.2.1:1"]', 'dnslb.toml:2: lb."": a DNS name was expected'),
        (f'[lb]\n{"x" * 2000} = ["tcp://192.0.2.1:1"]', "dnslb.toml:2: lb.xxx"),
        ('[lb]\n"_dnslb.example" = ["tcp://192.0.2.1:1"]', 'dnslb.toml:2: lb."_dnslb.example": _d'),
        (LB + ONE + "when-all-down = 'fallback'", 'dnslb.toml:1: lb."www.example.org": when-all-d'),
    ],
)
def test_wrong_load_balancers(loader: Loader, toml: str, told: str) -> None:
    (problem,) = loader.problems(toml)
    assert problem.startswith(told)


def test_mistakes_beside_a_wrong_name_are_told_too(loader: Loader) -> None:
    toml = '[lb."a b"]\nendpoints = ["x"]\nttl = 0\n'
    assert len(loader.problems(toml)) == 3


@pytest.mark.parametrize(
    "second", ['"X.example." = ["tcp://192.0.2.2:1"]', '[lb."x.EXAMPLE"]\nendpoints = []']
)
def test_one_name_in_two_spellings(loader: Loader, second: str) -> None:
    told = loader.problems(f'[lb]\n"x.example" = ["tcp://192.0.2.1:1"]\n{second}')
    assert told[0].endswith(
        'load balancer x.example is configured twice; the other is dnslb.toml:2: lb."x.example"'
    )


@pytest.mark.parametrize("text", ["", "x", "x.example", "x.example=", "http://192.0.2.1:80"])
def test_texts_that_are_no_load_balancer(loader: Loader, text: str) -> None:
    (problem,) = loader.problems(argv=[*MINIMAL, f"-lb={text}"])
    assert problem.startswith("-lb: expected ")


def test_mistakes_on_the_command_line_name_the_load_balancer(loader: Loader) -> None:
    argv = [*MINIMAL, "-lb=x.example=tcp://192.0.2.1", "-lb=y.example=none://192.0.2.1:1"]
    told = loader.problems(argv=[*argv, "-lb=Y.example=none://192.0.2.2:1", "-lb=\x1b=tcp://::1"])
    assert [problem.partition(": ")[0] for problem in told] == [
        '-lb "x.example"',
        '-lb "Y.example"',
        '-lb "\\u001b"',
        '-lb "\\u001b"',
    ]


def test_load_balancers_of_the_command_line_stand_instead_of_the_file_s(loader: Loader) -> None:
    argv = [*MINIMAL, "-lb", "y.example=tcp://192.0.2.1:1"]
    toml = '\n[lb]\n"x.example" = ["tcp://192.0.2.2:1"]'
    assert [lb.name for lb in loader.load(toml, argv).loadbalancers] == ["y.example"]
    assert "-lb: stands instead of all of dnslb.toml:2: lb" in loader.warnings(toml, argv)
    assert len(loader.problems('[lb]\n"x.example" = ["x"]', argv)) == 1


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("timeout = 2", "timeout: the timeout (2s) is longer than the interval (1s): an endpoint"),
        ("interval = 0.5", "interval: the timeout (1s) is longer than the interval (500ms)"),
        ('fallback = ["::1"]', 'fallback: has no effect while when-all-down is "keep"'),
        ('host-header = "x"', "host-header: has no effect without an HTTP check"),
        ("expect = [200, 200]", "expect: has no effect without an HTTP check"),
    ],
)
def test_warnings(loader: Loader, toml: str, told: str) -> None:
    warnings = loader.warnings(LB + ONE + toml)
    assert [text for text in warnings if text.startswith(PLACE + told)]


def test_no_more_endpoints_than_we_can_serve(loader: Loader) -> None:
    def table(count: int) -> str:
        names = (f'"x{i}.example" = ["tcp://192.0.2.1:1"]' for i in range(count))
        return "[lb]\n" + "\n".join(names)

    assert loader.load(table(ENDPOINTS_MAX)).endpoints_total == ENDPOINTS_MAX
    assert loader.problems(table(ENDPOINTS_MAX + 2)) == [
        f"more than {ENDPOINTS_MAX} endpoints are configured"
    ]


SAMPLES = [0, 1, 2, 59, 60, 61, 99, 100, 101, 1000, 1001, 3600, 3601, 86400, 86401]
SAMPLES_S = [0.0, 0.009, 0.01, 0.099, 0.1, *map(float, SAMPLES)]


@pytest.mark.parametrize("key", sorted(set(OPTIONS) - {"expect", "fallback", "host-header"}))
def test_the_bounds_are_those_of_the_model(key: str) -> None:
    """What the table accepts the model does not refuse, and the other way round."""
    samples: list[tuple[str, object]] = [(str(n), n) for n in SAMPLES]
    if OPTIONS[key].kind.word == "D":
        samples = [(f"{s:.3f}", s) for s in SAMPLES_S]
    elif key == "when-all-down":
        samples = [(word, word) for word in ("keep", "all", "none", "panic", "")]
    elif key == "max-withdraw":
        samples = [("0%", 0.0), ("50%", 0.5), ("100%", 1.0), ("100.5%", 1.005)]
    answers = {text: (table_accepts(key, text), model_accepts(key, v)) for text, v in samples}
    assert all(table == model for table, model in answers.values()), answers
    assert {table for table, _ in answers.values()} == {True, False}, answers


def table_accepts(key: str, text: str) -> bool:
    try:
        OPTIONS[key].kind.read(text)
    except ValueError:
        return False
    return True


def model_accepts(key: str, value: object) -> bool:
    fields: dict[str, Any] = {OPTIONS[key].field: value}
    try:
        if OPTIONS[key].is_monitor:
            Monitor.from_url("tcp://192.0.2.1:1", **fields)
        else:
            Policy(**fields)
    except InvalidValue:
        return False
    return True
