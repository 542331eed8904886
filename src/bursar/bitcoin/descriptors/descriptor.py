"""Output descriptors (BIP-379 to 387, 389, 390): text, scripts and addresses at any branch and index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.address import Address
from bursar.bitcoin.bulk import segwit_addresses
from bursar.bitcoin.descriptor_checksum import add_checksum, check_length, strip_checksum
from bursar.bitcoin.descriptors.nodes import KeyBook, Node
from bursar.bitcoin.descriptors.parsing import parse_node
from bursar.bitcoin.descriptors.spending import Spending, spending
from bursar.bitcoin.script import witness_program
from bursar.crypto import base58
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from bursar.bitcoin.descriptors.keys import Key, KeyExpression
    from bursar.bitcoin.descriptors.nodes import Change
    from bursar.bitcoin.descriptors.plan import Assets, SpendPlan
    from bursar.bitcoin.network import Network

_BULK: Final = 64  # below this many, tables cost more than they save


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A parsed descriptor. ``str()`` is its public canonical text with checksum, also if it holds private keys.

    ``branches`` is how many descriptors it stands for (BIP-389): branch 0 receives, branch 1 takes change. ``testnet``
    is ``None`` where no key and no address tells. Two are equal when their public texts are.
    """

    node: Node
    branches: int = 1
    testnet: bool | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str | Secret, *, checksum_required: bool = False) -> Descriptor:
        """With or without checksum; ``InvalidInputError`` (``input.descriptor``) names the character at fault.

        A text with private keys is better handed over as a ``Secret``. A miniscript inside (BIP-379) that is mistyped
        or not safe is refused with the code ``input.descriptor.miniscript``.
        """
        if isinstance(text, Secret):
            try:
                text = text.expose().decode("ascii")
            except UnicodeDecodeError:
                # the original error holds the text
                raise InvalidInputError(
                    "descriptor: only ascii characters belong into it", code="input.descriptor"
                ) from None
        check_length(text)
        node, agreed = parse_node(strip_checksum(text, required=checksum_required))
        return cls(node, agreed.branches or 1, agreed.testnet)

    @classmethod
    def of(cls, node: Node) -> Descriptor:
        """The descriptor of an expression put together in code; the rules of parsing hold for it too."""
        return cls.parse(node.text(str))

    @property
    def bare(self) -> str:
        """Its public canonical text without checksum."""
        return self.node.text(str)

    def __str__(self) -> str:
        return add_checksum(self.bare)

    def private_text(self) -> Secret:
        """Its text with every private key it holds, and the checksum of that text."""
        return Secret.from_text(add_checksum(self.node.text(lambda key: key.private_text())))

    @property
    def keys(self) -> tuple[KeyExpression, ...]:
        """Every single key expression, those inside ``musig()`` too, in the order of the text."""
        return tuple(one for key in self.node.keys for one in key.single)

    @property
    def ranged(self) -> bool:
        """Whether it stands for a series of scripts, one for each index."""
        return any(key.ranged for key in self.node.keys)

    @property
    def private(self) -> bool:
        """Whether it holds a private key."""
        return any(key.private is not None for key in self.keys)

    def public(self) -> Descriptor:
        """The same descriptor without private keys."""
        return self._changed(_public)

    def normalized(self) -> Descriptor:
        """The public descriptor whose hardened steps moved into the key origins (BIP-380); needs the private keys."""
        return self._changed(_normalized)

    def expand(self) -> tuple[Descriptor, ...]:
        """The descriptors it stands for, one for each branch (BIP-389)."""
        if self.branches == 1:
            return (self,)
        return tuple(Descriptor(self.node.changed(_Branch(branch)), 1, self.testnet) for branch in range(self.branches))

    def _changed(self, change: Change) -> Descriptor:
        return Descriptor(self.node.changed(change), self.branches, self.testnet)

    def close(self) -> None:
        """Wipe the private keys, if there are any; idempotent."""
        for key in self.keys:
            key.close()

    def _book(self, branch: int, start: int, count: int) -> KeyBook:
        if type(branch) is not int or not 0 <= branch < self.branches:
            raise InvalidInputError(
                f"descriptor: there is no branch {branch!r} of {self.branches}", code="input.descriptor"
            )
        if type(start) is not int or type(count) is not int or not 0 <= start <= start + count <= HARDENED:
            raise InvalidInputError(
                f"descriptor: {count!r} indexes from {start!r} do not all lie between 0 and {HARDENED - 1}",
                code="input.descriptor",
            )
        return KeyBook(branch, start, count)

    def scripts(self, branch: int, start: int, count: int) -> list[bytes]:
        """The output scripts of ``count`` consecutive indexes; ``combo`` gives two or four for each."""
        return self.node.scripts(self._book(branch, start, count))

    def script(self, branch: int = 0, index: int = 0) -> bytes:
        """The output script at one place; ``combo`` has several and is refused."""
        return self.spending(branch, index).script if self._several else self.scripts(branch, index, 1)[0]

    @property
    def _several(self) -> bool:
        return getattr(self.node, "name", "") == "combo"

    def spending(self, branch: int = 0, index: int = 0) -> Spending:
        """Script, inner scripts, key origins and script tree at one place, as a PSBT wants them."""
        self._book(branch, index, 1)
        return spending(self.node, branch, index)

    def plan(self, branch: int = 0, index: int = 0, assets: Assets | None = None) -> SpendPlan:
        """The cheapest way to spend the output at one place with what is at hand; by default all keys, nothing else.

        ``InvalidInputError`` (``input.descriptor.plan``) where that opens no way at all.
        """
        self._book(branch, index, 1)
        from bursar.bitcoin.descriptors.plan import ALL_KEYS, plan

        return plan(self.node, branch, index, assets or ALL_KEYS)

    def max_input_weight(self, branch: int = 0, index: int = 0) -> int:
        """The weight units of an input that spends the output at one place in its most expensive way."""
        self._book(branch, index, 1)
        from bursar.bitcoin.descriptors.plan import max_input_weight

        return max_input_weight(self.node)

    def _check_network(self, network: Network) -> None:
        if self.testnet is not None and self.testnet is not network.testnet:
            raise InvalidInputError(
                f"the descriptor's keys do not belong to {network}: take those that begin with "
                f"{'tpub' if network.testnet else 'xpub'}",
                code="input.network",
            )

    def address(self, network: Network, branch: int = 0, index: int = 0) -> Address:
        """The address at one place; ``InvalidInputError`` (``input.script``) where the script has none."""
        self._check_network(network)
        return Address.from_script(self.script(branch, index), network)

    def addresses(self, network: Network, branch: int, start: int, count: int) -> list[str]:
        """The addresses of ``count`` consecutive indexes."""
        self._check_network(network)
        return script_addresses(self.scripts(branch, start, count), network)


def script_addresses(scripts: list[bytes], network: Network) -> list[str]:
    """The addresses of many scripts of one kind, or of several kinds."""
    if len(scripts) < _BULK:
        return [Address.from_script(script, network).text for script in scripts]
    head = scripts[0][:2]
    program = witness_program(scripts[0])
    size = len(scripts[0])
    if program is not None and all(script.startswith(head) and len(script) == size for script in scripts):
        Address.from_script(scripts[0], network)
        return segwit_addresses(network.hrp, program[0], [script[2:] for script in scripts])
    if all(len(script) == 23 and script.startswith(b"\xa9\x14") and script[22] == 0x87 for script in scripts):
        prefix = bytes((network.p2sh,))
        return [base58.encode_check(prefix + script[2:22]) for script in scripts]
    return [Address.from_script(script, network).text for script in scripts]


def _public(key: Key) -> Key:
    return key.public()


def _normalized(key: Key) -> Key:
    return key.normalized()


class _Branch:
    def __init__(self, branch: int) -> None:
        self._branch = branch

    def __call__(self, key: Key) -> Key:
        return key.at_branch(self._branch)
