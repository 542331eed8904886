"""What a human and a policy must see before a signature: who gets what, the fee, the change, the warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Codes of warnings a policy decides upon; every other code is shown and weighed by people only.
OPAQUE_CALL = "opaque-call"  # calldata nobody could read; the payments then name the contract called
CREATION = "creation"  # code that becomes a contract
UNLIMITED_ALLOWANCE = "unlimited-allowance"  # a spender may take every token, now and later


@dataclass(frozen=True, slots=True)
class Asset:
    """One thing that can be paid: ``chain`` "bitcoin"/"ethereum", ``network`` "main"/"regtest"/… or "eip155:1"."""

    chain: str
    network: str
    symbol: str
    decimals: int
    contract: str | None = None  # EIP-55 address of an ERC-20 contract, None for the chain's own coin


@dataclass(frozen=True, slots=True)
class Payment:
    """An effective payment: the decoded recipient, not the contract called. ``amount`` in base units."""

    asset: Asset
    to: str
    amount: int
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """An output proven to return to the paying account, with the path that proves it."""

    address: str
    amount: int
    path: str


@dataclass(frozen=True, slots=True)
class ReviewWarning:
    """Something a human should weigh; ``code`` is stable."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Review:
    """The whole of a plan in words and integers; ``max_fee`` is the worst case, ``fee`` the expected cost."""

    chain: str
    network: str
    account: str
    payments: tuple[Payment, ...]
    change: tuple[Change, ...]
    fee: int
    max_fee: int
    fee_asset: Asset
    fee_rate: str  # "12.5 sat/vB", "2 gwei + 1 gwei tip"
    warnings: tuple[ReviewWarning, ...] = ()
    replaces: str | None = None  # txid this plan replaces
    version: int = 1
    extra: dict[str, Any] = field(default_factory=dict)  # shown, never decided upon: nonce, gas limit, locktime
