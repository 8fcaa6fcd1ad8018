"""From the name of a provider to the provider and all that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dnslb.daemon import registry
from dnslb.daemon.registry import Publication
from dnslb.net.clock import Clock
from tests.daemon.loading import Loader

KEY = 'key "k" { algorithm hmac-sha256; secret "c2VjcmV0"; };'


def made(loader: Loader, toml: str, environ: Mapping[str, str] | None = None) -> Publication:
    publication = registry.make_publication(loader.load(toml, environ=environ), Clock())
    assert publication is not None
    return publication


async def test_none_without_a_provider(loader: Loader) -> None:
    assert registry.make_publication(loader.load(), Clock()) is None


async def test_zone_files_keep_no_marker(loader: Loader, tmp_path: Path) -> None:
    publication = made(loader, f'provider = "file"\nfile-dir = "{tmp_path}"')
    assert publication.fence is None
    assert not publication.provider.capabilities.shared
    await publication.aclose()


async def test_bind_is_fenced_unless_told_otherwise(loader: Loader, tmp_path: Path) -> None:
    key = tmp_path / "k"
    key.write_text(KEY)
    toml = (
        f'provider = "bind"\nowner-id = "o"\nbind-server = "127.0.0.1"\nbind-key-file = "{key}"\n'
    )
    publication = made(loader, toml)
    assert publication.fence is not None
    assert publication.provider.capabilities.fenced
    await publication.aclose()
    publication = made(loader, f'{toml}bind-ownership = "off"')
    assert publication.fence is None
    assert not publication.provider.capabilities.fenced
    await publication.aclose()


async def test_autodns_keeps_a_marker_and_is_not_fenced(loader: Loader) -> None:
    toml = 'provider = "autodns"\nowner-id = "o"\nautodns-username = "u"\nautodns-password = "p"'
    publication = made(loader, toml)
    assert publication.fence is not None
    assert not publication.provider.capabilities.fenced
    assert publication.provider.capabilities.calls_per_s == 2.5
    await publication.aclose()


async def test_octodns_keeps_a_marker_unless_told_otherwise(loader: Loader) -> None:
    toml = (
        'provider = "octodns"\nowner-id = "o"\noctodns-class = "a.B"\n'
        '[octodns]\ntoken = "env:TOKEN"\ndnslb-zones = ["example.org"]\n'
    )
    publication = made(loader, toml, {"TOKEN": "geheim"})
    assert publication.fence is not None
    assert not publication.provider.capabilities.fenced
    assert publication.provider.capabilities.write_s_max > 0
    assert await publication.provider.find_zone("www.example.org") == "example.org"
    await publication.aclose()
    publication = made(loader, f"{toml}dnslb-ownership = false", {"TOKEN": "geheim"})
    assert publication.fence is None
    await publication.aclose()
