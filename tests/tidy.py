"""What *tidy* means, as functions from a source file to the list of what is wrong in it.

Not the tests themselves: tests/test_architecture.py holds the tree against these rules, and
tests/test_tidy.py holds the rules against sources that break them.

Law: a rule sees one file at a time and names each offence by path and line.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100

# Spelled in halves, so that this file does not offend against itself.
_HALVES = (("TO", "DO"), ("FIX", "ME"), ("X", "XX"), ("HA", "CK"))
POSTPONED = re.compile("|".join(rf"\b{a}{b}\b" for a, b in _HALVES))
NOT_WRITTEN = "NotImplemented" + "Error"
# Roots below which people and build machines keep checkouts; no installed system has them.
BUILD_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|work|workspace|Users|github)/[\w.]")
VAGUE_NAME = re.compile(r"manager|utils?(?![a-z])|helpers?(?![a-z])|common(?![a-z])")

# Of `time` only this reads no clock; gmtime and the like read one when called without arguments.
CLOCKLESS_TIME = frozenset({"sleep", "struct_time"})
CLOCK_READERS = frozenset(
    f"{module}.{name}"
    for module, names in {
        "datetime.datetime": ("now", "utcnow", "today"),
        "datetime.date": ("today",),
        "trio": ("current_time",),
        "trio.lowlevel": ("current_clock",),
        "os": ("times",),
        "asyncio.get_running_loop()": ("time",),
        "asyncio.get_event_loop()": ("time",),
    }.items()
    for name in names
)


@dataclass(frozen=True)
class Source:
    """One file of the project: its path from the root, and its text."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)


def project_files(*pathspecs: str, tracked_only: bool = False) -> list[str]:
    """Paths from the root, as git knows them; new files count unless `tracked_only`."""
    which = ["--cached"] if tracked_only else ["--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        # The checkout of a CI job may belong to another user than the one that runs the tests.
        ["git", "-c", "safe.directory=*", "ls-files", "-z", *which, "--", *pathspecs],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = sorted(set(filter(None, listed.split("\0"))))
    return [path for path in paths if (ROOT / path).is_file()]


def sources(*pathspecs: str) -> list[Source]:
    """Text files that match; what is not text is left out."""
    found = []
    for path in project_files(*pathspecs):
        data = (ROOT / path).read_bytes()
        if b"\0" not in data:
            found.append(Source(path, data.decode()))
    return found


def missing_header(source: Source) -> Iterator[str]:
    if source.path in {"dnslb/__init__.py", "dnslbctl/__init__.py"}:
        return
    if source.path.endswith("/__init__.py") and not source.text.strip():
        return
    if not ast.get_docstring(source.tree):
        yield f"{source.path}:1: no header that says what the module is"


def more_than_a_version(source: Source) -> Iterator[str]:
    match source.tree.body:
        case [ast.Assign(targets=[ast.Name("__version__")], value=ast.Constant(str()))]:
            return
    yield f"{source.path}:1: holds more than a version"


def long_file(source: Source) -> Iterator[str]:
    if len(source.lines) > FILE_LINES_MAX:
        yield f"{source.path}:{len(source.lines)}: more than {FILE_LINES_MAX} lines"


def long_function(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > FUNCTION_LINES_MAX:
                yield f"{source.path}:{node.lineno}: {node.name} has {count} lines"


def long_line(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.lines, start=1):
        if len(line) > COLUMNS_MAX:
            yield f"{source.path}:{number}: {len(line)} columns"


def bare_except(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            yield f"{source.path}:{node.lineno}: bare except"


def postponed_work(source: Source) -> Iterator[str]:
    yield from _matching_lines(source, POSTPONED)


def unwritten_code(source: Source) -> Iterator[str]:
    yield from _matching_lines(source, re.compile(NOT_WRITTEN))


def build_path(source: Source) -> Iterator[str]:
    yield from _matching_lines(source, BUILD_PATH)


def vague_name(path: str) -> bool:
    return VAGUE_NAME.search(Path(path).name.lower()) is not None


def clock_reads(source: Source, allowed: frozenset[str] = frozenset()) -> Iterator[str]:
    """Names that read a clock, however they were imported; `allowed` as in ``time.monotonic``."""
    imported = _imported_names(source.tree)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            names = [f"time.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute | ast.Name):
            names = [_resolve(node, imported)]
        else:
            continue
        for name in names:
            if _reads_clock(name) and name not in allowed:
                yield f"{source.path}:{node.lineno}: {name}"


def _reads_clock(name: str) -> bool:
    module, _, last = name.rpartition(".")
    return name in CLOCK_READERS or (module == "time" and last not in CLOCKLESS_TIME)


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """Local name → what it stands for, over all imports of the file wherever they stand."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                names[alias.asname or whole] = whole
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _resolve(node: ast.expr, imported: dict[str, str]) -> str:
    match node:
        case ast.Name(name):
            return imported.get(name, "")
        case ast.Attribute(value, attr):
            base = _resolve(value, imported)
            return f"{base}.{attr}" if base else ""
        case ast.Call(func, [], []):
            base = _resolve(func, imported)
            return f"{base}()" if base else ""
    return ""


def _matching_lines(source: Source, pattern: re.Pattern[str]) -> Iterator[str]:
    for number, line in enumerate(source.lines, start=1):
        if found := pattern.search(line):
            yield f"{source.path}:{number}: {found[0]}"
