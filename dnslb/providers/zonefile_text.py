"""An RFC 1035 zone file as a row of entries: text as it stands, and what dnspython says it means.

Not a parser of records: dnspython alone decides what the file means. This module cuts the same
text into logical entries (parentheses, quotes and comments respected) and holds the two against
each other; where they disagree the file is refused. Pure: text in, values out.

Law: the entries' texts joined are the file, byte for byte (one character is one byte).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, cast

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.ttl
import dns.zonefile

from dnslb.errors import ProviderRefusal
from dnslb.model.names import is_within

BYTES_MAX = 64 * 1024 * 1024
GENERATED_MAX = 65_536
ADDRESS_TYPES = ("A", "AAAA")
_KEPT_VALUES = frozenset({"A", "AAAA", "CNAME", "SOA"})
_CUT_TYPES = frozenset({"NS", "DNAME"})
_SIGNED_TYPES = frozenset({"RRSIG", "NSEC", "NSEC3", "ZONEMD"})
_DIRECTIVES = ("$ORIGIN", "$TTL", "$GENERATE")
_SPECIAL = re.compile(r'[()";\\]')
_PIECE = re.compile(r'"(?:[^"\\\n]|\\.)*"|;[^\n]*|\\[^\n]|[()\n]')
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|;[^\n]*|(?:[^\s()";\\]|\\.)+')
_GENERATE = re.compile(
    r"\$GENERATE[ \t]+(\d{1,10})-(\d{1,10})(?:/(\d{1,10}))?[ \t]+\S", re.IGNORECASE
)

Kind = Literal["gap", "directive", "generate", "record"]


class Entry(NamedTuple):
    """One logical entry with the line end that closes it, or a gap (blank or comment lines).

    ``owner`` without final dot, lower case; empty where there is none or it lies outside the
    zone. ``value`` is kept for A, AAAA, CNAME and SOA. ``origin``: what a record's relative
    names are relative to. Where no $TTL is in force: ``stated_ttl`` is the TTL that the entry
    states itself; if none, ``borrowed_ttl`` is the last one stated before it ("" if none was),
    which has to stay so for the entry to keep its meaning.
    """

    text: str
    kind: Kind
    owner: str = ""
    rtype: str = ""
    ttl: int = 0
    value: str = ""
    origin: str = ""
    borrowed_ttl: str | None = None
    stated_ttl: str | None = None

    @property
    def inherits_owner(self) -> bool:
        return self.text[0] in " \t"


class Record(NamedTuple):
    """What dnspython made of an entry; ``end``: where it had read to (0: not kept)."""

    end: int
    owner: str
    rtype: str
    ttl: int
    value: str
    origin: str


class ZoneText(NamedTuple):
    """A whole file. ``generated``: what $GENERATE makes of the types that are kept. ``cuts``:
    owner and type of the delegations and DNAMEs in it. ``signed``: a type that says that the
    file was signed before it was put here, or "".
    """

    zone: str
    entries: tuple[Entry, ...]
    generated: tuple[Record, ...]
    newline: str
    cuts: Mapping[str, str]
    signed: str

    @property
    def text(self) -> str:
        return "".join(entry.text for entry in self.entries)

    def line_of(self, position: int) -> int:
        """The line on which the entry at ``position`` begins."""
        return 1 + sum(entry.text.count("\n") for entry in self.entries[:position])


def parse(text: str, zone: str, place: str) -> ZoneText:
    """Reads a whole zone file. Raises `ProviderRefusal` with ``place`` and line for what is no
    zone file, what cannot be followed ($INCLUDE), and what has no SOA or more than one."""
    readable = text.replace("\r\n", " \n")
    chunks = list(_split(readable))
    _refuse_what_cannot_be_rewritten(readable, chunks, place)
    records = _read(readable, zone, place)
    entries, generated = _entries(text, chunks, records, zone, place)
    soas = [e for e in entries if e.rtype == "SOA"]
    if len(soas) != 1 or soas[0].owner != zone:
        found = "no SOA record" if not soas else "an SOA record at another name, or several"
        raise ProviderRefusal(f"{place} has {found}; one at {zone} was expected")
    cuts = {r.owner: r.rtype for r in records if _is_cut(r, zone)}
    signed = next((r.rtype for r in records if r.rtype in _SIGNED_TYPES), "")
    newline = "\r\n" if "\r\n" in text else "\n"
    return ZoneText(zone, entries, generated, newline, cuts, signed)


def parse_line(line: str, origin: str, zone: str, place: str) -> Entry:
    """The meaning of one entry alone, with relative names below ``origin``."""
    text = f"$ORIGIN {origin.removesuffix('.')}.\n{line}"
    records = _read(text.replace("\r\n", " \n"), zone, place)
    if len(records) != 1 or records[0].end != len(text):
        raise ProviderRefusal(f"{place}: {line.strip()[:80]!r} was to be one record and is not")
    record = records[0]
    return Entry(line, "record", record.owner, record.rtype, record.ttl, record.value, origin)


def _is_cut(record: Record, zone: str) -> bool:
    return record.rtype in _CUT_TYPES and (record.owner != zone or record.rtype == "DNAME")


def _split(text: str) -> Iterator[tuple[int, int]]:
    """Spans of logical entries; a line break within parentheses ends none."""
    start = position = 0
    length = len(text)
    while position < length:
        end = text.find("\n", position) + 1 or length
        if _SPECIAL.search(text, position, end):
            end = _end_of_entry(text, position)
        yield start, end
        start = position = end


def _end_of_entry(text: str, position: int) -> int:
    depth = 0
    for piece in _PIECE.finditer(text, position):
        match piece.group():
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case "\n" if depth <= 0:
                return piece.end()
    return len(text)


def _refuse_what_cannot_be_rewritten(
    text: str, chunks: Iterable[tuple[int, int]], place: str
) -> None:
    bad = re.search(r"[\r\0]", text)
    if bad:
        what = "a carriage return that ends no line" if bad.group() == "\r" else "a NUL byte"
        raise ProviderRefusal(f"{place}, line {_line(text, bad.start())}: {what}")
    for start, end in chunks:
        if text[start] != "$":
            continue
        line = text[start:end]
        word = line.split(maxsplit=1)[0].upper()
        at = f"{place}, line {_line(text, start)}"
        if word == "$INCLUDE":
            raise ProviderRefusal(
                f"{at}: $INCLUDE is not followed, since records elsewhere cannot be kept in "
                "step; put the included records into this file"
            )
        if word not in _DIRECTIVES:
            raise ProviderRefusal(f"{at}: {word[:40]} is none of {', '.join(_DIRECTIVES)}")
        if word == "$GENERATE":
            _check_generate(line, at)


def _check_generate(line: str, at: str) -> None:
    form = _GENERATE.match(line)
    if form is None:
        raise ProviderRefusal(f"{at}: '$GENERATE start-stop[/step] ...' on one line was expected")
    start, stop, step = int(form[1]), int(form[2]), int(form[3] or 1)
    if step < 1 or stop < start or (stop - start) // step >= GENERATED_MAX:
        raise ProviderRefusal(f"{at}: $GENERATE may make at most {GENERATED_MAX} records")


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


class _Recorder:
    """What dnspython's reader puts records into: notes each with where its entry ended."""

    def __init__(self, origin: dns.name.Name, stream: io.StringIO) -> None:
        self.manager = self
        self.records: list[Record] = []
        self.reader: dns.zonefile.Reader | None = None
        self._origin = origin
        self._stream = stream
        self._names: dict[dns.name.Name, str] = {}

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self._origin, False, self._origin

    def check_put_rdataset(self, check: object) -> None:
        """A CNAME beside other data is shown, not refused: it may be at somebody else's name."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """Where relative names belong is the reader's own affair."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        assert self.reader is not None
        rtype = dns.rdatatype.to_text(rdata.rdtype)
        value = rdata.to_text() if rtype in _KEPT_VALUES else ""
        origin = self._to_text(self.reader.current_origin)
        end = self._stream.tell()
        self.records.append(Record(end, self._to_text(name), rtype, ttl, value, origin))

    def _to_text(self, name: dns.name.Name | None) -> str:
        assert name is not None
        text = self._names.get(name)
        if text is None:
            text = self._names[name] = to_text(name)
        return text


