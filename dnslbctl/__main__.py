"""Entry points of the command line: ``dnslbctl``, and ``raftadmin`` for its ``raft`` verb.

Not the place of any verb. It holds the names that the console scripts need until there are some.
"""

from __future__ import annotations

import sys


def main() -> int:
    print("dnslbctl: this build holds no commands", file=sys.stderr)
    return 1


def raftadmin() -> int:
    print("raftadmin: this build holds no commands", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
