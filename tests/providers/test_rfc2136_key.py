"""Key files as tsig-keygen writes them, and as people damage them."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

import pytest

from dnslb.errors import ConfigError
from dnslb.providers.rfc2136_key import FILE_BYTES_MAX, TsigKey, load_key, parse_key

SECRET = base64.b64encode(b"nobody may see this").decode()
WRITTEN = f"""key "dnslb-key." {{
\talgorithm hmac-sha256;
\tsecret "{SECRET}";
}};
"""


def test_key_is_read_as_tsig_keygen_writes_it() -> None:
    assert parse_key(WRITTEN) == TsigKey("dnslb-key", "hmac-sha256", b"nobody may see this")


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512"])
def test_real_tsig_keygen_is_understood(algorithm: str, tmp_path: Path) -> None:
    program = shutil.which("tsig-keygen") or shutil.which("tsig-keygen", path="/usr/sbin")
    if program is None:
        pytest.skip("there is no tsig-keygen here (Debian: bind9)")
    file = tmp_path / "tsig.key"
    command = [program, "-a", algorithm, "DNSLB-key."]
    file.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    key = load_key(file)
    assert (key.name, key.algorithm) == ("dnslb-key", algorithm)
    assert len(key.secret) >= 32


def test_comments_and_the_order_of_statements_do_not_matter() -> None:
    text = f"""// one
    # two
    /* three "
    */ key dnslb-key {{ secret "{SECRET}"; // four
      algorithm "hmac-sha512"; }} ;
    """
    assert parse_key(text) == TsigKey("dnslb-key", "hmac-sha512", b"nobody may see this")


def test_slashes_within_a_secret_are_no_comment() -> None:
    secret = base64.b64encode(b"\xff\xff\xff\xff\xff\xff").decode()
    assert "//" in secret
    assert parse_key(WRITTEN.replace(SECRET, secret)).secret == b"\xff" * 6


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (WRITTEN, "", "a statement 'key NAME"),
        ("key ", "zone ", "a statement 'key NAME"),
        ("};", "}", "does not end in '};'"),
        (f'secret "{SECRET}";', "", "no algorithm or no secret"),
        ("algorithm hmac-sha256;", "", "no algorithm or no secret"),
        ("hmac-sha256", "hmac-md5", "is none of hmac-sha256, hmac-sha384, hmac-sha512"),
        ("hmac-sha256", "hmac-sha1", "is none of hmac-sha256"),
        (SECRET, SECRET[:-3] + "!", "is not base64"),
        (SECRET, "", "is empty"),
        (f'{SECRET}"', SECRET, "never closed"),
        ("dnslb-key.", "dnslb key.", "is no DNS name"),
        ("algorithm", "algorhythm", "exactly one key"),
        (WRITTEN, WRITTEN + WRITTEN, "exactly one key"),
        ("algorithm", "algorithm hmac-sha256; algorithm", "exactly one key"),
    ],
)
def test_damaged_key_gets_a_sentence_without_the_secret(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    file = tmp_path / "tsig.key"
    file.write_text(WRITTEN.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_key(file)
    sentence = str(caught.value)
    assert expected in sentence
    assert str(file) in sentence
    assert "\n" not in sentence
    assert SECRET[:8] not in sentence
    chain: BaseException | None = caught.value
    while chain is not None:
        assert SECRET[:8] not in str(chain)
        chain = chain.__cause__


def test_file_that_cannot_be_a_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_key(tmp_path / "missing")
    with pytest.raises(ConfigError, match="directory"):
        load_key(tmp_path)
    large, binary = tmp_path / "large", tmp_path / "binary"
    large.write_bytes(b" " * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load_key(large)
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is no text"):
        load_key(binary)


def test_secret_is_in_no_repr() -> None:
    assert "nobody" not in repr(parse_key(WRITTEN))
