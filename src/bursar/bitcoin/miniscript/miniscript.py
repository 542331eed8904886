"""A miniscript (BIP-379): its text, type, limits and script."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from bursar.bitcoin.miniscript import encoding, writing
from bursar.bitcoin.miniscript.decoding import decode
from bursar.bitcoin.miniscript.fragments import Fragment, K
from bursar.bitcoin.miniscript.limits import Limits, excesses, limits
from bursar.bitcoin.miniscript.parsing import MiniscriptParser
from bursar.bitcoin.miniscript.properties import letters
from bursar.bitcoin.miniscript.reader import Reader
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import parse_public_key
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bursar.bitcoin.miniscript.building import Checked
    from bursar.bitcoin.miniscript.context import Context

L = TypeVar("L")
_LONGEST: Final = 100_000
_TWICE: Final = "a key stands in it twice"


@dataclass(frozen=True, slots=True)
class Miniscript(Generic[K]):
    """Well-typed fragments over keys of one kind: bytes, or the key expressions of a descriptor.

    ``problems`` says in words what keeps it from being safe as a script of its own; it is ``sane`` without any.
    """

    context: Context
    fragments: tuple[Fragment[K], ...]
    type: str = field(compare=False)
    limits: Limits = field(compare=False, repr=False)
    problems: tuple[str, ...] = field(compare=False, repr=False)
    template: encoding.Template = field(compare=False, repr=False)

    @classmethod
    def of(cls, checked: Checked[K], *, same: Callable[[K], Any] = lambda key: key) -> Miniscript[K]:
        """From fragments that were checked; ``same`` gives what two equal keys have in common."""
        found = limits(checked.fragments, checked.context, checked.verify_is_own_opcode)
        template = encoding.template(checked.fragments, checked.context)
        problems = checked.faults()
        problems += excesses(found, encoding.script_size(template, checked.context), checked.context)
        keys = [same(key) for one in checked.fragments for key in one.keys]
        if len(set(keys)) != len(keys):
            problems.append(_TWICE)
        kind = letters(checked.types[-1])
        return cls(checked.context, checked.fragments, kind, found, tuple(problems), template)

    @staticmethod
    def parse(text: str, context: Context) -> Miniscript[bytes]:
        """From text over hexadecimal keys of 33 bytes, also x-only ones of 32 in tapscript.

        ``InvalidInputError`` (``input.descriptor.miniscript``) names the character at fault. What is well-typed and
        not safe is returned with its ``problems``: inside a descriptor it would be refused.
        """
        reader = Reader(text, "miniscript")
        if len(text) > _LONGEST:
            raise reader.refusal(
                f"the text is longer than {_LONGEST} characters", 0, code="input.descriptor.miniscript"
            )
        checked = MiniscriptParser(reader, context, lambda: _read_key(reader, context)).parse()
        if reader.next:
            raise reader.refusal("nothing may follow the expression", code="input.descriptor.miniscript")
        return Miniscript.of(checked)

    @staticmethod
    def from_script(script: bytes, context: Context, keys: Iterable[bytes] = ()) -> Miniscript[bytes]:
        """From the bytes of a script; ``InvalidInputError`` (``input.miniscript.script``) where it is no miniscript.

        ``keys`` are public keys that may stand in it as a hash only; a hash that is none of theirs stays as it is.
        """
        sized = [key[-context.key_size :] for key in keys if len(key) in (32, 33)]
        hashes = {hash160(key): key for key in sized}
        return Miniscript.of(decode(script, context, lambda hashed: hashes.get(hashed, hashed)), same=_hashed)

    @property
    def sane(self) -> bool:
        """Whether it is safe as a script of its own."""
        return not self.problems

    @property
    def keys(self) -> tuple[K, ...]:
        """Its keys in the order of its text."""
        return tuple(key for one in self.fragments for key in one.keys)

    @property
    def script(self) -> bytes:
        """The script; its keys must be bytes."""
        keys: tuple[Any, ...] = self.keys
        return encoding.fill(self.template, keys.__getitem__)

    @property
    def text(self) -> str:
        """The canonical text, keys as hexadecimal digits if they are bytes; a hash of a key stands in its place."""
        return self.write(_shown)

    def __str__(self) -> str:
        return self.text

    def write(self, write: Callable[[K], str]) -> str:
        """The canonical text with ``write`` for each key."""
        return writing.text(self.fragments, write)

    def changed(self, change: Callable[[K], L]) -> Miniscript[L]:
        """The same expression over other keys."""
        fragments = tuple(
            Fragment(one.name, one.arity, one.number, one.data, tuple([change(key) for key in one.keys]))
            for one in self.fragments
        )
        return Miniscript(self.context, fragments, self.type, self.limits, self.problems, self.template)

    def checked(self) -> None:
        """Raise ``InvalidInputError`` (``input.descriptor.miniscript``) unless it is sane."""
        if self.problems:
            raise InvalidInputError(
                f"this miniscript is not safe: {'; '.join(self.problems)}", code="input.descriptor.miniscript"
            )


def _hashed(key: bytes) -> bytes:
    return key if len(key) == 20 else hash160(key)


def _shown(key: Any) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)


def _read_key(reader: Reader, context: Context) -> bytes:
    start = reader.at
    word = reader.word()
    sizes = (64, 66) if context.tapscript else (66,)
    try:
        key = bytes.fromhex(word) if len(word) in sizes else b""
        parse_public_key(b"\x02" + key if len(key) == 32 else key)
    except ValueError as error:
        wanted = "64 or 66" if context.tapscript else "66"
        raise reader.refusal(
            f"this is no public key of {wanted} hexadecimal digits", start, code="input.descriptor.miniscript"
        ) from error
    return key[-context.key_size :]
