"""Miniscript as text (BIP-379): one pass, no recursion, every refusal with its character."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic

from bursar.bitcoin.miniscript.building import Builder, Checked, TooLarge
from bursar.bitcoin.miniscript.fragments import ARITIES, HASH_SIZES, SUGAR, WRAPPERS, Fragment, K
from bursar.bitcoin.miniscript.properties import BASE, Mistyped, letters
from bursar.bitcoin.miniscript.reader import Reader, shown
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bursar.bitcoin.miniscript.context import Context

CODE: Final = "input.descriptor.miniscript"
_HEX: Final = re.compile(r"[0-9a-fA-F]*")
_MOST_LOCK: Final = (1 << 31) - 1
_MOST_ARGUMENTS: Final = 10_000
_CHECKMULTISIG_KEYS: Final = 20
_CHECKSIGADD_KEYS: Final = 999
_TEXT_ARITIES: Final = {name: arity for name, arity in ARITIES.items() if name not in WRAPPERS} | {"and_n": 2}
_ONE_KEY: Final = {"pk": ("pk_k", True), "pkh": ("pk_h", True), "pk_k": ("pk_k", False), "pk_h": ("pk_h", False)}
_FALSE: Final = "0"
_TRUE: Final = "1"


@dataclass(slots=True)
class _Open:
    """An expression whose arguments are being read; ``wrappers`` with the place of each stand before it."""

    name: str
    start: int
    wrappers: list[tuple[str, int]]
    threshold: int = 0
    count: int = 0


class MiniscriptParser(Generic[K]):
    """Reads one expression from ``reader``; ``key`` reads a key where one must stand."""

    def __init__(self, reader: Reader, context: Context, key: Callable[[], K]) -> None:
        self._reader = reader
        self._context = context
        self._key = key
        self._builder: Builder[K] = Builder(context)

    def parse(self) -> Checked[K]:
        """The whole expression, which is of type B; the reader stands behind it."""
        start = self._reader.at
        outer: list[_Open] = []
        while True:
            opened = self._head()
            if opened is not None:
                outer.append(opened)
                continue
            if not self._close(outer):
                break
        if not self._builder.open[0] & BASE:
            raise self._refusal(
                f"a script is an expression of type B, and this is {letters(self._builder.open[0])}", start
            )
        return self._builder.finish()

    def _refusal(self, reason: str, at: int | None = None) -> InvalidInputError:
        return self._reader.refusal(reason, at, code=CODE)

    def _add(self, one: Fragment[K], at: int) -> None:
        try:
            self._builder.add(one)
        except (Mistyped, TooLarge) as error:
            raise self._refusal(str(error), at) from error

    def _head(self) -> _Open | None:
        """A fragment without arguments, finished; or the beginning of one with arguments."""
        reader = self._reader
        start = reader.at
        wrappers: list[tuple[str, int]] = []
        word = reader.word()
        if reader.accept(":"):
            for place, letter in enumerate(word, start):
                if letter not in WRAPPERS and letter not in SUGAR:
                    raise self._refusal("this is no wrapper: they are a s c d v j n t l u", place)
                wrappers.append((letter, place))
            if not wrappers:
                raise self._refusal("a wrapper is missing before the colon", start)
            start = reader.at
            word = reader.word()
        for letter, place in wrappers:
            if letter == "l":
                self._open_false(place)
        if word in (_FALSE, _TRUE) and reader.next != "(":
            self._add(Fragment(word), start)
        elif word in _TEXT_ARITIES:
            self._expect("(", f"behind {word}")
            return _Open(word, start, wrappers)
        elif word == "thresh":
            self._expect("(", "behind thresh")
            threshold = self._number(_MOST_ARGUMENTS, "the threshold")
            self._expect(",", "behind the threshold")
            return _Open(word, start, wrappers, threshold)
        else:
            self._leaf(word, start)
        self._wrap(wrappers)
        return None

    def _open_false(self, place: int) -> None:
        self._add(Fragment(_FALSE), place)

    def _expect(self, token: str, where: str) -> None:
        try:
            self._reader.expect(token, where)
        except InvalidInputError as error:
            raise InvalidInputError(error.message, code=CODE) from error

    def _number(self, most: int, what: str) -> int:
        start = self._reader.at
        try:
            number = self._reader.number(most, what)
        except InvalidInputError as error:
            raise InvalidInputError(error.message, code=CODE) from error
        if not number:
            raise self._refusal(f"{what} is at least 1", start)
        return number

    def _leaf(self, name: str, start: int) -> None:
        reader = self._reader
        if name in _ONE_KEY:
            fragment, checked = _ONE_KEY[name]
            self._expect("(", f"behind {name}")
            self._add(Fragment(fragment, keys=(self._key(),)), start)
            if checked:
                self._add(Fragment("c", 1), start)
        elif name in ("older", "after"):
            self._expect("(", f"behind {name}")
            self._add(Fragment(name, number=self._number(_MOST_LOCK, "a lock")), start)
        elif name in HASH_SIZES:
            self._expect("(", f"behind {name}")
            self._hash(name, start)
        elif name in ("multi", "multi_a"):
            self._expect("(", f"behind {name}")
            self._multi(name, start)
        elif name == "musig" and reader.next == "(":
            raise self._refusal("a script belongs here, and musig() is a key", start)
        elif reader.next == "(" or name:
            raise self._refusal(f"{shown(name)} is no fragment of miniscript", start)
        else:
            raise self._refusal("an expression is missing", start)
        self._expect(")", f"at the end of {name}()")

    def _hash(self, name: str, start: int) -> None:
        reader = self._reader
        match = _HEX.match(reader.text, reader.at)
        digits = "" if match is None else match[0]
        if len(digits) != 2 * HASH_SIZES[name]:
            raise self._refusal(f"the hash of {name}() has {2 * HASH_SIZES[name]} hexadecimal digits")
        reader.at += len(digits)
        self._add(Fragment(name, data=bytes.fromhex(digits)), start)

    def _multi(self, name: str, start: int) -> None:
        reader = self._reader
        if (name == "multi_a") is not self._context.tapscript:
            raise self._refusal(f"{name}() does not belong into {self._context.value}", start)
        most = _CHECKSIGADD_KEYS if self._context.tapscript else _CHECKMULTISIG_KEYS
        at = reader.at
        threshold = self._number(most, "the threshold")
        keys: list[K] = []
        while reader.accept(","):
            if len(keys) == most:
                raise self._refusal(f"{name}() has more than {most} keys")
            keys.append(self._key())
        if threshold > len(keys):
            raise self._refusal(f"{threshold} of {len(keys)} keys can never sign: choose 1 to {len(keys)}", at)
        self._add(Fragment(name, number=threshold, keys=tuple(keys)), start)

    def _close(self, outer: list[_Open]) -> bool:
        """Close what the expression just read completes; ``False`` if that was the outermost one."""
        reader = self._reader
        while outer:
            one = outer[-1]
            one.count += 1
            most = _TEXT_ARITIES.get(one.name, _MOST_ARGUMENTS)
            if one.count < most and reader.accept(","):
                return True
            if one.count < most and one.name != "thresh":
                raise self._refusal(f"{one.name}() has {most} arguments: a comma is missing")
            self._expect(")", f"at the end of {one.name}()")
            if one.threshold > one.count:
                raise self._refusal(f"{one.threshold} of {one.count} can never be satisfied", one.start)
            if one.name == "and_n":
                self._add(Fragment(_FALSE), one.start)
                self._add(Fragment("andor", 3), one.start)
            else:
                self._add(Fragment(one.name, one.count, one.threshold), one.start)
            outer.pop()
            self._wrap(one.wrappers)
        return False

    def _wrap(self, wrappers: list[tuple[str, int]]) -> None:
        for letter, place in reversed(wrappers):
            if letter == "t":
                self._add(Fragment(_TRUE), place)
                self._add(Fragment("and_v", 2), place)
            elif letter == "u":
                self._add(Fragment(_FALSE), place)
                self._add(Fragment("or_i", 2), place)
            elif letter == "l":
                self._add(Fragment("or_i", 2), place)
            else:
                self._add(Fragment(letter, 1), place)
