"""Descriptor templates of wallet policies (BIP-388), as far as the vendor's app reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST: Final = 512
_DEEPEST: Final = 16
_DEEPEST_TREE: Final = 9
_MOST_KEYS: Final = 16
_MOST_MUSIG: Final = 5
_WRAPPERS: Final = frozenset("asctdvjnlu")
_ONE_KEY: Final = frozenset({"pk", "pkh", "wpkh", "pk_k", "pk_h"})
_MULTI: Final = frozenset({"multi", "sortedmulti", "multi_a", "sortedmulti_a"})
_NUMBER: Final = frozenset({"older", "after"})
_HASHES: Final = {"sha256": 32, "hash256": 32, "ripemd160": 20, "hash160": 20}
_CHILDREN: Final = {"andor": 3, "and_v": 2, "and_b": 2, "and_n": 2, "or_b": 2, "or_c": 2, "or_d": 2, "or_i": 2}
_IN_SH: Final = frozenset({"pk", "pkh", "multi", "sortedmulti", "wpkh", "wsh"})
_IN_SH_WSH: Final = frozenset({"pk", "pkh", "multi", "sortedmulti"})


class TemplateError(Exception):
    """The app does not read this template."""


@dataclass(frozen=True, slots=True)
class KeyExpression:
    """``@i/<first;second>/*``, or the same of a ``musig()`` of several keys."""

    indexes: tuple[int, ...]
    first: int
    second: int
    musig: bool = False

    def step(self, change: bool) -> int:
        return self.second if change else self.first


@dataclass(frozen=True, slots=True)
class Node:
    """A fragment: its name, its keys, its number or hash, and what stands inside it."""

    name: str
    keys: tuple[KeyExpression, ...] = ()
    number: int = 0
    digest: bytes = b""
    children: tuple[Node, ...] = ()
    tree: Tree | None = None

    def key_expressions(self) -> Iterator[tuple[KeyExpression, Node | None]]:
        """Every key expression in order, with the leaf of the script tree that holds it."""
        for key in self.keys:
            yield key, None
        for child in self.children:
            yield from child.key_expressions()
        if self.tree is not None:
            for leaf in leaves(self.tree):
                for key, _ in leaf.key_expressions():
                    yield key, leaf


Tree: TypeAlias = "Node | tuple[Tree, Tree]"


def leaves(tree: Tree) -> Iterator[Node]:
    """The leaves from left to right."""
    if isinstance(tree, Node):
        yield tree
    else:
        for branch in tree:
            yield from leaves(branch)


def parse(text: str) -> Node:
    """Read a whole template; ``TemplateError`` for what the app refuses."""
    if len(text) > LONGEST:
        raise TemplateError("too long")
    parser = _Parser(text)
    node = parser.script(0, sh=False, wsh=False, tr=False)
    parser.end()
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _accept(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            raise TemplateError(f"{token!r} expected at {self._at}")

    def end(self) -> None:
        if self._at != len(self._text):
            raise TemplateError(f"something follows at {self._at}")

    def _decimal(self, most: int = 0xFFFFFFFF) -> int:
        start = self._at
        while self._peek() and self._peek() in "0123456789":
            self._at += 1
        digits = self._text[start : self._at]
        if not digits or len(digits) > 10 or (digits[0] == "0" and digits != "0") or int(digits) > most:
            raise TemplateError(f"a number expected at {start}")
        return int(digits)

    def _word(self) -> str:
        start = self._at
        while self._peek() and (self._peek().isalnum() or self._peek() == "_") and self._at - start < 13:
            self._at += 1
        return self._text[start : self._at]

    def _key(self, *, tr: bool) -> KeyExpression:
        if self._accept("@"):
            return KeyExpression((self._decimal(0x7FFF),), *self._branches())
        self._expect("musig(")
        if not tr:
            raise TemplateError("musig outside tr")
        indexes = []
        while True:
            self._expect("@")
            indexes.append(self._decimal(0x7FFF))
            if self._accept(")"):
                break
            self._expect(",")
        if not 2 <= len(indexes) <= _MOST_MUSIG:
            raise TemplateError("musig of too few or too many")
        return KeyExpression(tuple(indexes), *self._branches(), musig=True)

    def _branches(self) -> tuple[int, int]:
        if self._accept("/**"):
            return 0, 1
        self._expect("/<")
        first = self._decimal(0x80000000)
        self._expect(";")
        second = self._decimal(0x80000000)
        if first == second:
            raise TemplateError("the two branches are one")
        self._expect(">/*")
        return first, second

    def _wrappers(self) -> str:
        end = self._at
        while self._text[end : end + 1] in _WRAPPERS and end < len(self._text):
            end += 1
        if end == self._at or self._text[end : end + 1] != ":":
            return ""
        found = self._text[self._at : end]
        self._at = end + 1
        return found

    def script(self, depth: int, *, sh: bool, wsh: bool, tr: bool) -> Node:
        if depth > _DEEPEST:
            raise TemplateError("too deep")
        wrappers = self._wrappers() if (wsh and not sh) or tr else ""
        node = self._fragment(depth, sh=sh, wsh=wsh, tr=tr)
        for wrapper in reversed(wrappers):
            node = Node(wrapper + ":", children=(node,))
        return node

    def _fragment(self, depth: int, *, sh: bool, wsh: bool, tr: bool) -> Node:
        name = self._word()
        if sh and (name not in _IN_SH or (wsh and depth == 2 and name not in _IN_SH_WSH)):
            raise TemplateError(f"{name} does not belong into sh")
        if name in ("0", "1"):
            return Node(name)
        self._expect("(")
        node = self._body(name, depth, sh=sh, wsh=wsh, tr=tr)
        self._expect(")")
        return node

    def _body(self, name: str, depth: int, *, sh: bool, wsh: bool, tr: bool) -> Node:
        if name in ("sh", "wsh"):
            if depth and (name == "sh" or not sh or wsh):
                raise TemplateError(f"{name} is not at the top")
            inner = self.script(depth + 1, sh=sh or name == "sh", wsh=wsh or name == "wsh", tr=False)
            return Node(name, children=(inner,))
        if name == "tr":
            return self._taproot(depth)
        if name in _ONE_KEY:
            if name == "wpkh" and depth and not (sh and not wsh):
                raise TemplateError("wpkh is neither at the top nor in sh")
            return Node(name, keys=(self._key(tr=tr),))
        if name in _MULTI:
            return self._multi(name, tr=tr)
        if name in _NUMBER:
            number = self._decimal(0x7FFFFFFF)
            if number < 1:
                raise TemplateError(f"{name} of nothing")
            return Node(name, number=number)
        if name in _HASHES:
            return Node(name, digest=self._digest(_HASHES[name]))
        if name == "thresh":
            return self._threshold(depth, sh=sh, wsh=wsh, tr=tr)
        if name in _CHILDREN:
            children = []
            for position in range(_CHILDREN[name]):
                if position:
                    self._expect(",")
                children.append(self.script(depth + 1, sh=sh, wsh=wsh, tr=tr))
            return Node(name, children=tuple(children))
        raise TemplateError(f"{name!r} is unknown")

    def _digest(self, size: int) -> bytes:
        text = self._text[self._at : self._at + 2 * size]
        if len(text) != 2 * size or not set(text) <= set("0123456789abcdef"):
            raise TemplateError("a hash in lower-case hexadecimal expected")
        self._at += 2 * size
        return bytes.fromhex(text)

    def _multi(self, name: str, *, tr: bool) -> Node:
        if tr != name.endswith("_a"):
            raise TemplateError(f"{name} does not belong here")
        threshold = self._decimal()
        keys = []
        while self._accept(","):
            keys.append(self._key(tr=tr))
        if not 1 <= threshold <= len(keys) <= _MOST_KEYS:
            raise TemplateError("a threshold out of range")
        return Node(name, keys=tuple(keys), number=threshold)

    def _threshold(self, depth: int, *, sh: bool, wsh: bool, tr: bool) -> Node:
        threshold = self._decimal()
        children = []
        while self._accept(","):
            children.append(self.script(depth + 1, sh=sh, wsh=wsh, tr=tr))
        if not 1 <= threshold <= len(children):
            raise TemplateError("a threshold out of range")
        return Node("thresh", number=threshold, children=tuple(children))

    def _taproot(self, depth: int) -> Node:
        if depth:
            raise TemplateError("tr is not at the top")
        key = self._key(tr=True)
        tree = self._tree(0, depth) if self._accept(",") else None
        return Node("tr", keys=(key,), tree=tree)

    def _tree(self, level: int, depth: int) -> Tree:
        if level > _DEEPEST_TREE:
            raise TemplateError("the script tree is too deep")
        if not self._accept("{"):
            return self.script(depth + 1, sh=False, wsh=False, tr=True)
        left = self._tree(level + 1, depth)
        self._expect(",")
        right = self._tree(level + 1, depth)
        self._expect("}")
        return left, right
