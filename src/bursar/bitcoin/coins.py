"""Coins, what spends them, and what a selection of them is asked for and answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from bursar.bitcoin.account import single_key_script
from bursar.bitcoin.script import ScriptType, classify, dust_threshold, p2wpkh, witness_program
from bursar.bitcoin.units import FeeRate, Sats
from bursar.bitcoin.weight import input_weight
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bursar.bitcoin.descriptors.spending import Spending
    from bursar.bitcoin.package import AncestorPackage
    from bursar.bitcoin.psbt import PsbtInput, PsbtOutput
    from bursar.bitcoin.transaction import OutPoint, Transaction, TxOut
    from bursar.keys.origin import KeyOrigin

LONG_TERM_RATE: Final = FeeRate(10_000)
"""What spending a coin is expected to cost one day: below it, more inputs are welcome; above, fewer."""
CHANGE_TARGET: Final = 50_000
"""The least change in satoshi a selection with change aims for, so that change stays worth spending (as Core does)."""
MAX_STANDARD_WEIGHT: Final = 400_000
"""Nodes relay no transaction heavier than this."""
SEGWIT: Final = 1
PACKAGED: Final = 2  # it has a package
BOUND: Final = 4  # a coinbase output, or one with a timelock
TRAIT_BITS: Final = 3
_traits = attrgetter("traits")


@dataclass(frozen=True, slots=True)
class CoinKey:
    """The one key that spends a coin: compressed public key (33 bytes), where it comes from, and how it is used."""

    public_key: bytes
    origin: KeyOrigin
    script_type: ScriptType
    sequence: ClassVar[None] = None
    locktime: ClassVar[None] = None

    @property
    def script(self) -> bytes:
        """The output script it spends."""
        return single_key_script(self.script_type, self.public_key)

    @property
    def input_weight(self) -> int:
        """The weight units of a signed input, without the one a legacy input costs among segwit ones."""
        return input_weight(self.script_type)

    @property
    def segwit(self) -> bool:
        """Whether spending it puts data in the witness."""
        return self.script_type.segwit

    @property
    def taproot(self) -> bool:
        """Whether signatures commit to the amounts of all inputs, so that no previous transaction is needed."""
        return self.script_type is ScriptType.P2TR

    def describe_input(self, one: PsbtInput, coin: Coin) -> None:
        """Write script and key origin into the input that spends ``coin``, whose script must be this one."""
        _check_script(self.script, coin.output.script, f"coin {coin.outpoint}", str(self.origin))
        self._describe(one)

    def describe_output(self, one: PsbtOutput) -> None:
        """Write script and key origin into an output, so that signers know it as change."""
        self._describe(one)

    def _describe(self, one: PsbtInput | PsbtOutput) -> None:
        if self.taproot:
            internal = self.public_key[1:]
            one.tap_internal_key = internal
            one.tap_bip32_derivations[internal] = ((), self.origin)
            return
        if self.script_type is ScriptType.P2SH_P2WPKH:
            one.redeem_script = p2wpkh(hash160(self.public_key))
        one.bip32_derivations[self.public_key] = self.origin


@dataclass(frozen=True, slots=True)
class CoinScript:
    """What spends a coin of any descriptor: its scripts and keys, and the way it is meant to be spent.

    ``input_weight`` counts as ``bursar.bitcoin.weight.input_weight`` does. ``sequence`` and ``locktime`` are what the
    timelocks of that way ask for, ``None`` where there is none.
    """

    spending: Spending
    input_weight: int
    sequence: int | None = None
    locktime: int | None = None
    segwit: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.input_weight <= 4 * 41:
            raise InvalidInputError(
                f"an input of {self.input_weight} weight units does not exist: give that of the signed input",
                code="input.coin.key",
            )
        if not 0 <= (self.sequence or 0) < 0xFFFFFFFF or not 0 <= (self.locktime or 0) <= 0xFFFFFFFF:
            raise InvalidInputError(
                f"sequence {self.sequence} or locktime {self.locktime} does not keep a timelock: take its plan's",
                code="input.coin.key",
            )
        inner = self.spending.redeem_script or self.spending.script
        object.__setattr__(self, "segwit", witness_program(inner) is not None)

    @property
    def script(self) -> bytes:
        """The output script it spends."""
        return self.spending.script

    @property
    def taproot(self) -> bool:
        """Whether signatures commit to the amounts of all inputs, so that no previous transaction is needed."""
        return self.spending.script.startswith(b"\x51\x20")

    def describe_input(self, one: PsbtInput, coin: Coin) -> None:
        """Write scripts and key origins into the input that spends ``coin``, whose script must be this one."""
        _check_script(self.script, coin.output.script, f"coin {coin.outpoint}", "its scripts")
        self.spending.describe_input(one)

    def describe_output(self, one: PsbtOutput) -> None:
        """Write scripts and key origins into an output, so that signers know it as change."""
        self.spending.describe_output(one)


def _check_script(made: bytes, script: bytes, what: str, key: str) -> None:
    if made != script:
        raise InvalidInputError(f"{what} does not belong to {key}: its script is another", code="input.coin.key")


@dataclass(frozen=True, slots=True)
class Coin:
    """A spendable output. ``height`` is ``None`` while unconfirmed; ``previous`` is the transaction that made it.

    ``package`` is what an unconfirmed coin stands on. ``input_weight`` is what spending it adds to a transaction, in
    weight units; ``segwit`` whether in the witness (a legacy input among segwit ones adds one unit more). ``traits`` is
    both in one number, with the bits ``PACKAGED`` and ``BOUND``: one glance at each coin is enough.
    """

    outpoint: OutPoint
    output: TxOut
    key: CoinKey | CoinScript
    height: int | None = None
    coinbase: bool = False
    previous: Transaction | None = field(default=None, repr=False, compare=False)
    package: AncestorPackage | None = field(default=None, repr=False, compare=False)
    input_weight: int = field(init=False, repr=False, compare=False)
    segwit: bool = field(init=False, repr=False, compare=False)
    traits: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key = self.key
        weight, segwit = key.input_weight, key.segwit
        traits = weight << TRAIT_BITS
        if segwit:
            traits |= SEGWIT
        if self.package is not None:
            traits |= PACKAGED
        if self.coinbase or key.sequence is not None or key.locktime:
            traits |= BOUND
        object.__setattr__(self, "input_weight", weight)
        object.__setattr__(self, "segwit", segwit)
        object.__setattr__(self, "traits", traits)


def traits_of(coins: Iterable[Coin]) -> set[int]:
    """The few different ``traits`` among many coins."""
    return set(map(_traits, coins))


@dataclass(frozen=True, slots=True)
class Target:
    """What a selection must pay: the sum and the scripts of the payments, and where change would go.

    ``change_input_weight`` is the weight of the input that will spend the change; ``None`` takes that of a single key.
    ``fixed`` coins are spent in any case. With ``fee_included`` the fee comes out of ``amount`` instead of on top of
    it. ``max_weight`` is what the transaction may weigh at most.
    """

    amount: Sats
    outputs: tuple[bytes, ...]
    change_script: bytes
    change_input_weight: int | None = None
    fixed: tuple[Coin, ...] = ()
    fee_included: bool = False
    max_weight: int = MAX_STANDARD_WEIGHT

    @property
    def min_change(self) -> int:
        """Less than this is left to the miners: dust, or not worth spending at the long-term rate."""
        return max(dust_threshold(self.change_script), LONG_TERM_RATE.fee(-(-self.change_spend_weight // 4)))

    @property
    def change_spend_weight(self) -> int:
        """The weight of the input that will spend the change."""
        if self.change_input_weight is not None:
            return self.change_input_weight
        kind = classify(self.change_script)
        return input_weight(ScriptType.P2SH_P2WPKH if kind is ScriptType.P2SH else kind)


@dataclass(frozen=True, slots=True)
class Selection:
    """The chosen coins, the fee and the change (0: none); ``fee + change + target == sum of the coins``.

    With ``fee_included`` the payments get ``sum - fee - change`` instead of the target. ``bump`` is the part of the
    fee that pays for unconfirmed ancestors. ``waste`` is Core's metric in satoshi: what the inputs cost now over what
    they would cost at the long-term rate, plus the excess given away or the cost of making and spending the change.
    """

    coins: tuple[Coin, ...]
    fee: Sats
    change: Sats
    weight: int
    waste: int
    algorithm: str
    bump: Sats = Sats(0)  # noqa: RUF009  (immutable)


class CoinSelector(Protocol):
    """Chooses coins, the fixed among them; ``InsufficientFundsError`` when all do not pay the target and its fee."""

    def select(self, coins: Sequence[Coin], *, target: Target, fee_rate: FeeRate) -> Selection: ...
