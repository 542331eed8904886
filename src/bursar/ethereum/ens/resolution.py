"""What a name stands for, asked of the registry and its resolvers (ERC-137, ERC-181, ENSIP-9, 10 and 11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.abi import AbiFunction
from bursar.ethereum.address import Address
from bursar.ethereum.chain_id import check_chain_id
from bursar.ethereum.ens.names import EnsName, namehash
from bursar.ethereum.questions import Answers, Call

if TYPE_CHECKING:
    from collections.abc import Generator

    from bursar.ethereum.questions import Question

REGISTRY: Final = Address(bytes.fromhex("00000000000c2e074ec69a0dfb2997ba6c7d2e1e"))
_EVM_CHAIN: Final = 0x8000_0000  # ENSIP-11
_RESOLVER: Final = AbiFunction.from_text("resolver(bytes32) returns (address)")
_ADDR: Final = AbiFunction.from_text("addr(bytes32) returns (address)")
_ADDR_OF: Final = AbiFunction.from_text("addr(bytes32,uint256) returns (bytes)")
_RESOLVE: Final = AbiFunction.from_text("resolve(bytes,bytes) returns (bytes)")
_NAME: Final = AbiFunction.from_text("name(bytes32) returns (string)")
_SUPPORTS: Final = AbiFunction.from_text("supportsInterface(bytes4) returns (bool)")
_EXTENDED: Final = bytes.fromhex("9061b923")  # ENSIP-10


@dataclass(frozen=True, slots=True)
class Resolution:
    """What ``name`` stood for when it was asked: the address to pay, who said so, and whether for a whole domain."""

    name: EnsName
    address: Address
    resolver: Address
    wildcard: bool


def resolve(name: EnsName, *, chain_id: int = 1, home: int = 1, registry: Address = REGISTRY) -> Answers[Resolution]:
    """A generator of questions to the chain ``home``, where the registry is: the address of ``name`` on ``chain_id``.

    A name without an address for that very chain is refused: that of another chain may be a contract which is not
    there. A resolver that sends its asker elsewhere (ERC-3668) is not followed. ``ChainError`` (``chain.name``).
    """
    check_chain_id(chain_id)
    check_chain_id(home)
    found = yield from _find_resolver(name, registry)
    if found is None:
        raise _unknown(f"nobody answers for {name}: no resolver is set")
    resolver, wildcard = found
    extended = yield from _is_extended(resolver)
    if wildcard and not extended:
        raise _unknown(f"{name} is not registered, and its domain does not answer for such names")
    function = _ADDR if chain_id == home else _ADDR_OF
    call = (
        function.encode_call(name.node) if chain_id == home else function.encode_call(name.node, _EVM_CHAIN | chain_id)
    )
    asked = _RESOLVE.encode_call(name.wire, call) if extended else call
    answer = yield Call(resolver, asked)
    if not answer:
        raise _unknown(f"the resolver of {name} gives no address on the chain itself: ask its owner for the address")
    try:
        value = function.decode_result(_RESOLVE.decode_result(answer)[0] if extended else answer)[0]
    except InvalidInputError as error:
        raise _unknown(f"the resolver of {name} at {resolver} gives no address: {error.message}") from error
    if isinstance(value, bytes):
        if len(value) not in (0, 20):
            raise _unknown(f"the resolver of {name} gives {len(value)} bytes for chain {chain_id}, no address")
        value = Address(value or bytes(20))
    if value.is_zero:
        raise _unknown(f"{name} has no address on chain {chain_id}")
    return Resolution(name, value, resolver, wildcard)


def reverse(address: Address, *, home: int = 1, registry: Address = REGISTRY) -> Answers[EnsName | None]:
    """A generator of questions which ends with the name an address goes by on ``home``, the registry's own chain.

    Only a name that stands for this address in turn is believed; ``None`` where there is none.
    """
    node = namehash((bytes(address).hex(), "addr", "reverse"))
    resolver = yield from _ask_resolver(node, registry)
    if resolver is None:
        return None
    answer = yield Call(resolver, _NAME.encode_call(node))
    if not answer:
        return None
    try:
        text = str(_NAME.decode_result(answer)[0])
        name = EnsName.from_text(text)
        if name.text != text:
            return None  # the owner wrote another form than the normal one: nobody can say which name is meant
        forward = yield from resolve(name, chain_id=home, home=home, registry=registry)
    except InvalidInputError:
        return None
    except ChainError as error:
        if error.code != "chain.name":
            raise
        return None
    return name if forward.address == address else None


def _find_resolver(name: EnsName, registry: Address) -> Generator[Question, bytes | None, tuple[Address, bool] | None]:
    labels = name.labels
    for start in range(len(labels)):
        resolver = yield from _ask_resolver(namehash(labels[start:]), registry)
        if resolver is not None:
            return resolver, start > 0
    return None


def _ask_resolver(node: bytes, registry: Address) -> Generator[Question, bytes | None, Address | None]:
    answer = yield Call(registry, _RESOLVER.encode_call(node))
    if not answer:
        raise _unknown(f"there is no registry of names at {registry} on this chain")
    try:
        resolver: Address = _RESOLVER.decode_result(answer)[0]
    except InvalidInputError as error:
        raise _unknown(f"{registry} does not answer as a registry of names: {error.message}") from error
    return None if resolver.is_zero else resolver


def _is_extended(resolver: Address) -> Generator[Question, bytes | None, bool]:
    answer = yield Call(resolver, _SUPPORTS.encode_call(_EXTENDED))
    return answer == (1).to_bytes(32, "big")


def _unknown(message: str) -> ChainError:
    return ChainError(message, code="chain.name")
