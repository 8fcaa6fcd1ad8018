"""What must hold between several values: each rule with what breaks it and what keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.loading import MINIMAL, Loader


def test_an_election_must_be_given(loader: Loader) -> None:
    assert loader.problems(argv=["-instance-id=one"]) == [
        "-election: must be given: expected singleton, k8s or raft"
    ]


def test_a_wrong_election_is_told_once(loader: Loader) -> None:
    assert loader.problems(argv=["-election=rafd"]) == [
        "-election: expected singleton, k8s or raft, found 'rafd'"
    ]


def test_nothing_is_said_to_be_missing_when_the_file_could_not_be_read(loader: Loader) -> None:
    assert loader.problems("provider = ") == ["dnslb.toml:1: is no valid TOML: invalid value"]


class TestAgents:
    def test_required_with_a_receiver(self, loader: Loader, tmp_path: Path) -> None:
        assert loader.problems(argv=[*MINIMAL, "-etcd=http://192.0.2.1:1"]) == [
            "-agent: must be given with -etcd (key agents in a file)"
        ]
        files = [f"-healthd-{name}={tmp_path / name}" for name in ("ca", "crt", "key")]
        for name in ("ca", "crt", "key"):
            (tmp_path / name).touch()
        argv = [*MINIMAL, "-healthd-listen=127.0.0.1:1", *files]
        assert loader.problems(argv=argv) == [
            "-agent: must be given with -healthd-listen (key agents in a file)"
        ]
        assert loader.problems(argv=[*argv, "-agent=a,b,c"]) == []

    def test_twice(self, loader: Loader) -> None:
        assert loader.problems('agents = ["a", "b", "a"]') == [
            "dnslb.toml:1: agents: agent a is configured twice"
        ]

    def test_too_many(self, loader: Loader) -> None:
        told = loader.problems(argv=[*MINIMAL, "-agent", ",".join(f"a{i}" for i in range(100))])
        assert told == ["-agent: more than 99 agents are configured"]

    @pytest.mark.parametrize(
        ("agents", "told"),
        [
            ("one", ["-agent: only 1 agent votes: fewer than three cannot outvote"]),
            ("one,b", ["-agent: only 2 agents vote: fewer than three cannot outvote"]),
            ("one,b,c", []),
        ],
    )
    def test_fewer_than_three(self, loader: Loader, agents: str, told: list[str]) -> None:
        warnings = loader.warnings(argv=[*MINIMAL, "-agent", agents])
        few = [warning for warning in warnings if "fewer than three" in warning]
        assert [warning.removesuffix(" one that is wrong") for warning in few] == told

    def test_votes_that_cannot_arrive(self, loader: Loader) -> None:
        told = "-agent: votes of b, c, d and others cannot arrive: there is neither "
        warnings = loader.warnings(argv=[*MINIMAL, "-agent=one,b,c,d,e"])
        assert [w for w in warnings if w.startswith(told)]

    def test_votes_that_can(self, loader: Loader) -> None:
        argv = [*MINIMAL, "-agent=one,b,c", "-etcd=http://192.0.2.1:1"]
        assert not [w for w in loader.warnings(argv=argv) if "cannot arrive" in w]


class TestProviders:
    @pytest.mark.parametrize(
        ("provider", "missing"),
        [
            ("autodns", ["owner-id", "autodns-username", "autodns-password"]),
            ("bind", ["owner-id", "bind-server", "bind-key-file"]),
            ("file", ["file-dir"]),
            ("octodns", ["owner-id", "octodns-class"]),
        ],
    )
    def test_what_each_needs(self, loader: Loader, provider: str, missing: list[str]) -> None:
        assert loader.problems(argv=[*MINIMAL, f"-provider={provider}"]) == [
            f"-{name}: must be given with provider {provider} (key {name} in a file)"
            for name in missing
        ]

    def test_a_file_is_local_unless_it_is_shared(self, loader: Loader, tmp_path: Path) -> None:
        raft = ["-election=raft", "-raft-address=localhost:1", f"-raft-dir={tmp_path}"]
        argv = [*raft, "-provider=file", f"-file-dir={tmp_path}"]
        assert loader.problems(argv=argv) == [
            (
                "-provider: file is local to one instance, so election raft needs -file-shared "
                "and a directory that all instances see"
            )
        ]
        assert loader.problems(argv=[*argv, "-file-shared"]) == []
        k8s = ["-election=k8s", "-k8s-lock-namespace=x", *argv[3:]]
        assert len(loader.problems(argv=k8s)) == 1
        assert loader.problems(argv=[*MINIMAL, *argv[3:]]) == []

    def test_the_directory_must_be_there(self, loader: Loader, tmp_path: Path) -> None:
        argv = [*MINIMAL, "-provider=file", f"-file-dir={tmp_path}/zones"]
        assert loader.problems(argv=argv) == [
            "-file-dir: expected a directory that is there, found 'zones'"
        ]

    def test_what_has_no_effect_is_warned_of(self, loader: Loader) -> None:
        warnings = loader.warnings('autodns-context = 5\nraft-profile = "wan"\n[octodns]\na = 1')
        assert warnings[-3:] == [
            "dnslb.toml:1: autodns-context: has no effect without -provider autodns",
            "dnslb.toml:2: raft-profile: has no effect without -election raft",
            "dnslb.toml:3: octodns: has no effect without -provider octodns",
        ]

    def test_a_receiver_s_files_alone_have_no_effect(self, loader: Loader, tmp_path: Path) -> None:
        (tmp_path / "ca").touch()
        warnings = loader.warnings(argv=[*MINIMAL, f"-healthd-ca={tmp_path}/ca"])
        assert "-healthd-ca: has no effect without -healthd-listen" in warnings


class TestRaft:
    def raft(self, tmp_path: Path, *argv: str) -> list[str]:
        return ["-election=raft", "-instance-id=a", f"-raft-dir={tmp_path}", *argv]

    def test_needs(self, loader: Loader) -> None:
        assert loader.problems(argv=["-election=raft"]) == [
            "-raft-address: must be given with election raft (key raft-address in a file)",
            "-raft-dir: must be given with election raft (key raft-dir in a file)",
        ]

    @pytest.mark.parametrize("address", ["127.0.0.2:1", "[::1]:1", "localhost:1", "LOCALHOST.:1"])
    def test_loopback_needs_no_tls(self, loader: Loader, tmp_path: Path, address: str) -> None:
        assert loader.problems(argv=self.raft(tmp_path, f"-raft-address={address}")) == []

    @pytest.mark.parametrize("address", ["10.0.0.1:1", "[2001:db8::1]:1", "node.example:1"])
    def test_others_do(self, loader: Loader, tmp_path: Path, address: str) -> None:
        argv = self.raft(tmp_path, f"-raft-address={address}")
        (problem,) = loader.problems(argv=argv)
        assert problem.startswith(f"-raft-address: {address} is no loopback address: without TLS")
        assert loader.problems(argv=[*argv, "-raft-insecure"]) == []
        assert loader.problems(argv=[*argv, "-raft-listen=127.0.0.1:1"]) == []

    def test_the_bound_address_counts(self, loader: Loader, tmp_path: Path) -> None:
        argv = self.raft(tmp_path, "-raft-address=localhost:1", "-raft-listen=0.0.0.0:1")
        (problem,) = loader.problems(argv=argv)
        assert problem.startswith("-raft-listen: 0.0.0.0:1 is no loopback address")

    def test_tls_is_all_or_nothing(self, loader: Loader, tmp_path: Path) -> None:
        for name in ("ca", "crt", "key"):
            (tmp_path / name).touch()
        argv = self.raft(tmp_path, "-raft-address=10.0.0.1:1", f"-raft-ca={tmp_path}/ca")
        assert loader.problems(argv=argv) == [
            "-raft-crt: must be given with -raft-ca (key raft-crt in a file)",
            "-raft-key: must be given with -raft-ca (key raft-key in a file)",
        ]
        argv += [f"-raft-crt={tmp_path}/crt", f"-raft-key={tmp_path}/key"]
        assert loader.problems(argv=argv) == []
        raft = loader.load(argv=argv).raft
        assert raft is not None
        assert raft.tls is not None


class TestKubernetes:
    ARGV = ("-election=k8s", "-instance-id=a", "-k8s-lock-namespace=dns")

    def test_needs(self, loader: Loader) -> None:
        assert loader.problems(argv=["-election=k8s"]) == [
            (
                "-k8s-lock-namespace: must be given with election k8s "
                "(key k8s-lock-namespace in a file)"
            )
        ]

    @pytest.mark.parametrize(
        ("argv", "told"),
        [
            ([], None),
            (["-k8s-lease-duration=30", "-k8s-renew-deadline=15", "-k8s-retry-period=5"], None),
            (["-k8s-lease-duration=11.5"], "-k8s-lease-duration: expected whole seconds"),
            (["-k8s-lease-duration=11"], "-k8s-renew-deadline: 10s and a tenth for clocks that"),
            (["-k8s-renew-deadline=15"], "-k8s-renew-deadline: 15s and a tenth for clocks that"),
            (["-k8s-retry-period=9"], "-k8s-retry-period: 9s times 1.2 must be less than"),
        ],
    )
    def test_times(self, loader: Loader, argv: list[str], told: str | None) -> None:
        problems = loader.problems(argv=[*self.ARGV, *argv])
        assert len(problems) == (1 if told else 0)
        assert not told or problems[0].startswith(told)


class TestFiles:
    def test_the_receiver_needs_its_three(self, loader: Loader, tmp_path: Path) -> None:
        (tmp_path / "here").touch()
        argv = [*MINIMAL, "-agent=a", "-healthd-listen=[::]:443", f"-healthd-crt={tmp_path}"]
        assert loader.problems(argv=[*argv, f"-healthd-key={tmp_path}/gone"]) == [
            "-healthd-ca: must be given with -healthd-listen (key healthd-ca in a file)",
            f"-healthd-crt: {str(tmp_path)!r} cannot be read: this is no file",
            "-healthd-key: 'gone' cannot be read: there is no such file",
        ]

    def test_a_socket_path_has_its_limit(self, loader: Loader) -> None:
        assert loader.problems(argv=[*MINIMAL, f"-control-socket=/{'x' * 106}"]) == []
        assert loader.problems(argv=[*MINIMAL, f"-control-socket=/{'x' * 107}"]) == [
            "-control-socket: the path of a unix socket has at most 107 bytes"
        ]


class TestReportAge:
    LB = '[lb."x.example"]\nendpoints = ["tcp://192.0.2.1:1"]\ninterval = 40\ntimeout = 5\n'

    def test_a_check_slower_than_its_report_lives(self, loader: Loader) -> None:
        told = "-report-max-age: 45s is not longer than the slowest check"
        assert [w for w in loader.warnings(self.LB) if w.startswith(told)]
        argv = [*MINIMAL, "-report-max-age=46"]
        assert not [w for w in loader.warnings(self.LB, argv) if "report-max-age" in w]

    def test_agents_that_post_less_often_than_that(self, loader: Loader) -> None:
        argv = [*MINIMAL, "-etcd=http://192.0.2.1:1", "-agent=a,b,c"]
        told = "-report-max-age: 30s is not longer than the 30s after which an agent posts"
        warnings = loader.warnings(argv=[*argv, "-report-max-age=30"])
        assert [w for w in warnings if w.startswith(told)]
        assert not [w for w in loader.warnings(argv=argv) if "report-max-age" in w]


def test_nothing_to_publish_is_a_warning(loader: Loader) -> None:
    assert loader.warnings()[1:] == [
        "no load balancer is configured: there is nothing to publish",
        "no -provider is configured: decisions are shown, nothing is published",
    ]


def test_a_password_for_etcd_in_the_open_is_warned_of(loader: Loader) -> None:
    argv = [*MINIMAL, "-agent=a,b,c", "-etcd-user=u", "-etcd-password=geheim"]
    urls = "-etcd=http://127.0.0.1:2379,https://192.0.2.1:2379,http://192.0.2.2:2379"
    told = [w for w in loader.warnings(argv=[*argv, urls]) if "in the open" in w]
    assert told == [
        "-etcd: http://192.0.2.2:2379 gets the password in the open; https was expected"
    ]
