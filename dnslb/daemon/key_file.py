"""The TSIG key that provider bind signs with, out of the file that is named.

Read with the configuration, so that what is wrong with it is told with all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dnslb.daemon import flags as f, part_flags as p
from dnslb.daemon.layers import Values
from dnslb.daemon.problems import Findings
from dnslb.daemon.secret import is_open_to_all, open_to_all
from dnslb.errors import ConfigError

if TYPE_CHECKING:
    from dnslb.providers.rfc2136_key import TsigKey


def read_tsig_key(values: Values, findings: Findings) -> TsigKey | None:
    """The key that provider bind signs with; None without it, or when it is wrong, which is
    noted."""
    path = values[p.BIND_KEY_FILE]
    if values[f.PROVIDER] != "bind" or path is None:
        return None
    from dnslb.providers.rfc2136_key import load_key  # noqa: PLC0415 - lazy: start-up cost

    try:
        key = load_key(path)
    except ConfigError as error:
        findings.error(values.place(p.BIND_KEY_FILE), str(error))
        return None
    if is_open_to_all(path):
        findings.warn(values.place(p.BIND_KEY_FILE), open_to_all(path))
    return key
