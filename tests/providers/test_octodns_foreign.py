"""Foreign classes and what they raise: what is said of them, and whether to try again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dnslb.errors import ProviderRefusal
from dnslb.providers import octodns_foreign
from dnslb.providers.octodns_foreign import Foreign
from dnslb.providers.octodns_wire import ListZones, ProviderClass, ReadZone
from dnslb.providers.octodns_worker import Pass
from tests.doubles.octodns_shelf import NAME
from tests.providers.octodns_stage import WWW, ZONE, Script, Stage

TASK = ReadZone(ZONE, frozenset({WWW.name}))


def refusal(name: str, **settings: Any) -> str:
    with pytest.raises((ProviderRefusal, Foreign)) as raised:
        Pass(ProviderClass(name, settings, "zone"), Script()).run(ListZones())
    error = raised.value
    if isinstance(error, Foreign):
        assert error.failed.kind == "refused"
        return f"{error.failed.sentence}: {error.failed.detail}"
    return str(error)


def test_what_is_missing_is_said_with_what_to_install() -> None:
    assert refusal("octodns_nowhere.NowhereProvider") == (
        "The package octodns_nowhere of the class octodns_nowhere.NowhereProvider is not "
        "installed: pip install 'dnslb[octodns]' octodns-nowhere."
    )
    assert refusal("octodns_bind.nowhere.X") == (
        "The module octodns_bind.nowhere of the class octodns_bind.nowhere.X is not installed: "
        "pip install 'dnslb[octodns]' octodns-bind."
    )
    assert refusal("octodns_bind.Rfc2137Provider") == (
        "The module octodns_bind has no class Rfc2137Provider; there is BindProvider, "
        "Rfc2136Provider, ZoneFileProvider."
    )
    assert "cannot be written to" in refusal("octodns_bind.AxfrSource")
    assert "cannot be written to" in refusal("octodns_bind.isdir")


def test_octodns_itself_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert refusal("octodns_route53.Route53Provider") == (
        "octoDNS is not installed: pip install 'dnslb[octodns]' octodns-route53."
    )
    assert refusal("octodns.provider.yaml.YamlProvider") == (
        "octoDNS is not installed: pip install 'dnslb[octodns]'."
    )


def test_a_module_that_a_class_needs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "octodns_needy.py").write_text("import boto17\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert refusal("octodns_needy.X") == (
        "The class octodns_needy.X needs the module boto17, which is not installed."
    )


def test_settings_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    said = refusal(NAME, path=str(tmp_path), pat="x")
    assert said.startswith(f"{NAME} refuses its settings in [octodns]: TypeError: ")
    assert "'pat'" in said


def test_credentials_that_are_refused_are_no_matter_of_time(tmp_path: Path) -> None:
    with pytest.raises(Foreign) as raised:
        Stage(tmp_path, fault="unauthorized at populate").run(TASK)
    assert raised.value.failed.kind == "refused"
    with pytest.raises(Foreign) as raised:
        Stage(tmp_path, fault="offline").run(TASK)
    assert raised.value.failed.kind == "temporary"


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("HTTPError", 403, "refused"),
        ("HTTPError", 401, "refused"),
        ("HTTPError", 500, "temporary"),
        ("SupportsException", None, "refused"),
        ("CloudflareAuthenticationError", None, "refused"),
        ("ConnectTimeout", None, "temporary"),
    ],
)
def test_what_trying_again_cannot_help_is_told_from_the_rest(
    name: str, status: int | None, kind: str
) -> None:
    error = type(name, (Exception,), {"response": SimpleNamespace(status_code=status)})
    with pytest.raises(Foreign) as raised, octodns_foreign.foreign("It failed"):
        raise error
    assert raised.value.failed.kind == kind


def test_an_exception_that_cannot_be_shown_has_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    with pytest.raises(Foreign) as raised, octodns_foreign.foreign("It failed"):
        raise Mute
    assert (raised.value.failed.sentence, raised.value.failed.detail) == ("It failed", "Mute")
