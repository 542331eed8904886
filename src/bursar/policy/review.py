"""What a human and a policy must see before a signature: who gets what, the fee, the change, the warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Codes of warnings a policy decides upon; every other code is shown and weighed by people only.
OPAQUE_CALL = "opaque-call"  # calldata nobody could read; the payments then name the contract called
CREATION = "creation"  # code that becomes a contract
UNLIMITED_ALLOWANCE = "unlimited-allowance"  # a spender may take every token, now and later
DELEGATE_CALL = "delegate-call"  # code of others runs as an account, and can do anything with it
SAFE_CHANGE = "safe-change"  # who rules a Safe becomes another: its owners, modules, guards, code
ALLOWANCE_TO_ACCOUNT = "allowance-to-account"  # to an address without code: somebody holds its key
DOMAIN_MISMATCH = "domain-mismatch"  # typed data for another chain, or for a contract that cannot be its verifier


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
    token_id: int | None = None  # of an ERC-721 or ERC-1155 token; its asset has a contract and no decimals
    owner: str | None = None  # whose money it is where not the account's: a Safe it acts for, an allowance it uses


@dataclass(frozen=True, slots=True)
class Granted:
    """An allowance: ``spender`` may take up to ``amount`` base units of the account's, now or later; 0 takes it back.

    Of an ERC-721 contract the token ``token_id`` only, or all of them, which is ``unlimited`` too. ``until`` is when
    it ends, in seconds since 1970.
    """

    asset: Asset
    spender: str
    amount: int
    token_id: int | None = None
    unlimited: bool = False
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Delegated:
    """``authority`` runs the code of ``delegate`` from now on (EIP-7702); the zero address ends that."""

    authority: str
    delegate: str
    any_chain: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """One call of a contract as people read it, with the calls it makes in turn.

    ``name`` is ``None`` for an unknown function; ``understood`` is true where its effects are among payments and
    allowances; ``delegate`` where the code called runs as the caller. ``value`` is in base units of the chain's coin.
    """

    to: str | None
    value: int
    name: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    understood: bool = True
    delegate: bool = False
    calls: tuple[Called, ...] = ()


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
    allowances: tuple[Granted, ...] = ()
    delegations: tuple[Delegated, ...] = ()
    calls: tuple[Called, ...] = ()

    @property
    def spending(self) -> tuple[Payment, ...]:
        """Payments, and allowances as payments to their spenders up to their amounts: what limits add up."""
        granted = [Payment(one.asset, one.spender, one.amount, None, one.token_id) for one in self.allowances]
        return (*self.payments, *[one for one in granted if one.amount])
