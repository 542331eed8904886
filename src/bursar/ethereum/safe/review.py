"""What a human should weigh before owning a Safe's transaction: the calls it makes, and changes of the Safe itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bursar.errors import InvalidInputError
from bursar.ethereum.effects.model import Caution
from bursar.ethereum.safe.delegates import KNOWN_DELEGATES, MULTI_SENDS, SELF_CALLING
from bursar.ethereum.safe.multisend import MULTI_SEND, MultiSendCall, decode_multi_send
from bursar.ethereum.safe.operation import Operation
from bursar.ethereum.safe.words import selector

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.safe.transaction import SafeTransaction

_DEEPEST: Final = 4
_CHANGES: Final = {
    selector(name): words
    for name, words in {
        "addOwnerWithThreshold(address,uint256)": "adds an owner",
        "removeOwner(address,address,uint256)": "removes an owner",
        "swapOwner(address,address,address)": "replaces an owner",
        "changeThreshold(uint256)": "changes how many owners have to agree",
        "enableModule(address)": "enables a module, which can move everything without the owners",
        "disableModule(address,address)": "disables a module",
        "setGuard(address)": "sets a guard, which can block or watch every transaction",
        "setModuleGuard(address)": "sets a guard of modules",
        "setFallbackHandler(address)": "sets a fallback handler, which can answer and sign in the Safe's name",
        "changeMasterCopy(address)": "replaces the code of the Safe itself",
    }.items()
}


def unfold(transaction: SafeTransaction) -> tuple[MultiSendCall, ...]:
    """The calls the Safe makes, those of batches one by one; a batch that cannot be read stays one opaque call."""
    whole = MultiSendCall(transaction.to, transaction.value, transaction.data, transaction.operation)
    return tuple(_unfolded(whole, transaction.safe.address, _DEEPEST))


def _unfolded(one: MultiSendCall, safe: Address, depth: int) -> Iterator[MultiSendCall]:
    batch = one.operation is Operation.DELEGATE_CALL and one.data[:4] == MULTI_SEND
    if batch and one.to in MULTI_SENDS and depth:
        try:
            calls = decode_multi_send(one.data)
        except InvalidInputError:
            yield one
            return
        for inner in calls:
            itself = inner.to.is_zero and one.to in SELF_CALLING
            yield from _unfolded(replace(inner, to=safe) if itself else inner, safe, depth - 1)
    else:
        yield one


def safe_cautions(transaction: SafeTransaction, *, delegates: frozenset[Address] = KNOWN_DELEGATES) -> list[Caution]:
    """Delegate calls, changes of the Safe itself, and refunds; ``delegates`` are the contracts trusted as code."""
    cautions: list[Caution] = []
    own = transaction.safe.address
    for one in unfold(transaction):
        if one.operation is Operation.DELEGATE_CALL and (one.to not in delegates or one.to in MULTI_SENDS):
            cautions.append(Caution("delegate-call", f"runs code of {one.to} as the Safe: it can take everything"))
        elif one.to == own and one.data:
            words = _CHANGES.get(one.data[:4], f"calls itself with selector 0x{one.data[:4].hex()}")
            cautions.append(Caution("safe-change", f"the Safe {words}"))
    if transaction.gas_price:
        receiver = "whoever sends it" if transaction.refund_receiver.is_zero else str(transaction.refund_receiver)
        coin = "ether" if transaction.gas_token.is_zero else f"the token {transaction.gas_token}"
        text = f"the Safe pays {receiver} for the gas, {transaction.gas_price} for each, in {coin}"
        cautions.append(Caution("safe-refund", text))
    if not transaction.safe.binds_chain:
        text = "the signature names no chain: it counts wherever a Safe stands at this address"
        cautions.append(Caution("no-chain", text))
    return cautions
