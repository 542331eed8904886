"""The effects of a transaction as values: movements, allowances, delegations, cautions and the calls behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.ethereum.address import Address
    from bursar.ethereum.token import Token
    from bursar.ethereum.units import Wei


@dataclass(frozen=True, slots=True)
class Movement:
    """Value that leaves the sender: ``amount`` in wei, or in base units of ``contract`` when that is set.

    ``token_id`` is the number of the token that moves (ERC-721, ERC-1155), ``amount`` of it.
    """

    recipient: Address
    amount: int
    contract: Address | None = None
    token: Token | None = None
    owner: Address | None = None  # whose tokens move, when not the sender's own (transferFrom, a Safe's)
    token_id: int | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """A spender who may take up to ``amount`` base units of ``contract``, now or later; 0 takes that back.

    ``token_id`` is the one token it may take, ``everything`` is true where it may take all of them (ERC-721, ERC-1155).
    ``until`` is when it ends, in seconds since 1970; ``owner`` whose tokens they are, when not the sender's own.
    """

    spender: Address
    amount: int
    contract: Address
    token: Token | None
    unlimited: bool
    token_id: int | None = None
    everything: bool = False
    until: int | None = None
    owner: Address | None = None


@dataclass(frozen=True, slots=True)
class Delegation:
    """``authority`` runs the code of ``delegate`` from now on (EIP-7702), which may do all its key may; zero ends it.

    ``effective`` is false where the nonce shows that chains will skip it.
    """

    authority: Address
    delegate: Address
    any_chain: bool
    nonce: int
    effective: bool = True


@dataclass(frozen=True, slots=True)
class Caution:
    """Something a human should weigh; ``code`` is stable."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class CallView:
    """One call for people: ``name`` is the function's (``None``: unknown), ``arguments`` each a label and a text.

    ``understood`` is true where what it does is among the effects; ``delegate`` where the code called runs as the
    caller. ``calls`` are those it makes in turn.
    """

    to: Address | None
    value: int
    name: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    understood: bool = True
    delegate: bool = False
    calls: tuple[CallView, ...] = ()


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of one transaction, decoded; ``decoded`` is false when calldata or init code stays opaque.

    ``delegate_call`` is true where code outside the well-known contracts runs as an account, and can do anything.
    """

    movements: tuple[Movement, ...]
    allowances: tuple[Allowance, ...]
    decoded: bool
    max_fee: Wei
    cautions: tuple[Caution, ...] = ()
    delegations: tuple[Delegation, ...] = ()
    calls: tuple[CallView, ...] = ()
    delegate_call: bool = False
