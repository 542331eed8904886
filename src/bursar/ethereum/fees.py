"""Fees of EIP-1559 transactions and their bumps; the least gas of one (EIP-2028, 2930, 3860, 7623, 7702, 7825)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bursar.errors import InvalidInputError
from bursar.ethereum.units import MAX_UINT256, Wei

if TYPE_CHECKING:
    from bursar.ethereum.transaction import UnsignedTransaction

TRANSFER_GAS = 21_000
AUTHORIZATION_GAS = 25_000  # EIP-7702, before what an account that exists already gets back
MAX_TRANSACTION_GAS = 1 << 24  # EIP-7825
MAX_INIT_CODE = 49_152  # EIP-3860
BUMP_PERCENT = 10  # a node's pool replaces a transaction from here on


def _invalid(message: str) -> InvalidInputError:
    return InvalidInputError(message, code="input.fee")


@dataclass(frozen=True, slots=True, kw_only=True)
class Eip1559Fees:
    """What a type 2 transaction offers for one gas, in wei: the most in all, and the tip within it."""

    max_fee_per_gas: Wei
    max_priority_fee_per_gas: Wei

    def __post_init__(self) -> None:
        if self.max_priority_fee_per_gas > self.max_fee_per_gas:
            raise _invalid("the tip is above the maximum fee per gas")

    @classmethod
    def from_quote(cls, *, base_fee: Wei, priority_fee: Wei, cap: Wei | None = None) -> Self:
        """Twice the base fee (six full blocks of rising) plus the tip; ``cap`` bounds the total, and refuses when it
        is below what the next block asks."""
        most = base_fee * 2 + priority_fee
        if cap is not None and most > cap:
            if cap < base_fee + priority_fee:
                need = Wei(base_fee + priority_fee).to_gwei_text()
                raise _invalid(
                    f"the cap of {cap.to_gwei_text()} is below the present price of gas, {need}: wait or raise it"
                )
            most = cap
        return cls(max_fee_per_gas=Wei(most), max_priority_fee_per_gas=Wei(priority_fee))

    def effective(self, base_fee: Wei) -> Wei:
        """The price of one gas, in wei, in a block with this base fee."""
        if base_fee > self.max_fee_per_gas:
            raise _invalid("the base fee is above the maximum fee per gas: the transaction waits")
        return Wei(min(self.max_fee_per_gas, base_fee + self.max_priority_fee_per_gas))

    def bumped(self, *, at_least: Eip1559Fees | None = None) -> Eip1559Fees:
        """The least fees with which a pool replaces a transaction that pays these, or ``at_least`` if higher."""
        fees = (bumped_price(self.max_fee_per_gas), bumped_price(self.max_priority_fee_per_gas))
        if at_least is not None:
            fees = (max(fees[0], at_least.max_fee_per_gas), max(fees[1], at_least.max_priority_fee_per_gas))
        return Eip1559Fees(max_fee_per_gas=Wei(fees[0]), max_priority_fee_per_gas=Wei(fees[1]))

    def check_replaces(self, old: Eip1559Fees) -> None:
        """InvalidInputError unless a pool would take these fees in place of ``old``: both 10 % up."""
        least = old.bumped()
        if self.max_fee_per_gas < least.max_fee_per_gas:
            raise _invalid(
                f"to replace it the maximum fee per gas must be {least.max_fee_per_gas.to_gwei_text()} or more"
            )
        if self.max_priority_fee_per_gas < least.max_priority_fee_per_gas:
            raise _invalid(f"to replace it the tip must be {least.max_priority_fee_per_gas.to_gwei_text()} or more")

    def to_json(self) -> dict[str, Any]:
        """These fees as JSON data."""
        return {
            "version": 1,
            "max_fee_per_gas": str(self.max_fee_per_gas),
            "max_priority_fee_per_gas": str(self.max_priority_fee_per_gas),
        }

    @classmethod
    def from_json(cls, data: object) -> Self:
        """The fees of :meth:`to_json`."""
        names = ("max_fee_per_gas", "max_priority_fee_per_gas")
        if not isinstance(data, dict) or set(data) != {"version", *names} or data["version"] != 1:
            raise _invalid("these are no stored fees of version 1")
        prices: dict[str, Wei] = {}
        for name in names:
            text = data[name]
            if not isinstance(text, str) or not (text.isascii() and text.isdigit() and len(text) <= 78):
                raise _invalid(f"{name} is a decimal text")
            prices[name] = Wei(int(text))
        return cls(**prices)

    def __str__(self) -> str:
        return f"{self.max_fee_per_gas.to_gwei_text()}, of it {self.max_priority_fee_per_gas.to_gwei_text()} tip"


def bumped_price(price: int) -> int:
    """The least price that replaces ``price`` in a pool: 10 % more, rounded up, and at least 1 wei more."""
    bumped = max(price + 1, -(-price * (100 + BUMP_PERCENT) // 100))
    if bumped > MAX_UINT256:
        raise _invalid("this price of gas cannot be raised further")
    return bumped


def padded_gas(estimate: int) -> int:
    """A gas limit from a node's estimate: a plain transfer as it is, anything else with a fifth more."""
    if estimate <= TRANSFER_GAS:
        return TRANSFER_GAS
    return min(estimate + estimate // 5, max(estimate, MAX_TRANSACTION_GAS))


def intrinsic_gas(tx: UnsignedTransaction) -> int:
    """The least gas limit consensus accepts for ``tx``, before any code runs (rules of the Prague fork)."""
    zeros = tx.data.count(0)
    others = len(tx.data) - zeros
    gas = TRANSFER_GAS + 4 * zeros + 16 * others
    if tx.to is None:
        gas += 32_000 + 2 * ((len(tx.data) + 31) // 32)
    gas += sum(2_400 + 1_900 * len(entry.storage_keys) for entry in tx.access_list)
    gas += AUTHORIZATION_GAS * len(tx.authorization_list)
    return max(gas, TRANSFER_GAS + 10 * (zeros + 4 * others))  # EIP-7623


def check_gas(tx: UnsignedTransaction, *, most: int | None = MAX_TRANSACTION_GAS) -> None:
    """InvalidInputError when every block would refuse ``tx`` for its gas limit or the size of its init code.

    ``most`` is the chain's limit for one transaction: that of EIP-7825, ``None`` on a chain without one.
    """
    need = intrinsic_gas(tx)
    if tx.gas_limit < need:
        raise _invalid(f"a gas limit of {tx.gas_limit} is below the {need} this transaction needs before it runs")
    if most is not None and tx.gas_limit > most:
        raise _invalid(f"a gas limit of {tx.gas_limit} is above {most}, the most for one transaction (EIP-7825)")
    if tx.to is None and len(tx.data) > MAX_INIT_CODE:
        raise _invalid(f"init code of {len(tx.data)} bytes is above {MAX_INIT_CODE} (EIP-3860)")