def to_text(name: dns.name.Name) -> str:
    """A name as dnslb writes it: lower case, without the final dot."""
    return name.to_text(omit_final_dot=True).lower()


def _read(text: str, zone: str, place: str) -> list[Record]:
    origin = dns.name.from_text(zone + ".")
    # One character is one byte, so that the stream's position is a place in the file.
    stream = io.StringIO(text, newline="\n")
    recorder = _Recorder(origin, stream)
    reader = dns.zonefile.Reader(
        dns.tokenizer.Tokenizer(stream, place),
        dns.rdataclass.IN,
        cast(Any, recorder),
        allow_directives=[word.removeprefix("$") for word in _DIRECTIVES],
    )
    recorder.reader = reader
    try:
        reader.read()
    except (dns.exception.DNSException, ValueError, OverflowError) as e:
        line = min(reader.tok.where()[1], _line(text, len(text)))
        reason = str(e).removeprefix(f"{place}:{line}: ") or type(e).__name__
        raise ProviderRefusal(f"{place}, line {line}: no valid record ({reason})") from e
    return recorder.records


def _entries(
    text: str, chunks: Iterable[tuple[int, int]], records: list[Record], zone: str, place: str
) -> tuple[tuple[Entry, ...], tuple[Record, ...]]:
    """Holds the chunks against what dnspython read, entry by entry."""
    entries: list[Entry] = []
    generated: list[Record] = []
    taken = 0
    origin, default_ttl, last_ttl, after_generate = zone, False, "", False
    for start, end in chunks:
        chunk = text[start:end]
        kind = _kind(chunk)
        first = taken
        while taken < len(records) and records[taken].end <= end:
            taken += 1
        found = records[first:taken]
        if kind == "gap" and not found:
            entries.append(Entry(chunk, kind, origin=origin))
            continue
        if kind == "directive":
            origin = _origin_after(chunk, origin)
            default_ttl = default_ttl or chunk[:4].upper() == "$TTL"
        if not _agree(chunk, kind, found, end, origin, zone) or (
            kind == "record" and after_generate and chunk[0] in " \t"
        ):
            raise ProviderRefusal(
                f"{place}, line {_line(text, start)}: this can be read in two ways; write each "
                "record on a line of its own, with its name"
            )
        stated, borrowed = None, None
        if kind == "record":
            after_generate = False
            if not default_ttl:
                stated = _stated_ttl(chunk)
                borrowed = last_ttl if stated is None else None
                last_ttl = last_ttl if stated is None else stated
        elif kind == "generate":
            # Whether it states a TTL or not: what follows has to keep following this very text.
            borrowed = None if default_ttl else last_ttl
            last_ttl, after_generate = chunk, True
            generated += (r._replace(end=0) for r in found if r.rtype in _KEPT_VALUES)
        if kind == "record" and found:
            _, owner, rtype, ttl, value, _ = found[0]
            entries.append(Entry(chunk, kind, owner, rtype, ttl, value, origin, borrowed, stated))
        else:  # also a record outside the zone, which dnspython and name servers pass over
            entry = Entry(chunk, kind, origin=origin, borrowed_ttl=borrowed, stated_ttl=stated)
            entries.append(entry)
    return tuple(entries), tuple(generated)


