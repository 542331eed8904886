"""One Ethereum node whose chain id was compared: what every question to it goes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bursar.crypto.hashes import keccak256
from bursar.errors import ChainError, ChainUnavailableError, WrongChainError
from bursar.nodes.ethrpc.reply import Refusal, garbled, read_quantity

if TYPE_CHECKING:
    from bursar.nodes.ethrpc.wire import Call, Wire

_METHOD_MISSING = (-32601, -32004)
_NOT_OFFERED = ("not found", "not supported", "unsupported", "not available", "not allowed", "not enabled", "whitelist")
_OFFCHAIN_LOOKUP = keccak256(b"OffchainLookup(address,string[],bytes,bytes4,bytes)")[:4]


class Link:
    """The wire to a node that has to serve ``chain_id``."""

    def __init__(self, wire: Wire, *, chain_id: int) -> None:
        self.wire = wire
        self.chain_id = chain_id
        self.lacking: set[str] = set()
        """What the node was found not to offer, so that it is not asked again."""
        self._checked = False

    def check_chain_id(self) -> None:
        """WrongChainError unless the node answers with the chain's id."""
        reply = self.wire.ask("eth_chainId", [])
        if isinstance(reply, Refusal):
            raise refused("eth_chainId", reply)
        answered = read_quantity(reply, name="the chain id")
        if answered != self.chain_id:
            self._checked = False
            raise WrongChainError(
                f"the node at {self.wire.name} serves chain {answered}, not {self.chain_id}: use another node"
            )
        self._checked = True

    def attempt(self, method: str, *params: Any) -> Any:
        """A result, or the refusal of a node that does not have the method."""
        if not self._checked:
            self.check_chain_id()
        reply = self.wire.ask(method, list(params))
        if isinstance(reply, Refusal) and not missing(reply):
            raise refused(method, reply)
        return reply

    def ask(self, method: str, *params: Any) -> Any:
        """A result."""
        reply = self.attempt(method, *params)
        if isinstance(reply, Refusal):
            raise refused(method, reply)
        return reply

    def ask_many(self, calls: Sequence[Call], **bounds: int) -> list[Any]:
        """A result or a :class:`Refusal` for each, in as few requests as the node lets."""
        if not self._checked:
            self.check_chain_id()
        return self.wire.ask_many(calls, **bounds)

    def ask_all(self, calls: Sequence[Call], **bounds: int) -> list[Any]:
        """A result for each; the first refusal is raised."""
        results = self.ask_many(calls, **bounds)
        for (method, _), result in zip(calls, results, strict=True):
            if isinstance(result, Refusal):
                raise refused(method, result)
        return results


def missing(refusal: Refusal) -> bool:
    """Whether the node says that it does not have a method."""
    if refusal.code in _METHOD_MISSING:
        return True
    words = refusal.reason.lower()
    return "method" in words and any(one in words for one in _NOT_OFFERED)


def refused(method: str, refusal: Refusal) -> ChainError:
    """The error for a call that the node, or a contract on it, refuses."""
    if refusal.data[:4] == _OFFCHAIN_LOOKUP:
        text = "the contract wants data fetched from a server it names (CCIP-Read, EIP-3668), which is never done"
        return ChainError(text, code="chain.reverted")
    if reverts(refusal):
        return ChainError(f"the contract refuses this call: {refusal.reason}", code="chain.reverted")
    return ChainError(f"the node refuses {method}: {refusal.reason} ({refusal.code})", code="chain.refused")


def reverts(refusal: Refusal) -> bool:
    """Whether a contract refused, and not the node."""
    return refusal.code == 3 or refusal.reason.startswith("execution reverted")


def unknown_block() -> ChainError:
    """The error for a node that does not find a block again."""
    return garbled("it does not know a block it has named")


def dropped_block() -> ChainUnavailableError:
    """The error for a block asked for by its hash that is not in the chain any more, or not known to all of a node."""
    return ChainUnavailableError("the node knows this block no more: the chain moved, try again", code="chain.moved")
