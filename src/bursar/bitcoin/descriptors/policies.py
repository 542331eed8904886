"""A miniscript (BIP-379) as the script expression of a descriptor, in ``wsh`` or a script tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.miniscript.encoding import fill
from bursar.bitcoin.miniscript.miniscript import Miniscript
from bursar.bitcoin.miniscript.parsing import CODE, MiniscriptParser
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from bursar.bitcoin.descriptors.keys import Key
    from bursar.bitcoin.descriptors.nodes import Change, KeyBook, Write
    from bursar.bitcoin.miniscript.context import Context
    from bursar.bitcoin.miniscript.reader import Reader

_HASH: Final = 20


@dataclass(frozen=True, slots=True)
class Policy:
    """Spending conditions as miniscript; always a sane one."""

    miniscript: Miniscript[Key]

    @property
    def name(self) -> str:
        return "miniscript"

    @property
    def keys(self) -> tuple[Key, ...]:
        return self.miniscript.keys

    def text(self, write: Write) -> str:
        return self.miniscript.write(write)

    def scripts(self, book: KeyBook) -> list[bytes]:
        tapscript = self.miniscript.context.tapscript
        columns = [book.x_only(key) if tapscript else book.column(key) for key in self.keys]
        template = self.miniscript.template
        if not columns:
            return [fill(template, _no_key)] * book.count
        return [fill(template, row.__getitem__) for row in zip(*columns, strict=True)]

    def changed(self, change: Change) -> Policy:
        return Policy(self.miniscript.changed(change))


def _no_key(number: int) -> bytes:
    raise AssertionError(number)


def parse_policy(reader: Reader, context: Context, key: Callable[[], Key]) -> Policy:
    """The miniscript at ``reader``; refused with its character unless well-typed, and with reasons unless sane."""
    start = reader.at
    checked = MiniscriptParser(reader, context, key).parse()
    found = Miniscript.of(checked, same=lambda one: _identity(one, tapscript=context.tapscript))
    if not found.sane:
        raise reader.refusal(f"this miniscript is not safe: {'; '.join(found.problems)}", start, code=CODE)
    return Policy(found)


def infer_policy(
    script: bytes, context: Context, named: Callable[[bytes], Key], by_hash: Callable[[bytes], bytes | None]
) -> Policy | None:
    """The miniscript of a script over ``named`` keys; ``None`` if it is none, or a hashed key is unknown."""
    try:
        found = Miniscript.from_script(script, context)
        keys = {key: by_hash(key) if len(key) == _HASH else key for key in found.keys}
        return Policy(found.changed(lambda key: named(_known(keys[key]))))
    except (InvalidInputError, LookupError):
        return None


def _known(key: bytes | None) -> bytes:
    if key is None:
        raise LookupError("a key is known by its hash only")
    return key


def _identity(key: Key, *, tapscript: bool) -> Hashable:
    """What expressions of one key share: their first public keys, or the text where these are hidden."""
    try:
        first = [key.column(branch, 0, 1)[0] for branch in range(key.branches or 1)]
    except InvalidInputError:
        return str(key)
    return tuple([one[1:] for one in first] if tapscript else first)
