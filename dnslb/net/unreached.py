"""Why nobody was reached: a failed dial as words for an operator.

Not a refusal in words of the other end, nor a handshake (`tls`). Law: of a name with several
addresses each reason is told, once.
"""

from __future__ import annotations

import os


def unreached_sentence(error: OSError) -> str:
    """Without a full stop. trio, which tries every address of a name, says only that all attempts
    failed, and keeps in the cause why each of them did."""
    tried = error.__cause__
    each = tried.exceptions if isinstance(tried, ExceptionGroup) else ()
    codes = {one.errno for one in each if isinstance(one, OSError) and one.errno}
    reasons = "; ".join(sorted(os.strerror(code) for code in codes))
    return reasons or error.strerror or str(error) or "the system does not say why"
