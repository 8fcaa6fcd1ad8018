"""Files with secrets: the TSIG key is read with the configuration; who can read them is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dnslb.daemon.reload import differences_needing_restart
from dnslb.daemon.verbs.check import run
from tests.daemon.loading import Loader

SECRET = "c2VjcmV0LW9mLXRoaXJ0eS10d28tY2hhcmFjdGVycw=="
KEY = f'key "dnslb-key" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'
BIND = 'provider = "bind"\nowner-id = "o"\nbind-server = "127.0.0.1"\nbind-key-file = "{}"\n'
AUTODNS = 'provider = "autodns"\nowner-id = "o"\nautodns-username = "u"\nautodns-password = "{}"\n'


@pytest.fixture
def key_file(tmp_path: Path) -> Callable[[str, int], Path]:
    def write(text: str, mode: int = 0o600) -> Path:
        path = tmp_path / "tsig.key"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


KeyFile = Callable[..., Path]


def test_the_key_is_read_with_the_configuration(loader: Loader, key_file: KeyFile) -> None:
    config = loader.load(BIND.format(key_file(KEY)))
    assert config.bind is not None
    assert (config.bind.key.name, config.bind.key.algorithm) == ("dnslb-key", "hmac-sha256")
    assert SECRET in {secret.reveal() for secret in config.secrets}
    assert SECRET not in repr(config)
    assert not [w for w in config.warnings if "bind-key-file" in w]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a statement 'key NAME { ... };' was expected"),
        (KEY.replace("hmac-sha256", "hmac-md5"), "the algorithm 'hmac-md5'"),
        (KEY.replace(SECRET, f"{SECRET}?"), "is not base64"),
    ],
)
def test_a_key_that_cannot_sign_is_told_with_its_line(
    loader: Loader, key_file: KeyFile, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    (problem,) = loader.problems(BIND.format(key_file(text)))
    assert problem.startswith("dnslb.toml:4: bind-key-file: the key file tsig.key")
    assert told in problem
    argv = ["-cfg", str(loader.file), "-election=singleton", "--json"]
    assert run(argv, {}) == 1
    shown = capsys.readouterr().out
    assert told in json.loads(shown)["errors"][0]["sentence"]
    assert SECRET not in shown + problem


def test_a_missing_key_is_told_with_its_line(loader: Loader, tmp_path: Path) -> None:
    (problem,) = loader.problems(BIND.format(tmp_path / "none"))
    assert problem.startswith("dnslb.toml:4: bind-key-file: the key file none cannot be read: ")


def test_a_key_for_all_to_read_is_a_warning(loader: Loader, key_file: KeyFile) -> None:
    def warned(mode: int) -> list[str]:
        told = loader.warnings(BIND.format(key_file(KEY, mode)))
        return [text for text in told if "bind-key-file" in text]

    (warning,) = warned(0o644)
    assert warning.startswith("dnslb.toml:4: bind-key-file: every user of this machine can read")
    assert warned(0o640) == []


def test_a_password_for_all_to_read_is_a_warning(loader: Loader, key_file: KeyFile) -> None:
    def warned(password: str, mode: int = 0o600) -> list[str]:
        loader.file.touch()
        loader.file.chmod(mode)
        told = loader.warnings(AUTODNS.format(password), environ={"PW": "geheim-1"})
        assert "geheim" not in "".join(told)
        return [text for text in told if "autodns-password" in text]

    in_file = f"file:{key_file('geheim-2', 0o604)}"
    assert "can read 'tsig.key'" in warned(in_file)[0]
    key_file("geheim-2", 0o600)
    assert warned(in_file) == []
    assert warned("env:PW", 0o644) == []
    assert "can read 'dnslb.toml'" in warned("geheim-3", 0o644)[0]
    assert warned("geheim-3") == []


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("http://127.0.0.1:8080/v1", True),
        ("http://[::1]/v1", True),
        ("https://api.demo.autodns.com/v1", True),
        ("http://api.demo.autodns.com/v1", False),
    ],
)
def test_a_password_goes_over_tls_or_loopback(loader: Loader, url: str, fits: bool) -> None:
    told = loader.problems(AUTODNS.format("env:PW") + f'autodns-url = "{url}"', environ={"PW": "x"})
    place = "dnslb.toml:5: autodns-url: https was expected: "
    assert [text.startswith(place) for text in told] == ([] if fits else [True])


def test_a_new_key_waits_for_a_restart(loader: Loader, key_file: KeyFile) -> None:
    toml = BIND.format(key_file(KEY))
    old = loader.load(toml)
    assert differences_needing_restart(old, loader.load(toml)) == ()
    key_file(KEY.replace("dnslb-key", "other-key"))
    (sentence,) = differences_needing_restart(old, loader.load(toml))
    assert "tsig.key has changed" in sentence
