"""Descriptors as text: which script expression may stand where (BIP-379, 381 to 387, 390)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.descriptors.key_parsing import KeyParser, Place
from bursar.bitcoin.descriptors.nodes import Fixed, Multi, Node, OneKey, Wrapped
from bursar.bitcoin.descriptors.taproot import DEEPEST, RawTaproot, Taproot, TreeLeaf
from bursar.bitcoin.miniscript.context import Context
from bursar.bitcoin.miniscript.reader import Reader, shown
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import MAX_PUSH, MAX_SCRIPT
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.keys import Key

_BARE_KEYS: Final = 3
_CHECKMULTISIG_KEYS: Final = 20
_CHECKSIGADD_KEYS: Final = 999
_ADDRESS_NETWORKS: Final = (Network.MAIN, Network.TESTNET, Network.REGTEST)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_PLACES: Final = {
    "pk": (Place.TOP, Place.SH, Place.WSH, Place.TR),
    "pkh": (Place.TOP, Place.SH, Place.WSH, Place.TR),
    "wpkh": (Place.TOP, Place.SH),
    "combo": (Place.TOP,),
    "multi": (Place.TOP, Place.SH, Place.WSH),
    "sortedmulti": (Place.TOP, Place.SH, Place.WSH),
    "multi_a": (Place.TR,),
    "sortedmulti_a": (Place.TR,),
    "sh": (Place.TOP,),
    "wsh": (Place.TOP, Place.SH),
    "tr": (Place.TOP,),
    "rawtr": (Place.TOP,),
    "addr": (Place.TOP,),
    "raw": (Place.TOP,),
}


def parse_node(text: str) -> tuple[Node, KeyParser]:
    """The expression of a whole descriptor without checksum, and what its keys agreed on."""
    parser = Parser(text)
    node = parser.script(Place.TOP)
    if parser.reader.next:
        raise parser.reader.refusal("nothing may follow the descriptor")
    return node, parser.keys


class Parser:
    """One pass over a text; the nesting it follows is at most three calls deep: trees and miniscript need none."""

    def __init__(self, text: str) -> None:
        self.reader = Reader(text)
        self.keys = KeyParser(self.reader)

    def script(self, place: Place) -> Node:
        """A script expression standing at ``place``."""
        reader = self.reader
        start = reader.at
        name = reader.word()
        if reader.next != "(" or name not in _PLACES:
            return self._other(name, place, start)
        if place not in _PLACES[name]:
            raise reader.refusal(
                f"{name}() does not belong into {place.value}"
                if place is not Place.TOP
                else f"{name}() belongs inside tr()",
                start,
            )
        reader.at += 1
        node = self._body(name, place, start)
        reader.expect(")", f"at the end of {name}()")
        return node

    def _other(self, name: str, place: Place, start: int) -> Node:
        """What is no expression of this room: in ``wsh`` and ``tr`` it is a fragment of miniscript (BIP-379)."""
        reader = self.reader
        if name == "musig":
            raise reader.refusal("a script belongs here, and musig() is a key", start)
        if place in (Place.WSH, Place.TR) and (reader.next in ("(", ":") or name in ("0", "1")):
            from bursar.bitcoin.descriptors.policies import parse_policy

            reader.at = start
            context = Context.TAPSCRIPT if place is Place.TR else Context.P2WSH
            return parse_policy(reader, context, lambda: self.keys.key(place))
        if reader.next == "(":
            raise reader.refusal(f"{shown(name)} is not an expression that exists", start)
        raise reader.refusal("a script expression is missing, such as wpkh(…)", start)

    def _body(self, name: str, place: Place, start: int) -> Node:
        if name in ("pk", "pkh", "wpkh", "combo"):
            return OneKey(name, self.keys.key(place, compressed=name == "wpkh"), place is Place.TR)
        if name == "sh":
            return Wrapped(name, self.script(Place.SH))
        if name == "wsh":
            return Wrapped(name, self.script(Place.WSH))
        if name == "tr":
            key = self.keys.key(Place.TR)
            return Taproot(key, self._tree() if self.reader.accept(",") else ())
        if name == "rawtr":
            return RawTaproot(self.keys.key(Place.TR))
        if name == "addr":
            return self._address()
        if name == "raw":
            return self._raw()
        return self._multi(name, place, start)

    def _multi(self, name: str, place: Place, start: int) -> Multi:
        reader = self.reader
        most = _CHECKSIGADD_KEYS if place is Place.TR else _BARE_KEYS if place is Place.TOP else _CHECKMULTISIG_KEYS
        at = reader.at
        threshold = reader.number(most, "the threshold")
        keys: list[Key] = []
        while reader.accept(","):
            if len(keys) == most:
                raise reader.refusal(f"{name}() has more than {most} keys in {place.value}")
            keys.append(self.keys.key(place))
        if not 1 <= threshold <= len(keys):
            raise reader.refusal(f"{threshold} of {len(keys)} keys can never sign: choose 1 to {len(keys)}", at)
        size = 3 + sum(key.size + 1 for key in keys)
        if place is Place.SH and size > MAX_PUSH:
            raise reader.refusal(f"the script of {size} bytes is too long for sh(): at most {MAX_PUSH}", start)
        return Multi(name, threshold, tuple(keys))

    def _tree(self) -> tuple[TreeLeaf, ...]:
        reader = self.reader
        leaves: list[TreeLeaf] = []
        path: list[bool] = []  # for each open brace: whether its second half has begun
        while True:
            while reader.accept("{"):
                if len(path) == DEEPEST:
                    raise reader.refusal(f"the script tree is deeper than {DEEPEST}")
                path.append(False)
            leaves.append(TreeLeaf(len(path), self.script(Place.TR)))
            while path and path[-1]:
                reader.expect("}", "behind the second half of a branch")
                path.pop()
            if not path:
                return tuple(leaves)
            reader.expect(",", "between the halves of a branch")
            path[-1] = True

    def _address(self) -> Fixed:
        reader = self.reader
        start = reader.at
        text = reader.word()
        reason = ""
        for network in _ADDRESS_NETWORKS:
            try:
                address = Address.from_text(text, network)
            except InvalidInputError as error:
                reason = reason or error.message
                if error.code == "input.address.network":
                    continue
                break
            self.keys.testnet = network.testnet
            return Fixed("addr", address.text, address.script)
        raise reader.refusal(f"this is not an address: {reason}", start)

    def _raw(self) -> Fixed:
        reader = self.reader
        match = _HEX.match(reader.text, reader.at)
        end = reader.text.find(")", reader.at)
        if match is None or match.end() != end:
            raise reader.refusal("a raw script is pairs of hexadecimal digits")
        script = bytes.fromhex(match[0])
        if len(script) > MAX_SCRIPT:
            raise reader.refusal(f"the script of {len(script)} bytes is too long: at most {MAX_SCRIPT}")
        reader.at = end
        return Fixed("raw", script.hex(), script)
