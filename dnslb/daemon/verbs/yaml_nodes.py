"""A YAML file as nodes that know their line: for reading a configuration of the Go program.

Not a loader: no tag makes an object, and a scalar is the text that stands there. What the nodes
mean is said elsewhere (`go_configuration`).

Law: what a file takes of memory and stack is bounded before it is taken, aliases included; no
sentence quotes the file, since any line of it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import yaml

from dnslb.daemon.problems import Problem

FILE_BYTES_MAX = 1024 * 1024
DEPTH_MAX = 20
NODES_MAX = 100_000
"""Aliases count as what they stand for; 10,000 endpoints are a fifth of it."""
_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp"))
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_COMMENT = re.compile(r"(?<!\S)#.*")


@dataclass(frozen=True, slots=True)
class Node:
    """One of ``text`` (a scalar), ``items`` (a list), ``entries`` (a mapping, in its order).
    ``kind``: str, int, float, bool, null or timestamp, as YAML would have it. Lines from 1.
    ``count``: how many nodes it is with all below it."""

    line: int
    end_line: int
    text: str | None = None
    kind: str = ""
    items: tuple[Node, ...] | None = None
    entries: tuple[tuple[Node, Node], ...] | None = None
    count: int = 1

    @property
    def is_null(self) -> bool:
        return self.kind == "null"


class Comment(NamedTuple):
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class YamlFile:
    name: str
    lines: tuple[str, ...]
    root: Node
    comments: tuple[Comment, ...]

    def place(self, line: int, key: str = "") -> str:
        return f"{self.name}:{line}: {key}" if key else f"{self.name}:{line}"


class _Refused(Exception):
    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line


def read_yaml(path: str) -> YamlFile | Problem:
    """The file's nodes, or why there are none."""
    name = path if path.isprintable() else repr(path)
    try:
        with open(path, "rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "this is no file name"
        return Problem(name, f"cannot be read: {why}")
    if len(content) > FILE_BYTES_MAX:
        return Problem(name, f"is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB")
    try:
        return parse_yaml(name, content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(f"{name}:{line}", "UTF-8 text was expected, which these bytes are not")


def parse_yaml(name: str, text: str) -> YamlFile | Problem:
    """``text`` as YAML; ``name`` stands for the file in sentences."""
    try:
        reading = _Reading(yaml.SafeLoader(text))
        root = reading.document()
    except _Refused as refused:
        return Problem(f"{name}:{refused.line}", str(refused))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or ""
        # What is quoted there may be part of a password.
        why = f": {said}" if said and "'" not in said and '"' not in said else ""
        return Problem(f"{name}:{mark.line + 1 if mark else 1}", f"is no valid YAML{why}")
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        line = len(_BREAK.findall(text[:position])) + 1
        return Problem(f"{name}:{line}", "is no valid YAML: a character that no text has")
    lines = tuple(_BREAK.split(text))
    return YamlFile(name, lines, root, tuple(_comments(lines, reading.spans)))


@dataclass(slots=True)
class _Reading:
    """Makes nodes of PyYAML's events, which come one by one and build nothing."""

    loader: yaml.SafeLoader
    spans: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Line → columns that belong to a scalar."""
    anchors: dict[str, Node] = field(default_factory=dict)
    total: int = 0

    def document(self) -> Node:
        self.loader.get_event()
        if self.loader.check_event(yaml.StreamEndEvent):
            raise _Refused(1, "is empty")
        self.loader.get_event()
        root = self._node(1)
        self.loader.get_event()
        if not self.loader.check_event(yaml.StreamEndEvent):
            line = self.loader.get_event().start_mark.line + 1
            raise _Refused(line, "one document was expected, here begins another")
        return root

    def _node(self, depth: int) -> Node:
        event = self.loader.get_event()
        line = event.start_mark.line + 1
        if depth > DEPTH_MAX:
            raise _Refused(line, f"lists or mappings are nested more than {DEPTH_MAX} deep")
        match event:
            case yaml.AliasEvent():
                node = self._alias(event.anchor, line)
            case yaml.ScalarEvent():
                node = self._scalar(event, line)
            case yaml.SequenceStartEvent():
                node = self._list(event, depth)
            case _:
                node = self._mapping(event, depth)
        self.total += node.count if isinstance(event, yaml.AliasEvent) else 1
        if self.total > NODES_MAX:
            raise _Refused(line, f"holds more than {NODES_MAX} values, with its aliases")
        if event.anchor is not None and not isinstance(event, yaml.AliasEvent):
            self.anchors[event.anchor] = node
        return node

    def _alias(self, anchor: str, line: int) -> Node:
        if (node := self.anchors.get(anchor)) is None:
            raise _Refused(line, "an alias names what does not stand before it")
        return replace(node, line=line, end_line=line)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Node:
        # A text in a block ends where the next line begins.
        end = max(line, event.end_mark.line + (event.end_mark.column > 0))
        for number in range(line, end + 1):
            start = event.start_mark.column if number == line else 0
            stop = event.end_mark.column if number > event.end_mark.line else FILE_BYTES_MAX
            self.spans.setdefault(number, []).append((start, stop))
        tag = event.tag
        if tag in (None, "!"):
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if tag not in _SCALARS:
            what = "a merge key (<<)" if tag == f"{_TAG}merge" else "a value with a tag"
            raise _Refused(line, f"{what} is not read here; write out what it stands for")
        return Node(line, end, event.value, kind=tag.removeprefix(_TAG))

    def _list(self, event: yaml.SequenceStartEvent, depth: int) -> Node:
        line = self._untagged(event, "seq")
        items = []
        while not self.loader.check_event(yaml.SequenceEndEvent):
            items.append(self._node(depth + 1))
        return self._closed(line, items, Node(line, line, items=tuple(items)))

    def _mapping(self, event: yaml.MappingStartEvent, depth: int) -> Node:
        line = self._untagged(event, "map")
        entries = []
        while not self.loader.check_event(yaml.MappingEndEvent):
            key = self._node(depth + 1)
            if key.text is None:
                raise _Refused(key.line, "a key is a list or a mapping; a text was expected")
            entries.append((key, self._node(depth + 1)))
        inner = [node for entry in entries for node in entry]
        return self._closed(line, inner, Node(line, line, entries=tuple(entries)))

    def _untagged(self, event: yaml.CollectionStartEvent, kind: str) -> int:
        line: int = event.start_mark.line + 1
        if event.tag not in (None, "!", _TAG + kind):
            raise _Refused(line, "a value with a tag is not read here; write it without")
        return line

    def _closed(self, line: int, inner: list[Node], node: Node) -> Node:
        """With its end: the mark behind a block stands where the next one begins."""
        event = self.loader.get_event()
        is_block = event.start_mark.index == event.end_mark.index
        end = (
            max((n.end_line for n in inner), default=line) if is_block else event.end_mark.line + 1
        )
        return replace(node, end_line=end, count=1 + sum(n.count for n in inner))


def _comments(lines: tuple[str, ...], spans: dict[int, list[tuple[int, int]]]) -> Iterator[Comment]:
    """What begins with ``#`` outside of every scalar."""
    for number, line in enumerate(lines, 1):
        if "#" not in line:
            continue
        masked = line
        for start, stop in spans.get(number, ()):
            masked = masked[:start] + "x" * len(masked[start:stop]) + masked[stop:]
        if match := _COMMENT.search(masked):
            yield Comment(number, line[match.start() :])
