"""What a Safe's contract says of itself, asked with plain calls, and whether that is what was expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.ethereum.safe.contract import Safe, SafeVersion
from bursar.ethereum.safe.words import WordReader, safe_error, selector

if TYPE_CHECKING:
    from bursar.ethereum.address import Address

_VERSION: Final = selector("VERSION()")
_OWNERS: Final = selector("getOwners()")
_THRESHOLD: Final = selector("getThreshold()")
_NONCE: Final = selector("nonce()")
_DOMAIN: Final = selector("domainSeparator()")
_MOST_OWNERS: Final = 1000


@dataclass(frozen=True, slots=True)
class SafeState:
    """A Safe on chain: its version, owners, threshold, the nonce its next transaction must have, and its domain."""

    version: SafeVersion
    owners: frozenset[Address]
    threshold: int
    nonce: int
    domain_separator: bytes

    def check(self, safe: Safe) -> None:
        """``input.safe`` unless the contract hashes as ``safe`` does here: same version rules, chain and address."""
        if self.domain_separator != safe.domain_separator:
            raise safe_error(
                f"the contract at {safe.address} has the domain 0x{self.domain_separator.hex()}, computed was "
                f"0x{safe.domain_separator.hex()}: another chain, another version, or no Safe"
            )


def read_state(call: Callable[[bytes], bytes]) -> SafeState:
    """The state of the Safe that ``call`` asks: calldata to the contract's answer, as a chain backend's ``call``."""
    text = _bytes(call(_VERSION), name="the Safe's version")
    answer = call(_OWNERS)
    count = WordReader(answer, name="the Safe's owners").integer(1, most=_MOST_OWNERS)
    reader = WordReader(answer, name="the Safe's owners")
    if reader.integer(0) != 32 or len(answer) != 32 * (2 + count):
        raise safe_error("the Safe's owners cannot be read")
    owners = frozenset(reader.address(2 + place) for place in range(count))
    if len(owners) != count:
        raise safe_error("the Safe names an owner twice")
    threshold = _number(call(_THRESHOLD), name="the Safe's threshold", most=count)
    if not threshold:
        raise safe_error("the Safe has no threshold: it was never set up")
    domain = call(_DOMAIN)
    if len(domain) != 32:
        raise safe_error("the Safe's domain separator is not 32 bytes")
    nonce = _number(call(_NONCE), name="the Safe's nonce", most=(1 << 64) - 1)
    return SafeState(SafeVersion.from_text(text.decode("ascii", "replace")), owners, threshold, nonce, domain)


def _number(answer: bytes, *, name: str, most: int) -> int:
    reader = WordReader(answer, name=name)
    reader.finish(32)
    return reader.integer(0, most=most)


def _bytes(answer: bytes, *, name: str) -> bytes:
    reader = WordReader(answer, name=name)
    found, end = reader.tail(0, start=32)
    reader.finish(end)
    return found
