"""Labels of wallets as JSON lines (BIP-329): records, reading strictly or forgivingly, writing, merging."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin import strict_json
from bursar.bitcoin.label_references import check_origin, checked_reference, same_origin
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGEST: Final = 64 << 20  # bytes of a file
LONGEST_LABEL: Final = 4096  # characters; a forgiving reader cuts longer ones
_LONGEST_LINE: Final = 64 << 10
_MOST: Final = 1_000_000
_DETAIL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_OWN: Final = ("type", "ref", "label", "origin", "spendable")
_WHAT: Final = "this label"


class LabelType(Enum):
    """What a label is attached to."""

    TX = "tx"
    ADDRESS = "addr"
    PUBLIC_KEY = "pubkey"
    INPUT = "input"
    OUTPUT = "output"
    XPUB = "xpub"
    SCAN_KEY = "spscan"


_TYPES: Final = {one.value: one for one in LabelType}


def _invalid(reason: str) -> InvalidInputError:
    return InvalidInputError(f"this label cannot be used: {reason}", code="input.labels")


@dataclass(frozen=True, slots=True)
class LabelRecord:
    """One line: ``reference`` is a txid, address, public key, ``txid:n``, xpub or scan key, as ``type`` says.

    ``label`` and ``spendable`` are ``None`` where the record says nothing about them; ``spendable`` belongs to outputs.
    ``origin`` is the abbreviated descriptor of the wallet, ``wpkh([d34db33f/84h/0h/0h])``. ``details`` are further
    fields (``height``, ``fee``, ``keypath`` …), each a name and its JSON text: kept and written, not interpreted.
    """

    type: LabelType
    reference: str
    label: str | None = None
    spendable: bool | None = None
    origin: str | None = None
    details: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", checked_reference(self.type.value, self.reference))
        if self.label is not None and not _showable(self.label):
            raise _invalid(f"a label is one line of at most {LONGEST_LABEL} characters, none of them invisible")
        if self.spendable is not None and (self.type is not LabelType.OUTPUT or type(self.spendable) is not bool):
            raise _invalid("spendable is true or false, and belongs to outputs only")
        if self.origin is not None:
            check_origin(self.origin)
        if any(not _DETAIL.fullmatch(name) or name in _OWN for name, _ in self.details):
            raise _invalid("a further field has a plain name of its own")

    @property
    def place(self) -> tuple[str, str]:
        """What it is about; two records with one place speak about the same thing, unless their origins differ."""
        return self.type.value, self.reference

    def to_json(self) -> dict[str, Any]:
        """The object of its line."""
        found: dict[str, Any] = {"type": self.type.value, "ref": self.reference}
        said = (("label", self.label), ("origin", self.origin), ("spendable", self.spendable))
        found |= {name: value for name, value in said if value is not None}
        return found | {name: _detail(text) for name, text in self.details}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LabelRecord:
        """The reverse; ``InvalidInputError`` (``input.labels``) for a record that breaks a rule of BIP-329."""
        if not isinstance(data, dict) or not isinstance(data.get("type"), str) or not isinstance(data.get("ref"), str):
            raise _invalid("type and ref are texts, and both must be there")
        kind = _TYPES.get(data["type"])
        if kind is None:
            raise InvalidInputError(f"no label type is called {data['type'][:40]!r}", code="input.labels.type")
        for name in ("label", "origin"):
            if name in data and not isinstance(data[name], str):
                raise _invalid(f"its {name} is not a text")
        if "spendable" in data and type(data["spendable"]) is not bool:
            raise _invalid('spendable is true or false, without quotation marks: "false" is a text')
        details = tuple((name, strict_json.write(value)) for name, value in data.items() if name not in _OWN)
        return cls(kind, data["ref"], data.get("label"), data.get("spendable"), data.get("origin"), details)


@dataclass(frozen=True, slots=True)
class LabelRemark:
    """What a reader had to overlook: ``line`` counts from 1."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The records of a file, and what was overlooked in reading it."""

    records: tuple[LabelRecord, ...]
    remarks: tuple[LabelRemark, ...] = ()


def read_labels(data: bytes | str, *, forgiving: bool = False) -> LabelFile:
    """Read a file of at most 64 MiB and a million records.

    Strict: the first line that breaks a rule raises ``InvalidInputError`` (``input.labels``) with its number; records
    of a type nobody defined are passed over and remarked, as BIP-329 demands. Forgiving: such lines are passed over
    too, long labels are cut and invisible characters taken out, each with a remark; a file without one usable record
    still raises.
    """
    text = strict_json.decoded(data, what="the label file", code="input.labels", largest=LARGEST)
    records: list[LabelRecord] = []
    remarks: list[LabelRemark] = []
    seen: dict[tuple[str, str, str | None], tuple[int, LabelRecord]] = {}
    for number, line in _lines(text, forgiving):
        try:
            record = _record(line, number, remarks, forgiving)
            key = (*record.place, None if record.origin is None else same_origin(record.origin))
            first = seen.setdefault(key, (number, record))
            if first[1] is not record and first[1] != record:
                raise _invalid(f"line {first[0]} says something else about the same thing")
        except InvalidInputError as error:
            if not forgiving and error.code != "input.labels.type":
                raise InvalidInputError(f"label file, line {number}: {error.message}", code=error.code) from error
            remarks.append(LabelRemark(number, error.message))
            continue
        if first[1] is record:
            records.append(record)
            if len(records) > _MOST:
                raise _invalid(f"the file holds more than {_MOST} records")
    if forgiving and remarks and not records:
        raise _invalid(f"no line of the file is a label; {remarks[0]}")
    return LabelFile(tuple(records), tuple(remarks))