def _agree(chunk: str, kind: Kind, found: list[Record], end: int, origin: str, zone: str) -> bool:
    """Whether dnspython saw in this chunk what its form promises."""
    if kind == "generate":
        return all(r.origin == origin for r in found)
    if kind != "record":
        return not found
    if found:
        return len(found) == 1 and found[0].end == end and found[0].origin == origin
    if chunk[0] in " \t":
        return True  # like the one before it, which lies outside the zone
    start, stop = word_spans(chunk)[0]
    return not is_within(_absolute(chunk[start:stop], origin), zone)


def _origin_after(directive: str, origin: str) -> str:
    if directive[:7].upper() != "$ORIGIN":
        return origin
    start, stop = word_spans(directive)[1]
    return _absolute(directive[start:stop], origin)


def _absolute(word: str, origin: str) -> str:
    return to_text(dns.name.from_text(word, dns.name.from_text(origin)))


def _kind(chunk: str) -> Kind:
    if chunk[0] == "$":
        return "generate" if chunk[:9].upper() == "$GENERATE" else "directive"
    first = chunk.lstrip(" \t\r\n")[:1]
    return "gap" if first in ("", ";") else "record"


def _stated_ttl(chunk: str) -> str | None:
    """The TTL that a record states itself, in seconds."""
    spans = word_spans(chunk)
    first = 0 if chunk[0] in " \t" else 1
    for word in (chunk[a:b] for a, b in spans[first : first + 2]):
        if word.upper() in ("IN", "CLASS1"):
            continue
        try:
            return str(dns.ttl.from_text(word))
        except dns.exception.SyntaxError:
            return None
    return None


def word_spans(chunk: str) -> list[tuple[int, int]]:
    """Where the words of an entry stand, comments and parentheses left out."""
    return [m.span() for m in _TOKEN.finditer(chunk) if m.group()[0] != ";"]
