"""What every Bitcoin account can do, whatever its scripts: one key, several, or any descriptor (BIP-380)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.descriptor import SingleKeyDescriptor
from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.multisig import MultisigAccount
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.descriptors.spending import Spending
    from bursar.bitcoin.network import Network
    from bursar.keys.origin import Fingerprint, KeyOrigin


class ScriptAccount(Protocol):
    """The public half of an account: scripts by branch and index, and what their spenders need to know.

    ``branches`` is ``(0, 1)``, or ``(0,)`` where one branch takes payments and change. An account that is not
    ``ranged`` has one address. ``fingerprints`` are the master keys whose signers may sign.
    """

    @property
    def network(self) -> Network: ...

    @property
    def branches(self) -> tuple[int, ...]: ...

    @property
    def ranged(self) -> bool: ...

    @property
    def fingerprints(self) -> tuple[Fingerprint, ...]: ...

    def script(self, branch: int, index: int) -> bytes: ...

    def scripts(self, branch: int, start: int, count: int) -> list[bytes]: ...

    def address(self, branch: int, index: int) -> Address: ...

    def addresses(self, branch: int, start: int, count: int) -> list[str]: ...

    def spending(self, branch: int, index: int) -> Spending: ...

    def place(self, branch: int, index: int) -> str: ...  # how reviews name it: "m/84h/0h/0h/1/5", or "1/5"

    def locate(self, origin: KeyOrigin) -> tuple[int, int] | None: ...  # where a key of this origin would stand

    def descriptor(self, branch: int | None = None) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


def change_branch(account: ScriptAccount) -> int:
    """The branch change goes to: the last one."""
    return account.branches[-1]


def account_of_descriptor(text: str, network: Network) -> ScriptAccount:
    """The plainest account a descriptor stands for: single key, multisig, or any other descriptor.

    ``InvalidInputError`` (``input.descriptor``, ``input.network``) where it is none.
    """
    return plainest(DescriptorAccount.from_text(text, network))


def plainest(account: ScriptAccount) -> ScriptAccount:
    """The same account in the narrowest of the three kinds, so that equal accounts are equal values.

    An account of one branch stays a ``DescriptorAccount``: the other kinds have two.
    """
    if not isinstance(account, DescriptorAccount) or account.branches != (0, 1):
        return account
    text = account.descriptor()
    for narrow in (_single_key, _multisig):
        found = narrow(text, account.network)
        if found is not None and found.descriptor() == text:
            return found
    return account


def _single_key(text: str, network: Network) -> ScriptAccount | None:
    try:
        found = SingleKeyDescriptor.from_text(text)
        return BitcoinAccount(network, found.scheme, found.origin, found.xpub)
    except InvalidInputError:
        return None


def _multisig(text: str, network: Network) -> ScriptAccount | None:
    try:
        return MultisigAccount.from_descriptor(text, network)
    except InvalidInputError:
        return None


def account_from_json(data: dict[str, Any]) -> ScriptAccount:
    """The reverse of any account's ``to_json``; ``InvalidInputError`` (``input.account``) on anything else."""
    if not isinstance(data, dict):
        raise InvalidInputError("an account record is a json object", code="input.account")
    if "multisig" in data:
        return MultisigAccount.from_json(data)
    if "descriptor" in data:
        return DescriptorAccount.from_json(data)
    return BitcoinAccount.from_json(data)


def descriptor_of(account: ScriptAccount) -> Descriptor:
    """The account's descriptor, parsed: all its branches."""
    return (
        account.descriptor_value if isinstance(account, DescriptorAccount) else Descriptor.parse(account.descriptor())
    )