def write_labels(records: Iterable[LabelRecord]) -> bytes:
    """The file: one object on each line, UTF-8."""
    return "".join([strict_json.write(one.to_json()) + "\n" for one in records]).encode()


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One thing that an import changes: what was said about it before (``None``: nothing) and what is said now."""

    before: LabelRecord | None
    after: LabelRecord


def merge(
    known: Iterable[LabelRecord], incoming: Iterable[LabelRecord], *, keep: bool = False
) -> tuple[LabelChange, ...]:
    """What taking ``incoming`` in would change. What is newer wins, or with ``keep`` what is known.

    Fields are merged one by one: a record that does not speak of ``label`` or ``spendable`` leaves them as they are, an
    empty label takes the label away. With ``keep`` only what was open is filled in. Frozen coins are special: whoever
    wins, a coin is thawed only by a record that says ``spendable: true``.
    """
    state = {one.place: one for one in known}
    changed: dict[tuple[str, str], LabelRecord | None] = {}
    for one in incoming:
        before = state.get(one.place)
        after = one if before is None else _merged(before, one, keep)
        if after.label == "" and (before is None or not before.label):
            after = replace(after, label=None)
        if after.label is None and after.spendable is None and before is None:
            continue  # it takes a label away where none is
        if after != before:
            changed.setdefault(one.place, before)
            state[one.place] = after
    return tuple(LabelChange(before, state[place]) for place, before in changed.items() if state[place] != before)


def _merged(before: LabelRecord, incoming: LabelRecord, keep: bool) -> LabelRecord:
    older, newer = (incoming, before) if keep else (before, incoming)
    details = dict(older.details) | dict(newer.details)
    return replace(
        newer,
        label=older.label if newer.label is None else newer.label,
        spendable=older.spendable if newer.spendable is None else newer.spendable,
        origin=newer.origin or older.origin,
        details=tuple(details.items()),
    )


def _showable(text: str) -> bool:
    return isinstance(text, str) and len(text) <= LONGEST_LABEL and (text.isprintable() or not _invisible(text))


def _invisible(text: str) -> bool:
    # joiners make up emoji and many scripts; every other format or control character can hide or turn text
    return any(not one.isprintable() and one not in "\u200c\u200d" for one in text)


def _detail(text: str) -> Any:
    return strict_json.parse(text, what="a further field", code="input.labels", largest=_LONGEST_LINE, deepest=6)


def _lines(text: str, forgiving: bool) -> Iterator[tuple[int, str]]:
    if forgiving:
        text = text.removeprefix("\ufeff")
    number, start = 0, 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        number += 1
        line = text[start:end]
        start = end + 1
        if forgiving:
            line = line.strip()
            if not line:
                continue
        yield number, line


def _record(line: str, number: int, remarks: list[LabelRemark], forgiving: bool) -> LabelRecord:
    data = strict_json.parse(line, what=_WHAT, code="input.labels", largest=_LONGEST_LINE, deepest=6)
    if forgiving and isinstance(data, dict):
        data = _mended(data, number, remarks)
    return LabelRecord.from_json(data)


def _mended(data: dict[str, Any], number: int, remarks: list[LabelRemark]) -> dict[str, Any]:
    mended = {name: value for name, value in data.items() if not (name in _OWN and value is None)}
    mended = {name: value for name, value in mended.items() if name in _OWN or _DETAIL.fullmatch(name)}
    label, spendable = mended.get("label"), mended.get("spendable")
    if isinstance(label, str) and not _showable(label):
        visible = "".join([one for one in label if not _invisible(one)])[:LONGEST_LABEL]
        mended["label"] = visible
        remarks.append(LabelRemark(number, "its label was cut, or held invisible characters"))
    if isinstance(spendable, str) and spendable in ("true", "false"):
        mended["spendable"] = spendable == "true"
        remarks.append(LabelRemark(number, f'spendable was the text "{spendable}"'))
    if "spendable" in mended and mended.get("type") != LabelType.OUTPUT.value:
        del mended["spendable"]
        remarks.append(LabelRemark(number, "spendable belongs to outputs only and was passed over"))
    if "origin" in mended:
        try:
            check_origin(mended["origin"])
        except InvalidInputError as error:
            del mended["origin"]
            remarks.append(LabelRemark(number, error.message))
    return mended
