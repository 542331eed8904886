"""In which way an account's coins are spent: keys, scripts, timelocks, and what that takes, in words."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.accounts import change_branch, descriptor_of
from bursar.bitcoin.coins import Coin, CoinKey, CoinScript
from bursar.bitcoin.draft import ChangeKey
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, ripemd160, sha256, sha256d
from bursar.errors import InvalidInputError
from bursar.wallet.signature_needs import assets_of, signature_needs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.descriptors.plan import Assets, SpendPlan
    from bursar.bitcoin.descriptors.spending import Spending
    from bursar.bitcoin.psbt import Psbt
    from bursar.chain.protocols import BlockRef
    from bursar.wallet.balances import Output
    from bursar.wallet.coin_control import SpendWith
    from bursar.wallet.signature_needs import SignatureNeeds

_BEHIND = 7200  # median time past lags behind the time of the tip by about an hour
_PREIMAGE_FIELDS = ((b"\x0a", ripemd160), (b"\x0b", sha256), (b"\x0c", hash160), (b"\x0d", sha256d))  # BIP-174


@dataclass(slots=True)
class SpendPaths:
    """How the coins of ``account`` are spent at ``tip``, given what is at hand."""

    account: ScriptAccount
    choice: SpendWith
    tip: BlockRef | None
    _patterns: dict[int | None, SpendPlan | None] = field(default_factory=dict)
    _template: Spending | None = None

    def _assets(self, age: int | None) -> Assets:
        found = assets_of(self.choice)
        if age is None or self.tip is None:
            return found
        return replace(found, age=age, height=self.tip.height, time=self.tip.time - _BEHIND)

    def _age(self, height: int | None) -> int:
        return 0 if height is None or self.tip is None else max(0, self.tip.height - height + 1)

    def plan(self, branch: int, index: int, height: int | None) -> SpendPlan | None:
        """The way a coin at one place and of a block of ``height`` is spent; ``None`` where none is open."""
        locked = None if self.choice.locks else self._pattern(None)
        if locked is not None:
            return self._planned(branch, index, None)
        return self._planned(branch, index, self._age(height))

    def _planned(self, branch: int, index: int, age: int | None) -> SpendPlan | None:
        try:
            return descriptor_of(self.account).plan(branch, index, self._assets(age))
        except InvalidInputError as error:
            if error.code != "input.descriptor.plan":
                raise
            return None

    def _pattern(self, age: int | None) -> SpendPlan | None:
        """The plan at the first place: those at other places weigh the same."""
        if age not in self._patterns:
            self._patterns[age] = self._planned(0, 0, age)
        return self._patterns[age]

    def pattern(self, height: int | None) -> SpendPlan | None:
        """How a coin of a block of ``height`` is spent, wherever it stands: its keys are those of another place."""
        found = None if self.choice.locks else self._pattern(None)
        return found or self._pattern(self._age(height))

    def sketch(self, output: Output) -> Coin | None:
        """The output as a coin that can be chosen but not yet spent; ``None`` where no way to spend it is open."""
        key: CoinKey | CoinScript
        if isinstance(self.account, BitcoinAccount):
            key = CoinKey(b"", self.account.origin, self.account.script_type)
        else:
            plan = self.pattern(output.height)
            if plan is None:
                return None
            if self._template is None:
                full = self.account.spending(0, 0)
                self._template = replace(full, origins={}, leaves=(), tap_origins={})
            spending = replace(self._template, script=output.script)
            key = CoinScript(spending, plan.input_weight, plan.sequence, plan.locktime)
        return Coin(
            outpoint=OutPoint(Txid.from_text(output.txid), output.vout),
            output=TxOut(Sats(output.value), output.script),
            key=key,
            height=output.height,
            coinbase=output.coinbase,
        )

    def key(self, branch: int, index: int, height: int | None = None) -> CoinKey | CoinScript:
        """What spends a coin at one place; ``InvalidInputError`` (``input.descriptor.plan``) where nothing does."""
        account = self.account
        if isinstance(account, BitcoinAccount):
            return CoinKey(account.key(branch, index), account.key_origin(branch, index), account.script_type)
        plan = self.plan(branch, index, height)
        if plan is None:
            raise InvalidInputError(
                f"no way to spend the coin at {account.place(branch, index)} is open with what is at hand: name other "
                "signers or preimages, or wait",
                code="input.descriptor.plan",
            )
        return CoinScript(account.spending(branch, index), plan.input_weight, plan.sequence, plan.locktime)

    def complete(self, coin: Coin, place: tuple[int, int], previous: Transaction | None) -> Coin:
        """A sketched coin with what spends it and the transaction that made it."""
        return replace(coin, key=self.key(*place, coin.height), previous=previous)

    def change(self, index: int) -> ChangeKey:
        """The change output at ``index``, weighed by the way new coins are spent."""
        account, branch = self.account, change_branch(self.account)
        if isinstance(account, BitcoinAccount):
            return ChangeKey.of(self.key(branch, index))
        plan = self._planned(branch, index, None) or self._planned(branch, index, 1 << 16)
        weight = descriptor_of(account).max_input_weight(branch, index) if plan is None else plan.input_weight
        return ChangeKey.of(CoinScript(account.spending(branch, index), weight))

    def reveal(self, psbt: Psbt, places: Mapping[int, tuple[int, int, int | None]]) -> None:
        """Write the preimages that the planned ways need into the inputs; ``places`` gives branch, index, height."""
        if isinstance(self.account, BitcoinAccount) or not self.choice.preimages:
            return
        preimages = [bytes.fromhex(text) for text in self.choice.preimages]
        for number, (branch, index, height) in places.items():
            plan = self.plan(branch, index, height)
            for hashed in () if plan is None else plan.preimages:
                for kind, make in _PREIMAGE_FIELDS:
                    for preimage in preimages:
                        if make(preimage) == hashed:
                            psbt.inputs[number].fields[kind + hashed] = preimage

    def needs(self, psbt: Psbt) -> SignatureNeeds | None:
        """What it takes to sign the inputs; ``None`` for an account of one key."""
        if isinstance(self.account, BitcoinAccount):
            return None
        return signature_needs(self.account, self.choice, psbt)
