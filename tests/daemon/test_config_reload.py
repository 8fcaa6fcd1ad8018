"""Which differences between two configurations wait for a restart, and that the rest do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnslb.daemon import flags
from dnslb.daemon.reload import differences_needing_restart
from tests.daemon.loading import MINIMAL, Loader


def test_the_same_again(loader: Loader) -> None:
    assert differences_needing_restart(loader.load("port = 1"), loader.load("port = 1")) == ()


@pytest.mark.parametrize(
    "toml",
    [
        '[lb]\n"x.example" = ["tcp://192.0.2.1:1"]',
        'agents = ["a", "b", "c"]',
        '[guard]\nwindow = 5\nmax-withdraw-total = "10%"',
        "report-max-age = 20",
        'drift = "hold"\nadopt-existing = true',
        "zone-sync-interval-upload = 5\nzone-sync-interval-download = 5",
        "debug = true",
        "port = 8080",
    ],
)
def test_what_a_reload_puts_into_force(loader: Loader, toml: str) -> None:
    assert differences_needing_restart(loader.load(""), loader.load(toml)) == ()


def test_what_it_does_not(loader: Loader, tmp_path: Path) -> None:
    before = loader.load("port = 1\ndry-run = true\n")
    after = loader.load(
        f'port = 2\nlisten = "::1"\nprovider = "file"\nfile-dir = "{tmp_path}"\n'
        'verify-servers = "off"\nverify-timeout = "2m"'
    )
    assert differences_needing_restart(before, after) == (
        "-provider has changed from nothing to 'file': this takes effect after a restart",
        "-listen has changed from '127.0.0.1' to '::1': this takes effect after a restart",
        "-port has changed from 1 to 2: this takes effect after a restart",
        "-verify-servers has changed from nothing to off:53: this takes effect after a restart",
        "-verify-timeout has changed from 60.0 to 120.0: this takes effect after a restart",
        "-dry-run has changed from on to off: this takes effect after a restart",
        f"-file-dir has changed from nothing to '{tmp_path}': this takes effect after a restart",
    )


def test_secrets_and_settings_that_may_be_are_not_shown(loader: Loader) -> None:
    def load(secret: str) -> str:
        return (
            f'provider = "octodns"\nowner-id = "o"\noctodns-class = "a.B"\n'
            f'etcd-user = "u"\netcd-password = "{secret}"\n[octodns]\ntoken = "{secret}"'
        )

    told = differences_needing_restart(loader.load(load("geheim1")), loader.load(load("geheim2")))
    assert told == (
        "-etcd-password has changed: this takes effect after a restart",
        "[octodns] has changed: this takes effect after a restart",
    )


def test_parts_and_sockets_are_not_live() -> None:
    live = {flag.name for flag in flags.FLAGS if flag.live}
    assert live == {
        *("lb", "agent", "report-max-age", "adopt-existing", "drift", "debug"),
        *("zone-sync-interval-upload", "zone-sync-interval-download", "autodns-password"),
    }


def test_another_file_is_no_difference_by_itself(loader: Loader, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("")
    other = loader.load(argv=[*MINIMAL, f"-cfg={tmp_path}/other.toml"])
    assert differences_needing_restart(loader.load(""), other) == ()
