"""Which output is change that needs no look: same wallet, same script type, same co-signers as every input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trezorlib.messages import InputScriptType, OutputScriptType

from bursar_devices.trezor import scripts
from bursar_devices.trezor.coins import MAX_CHANGE, MAX_INDEX
from bursar_devices.trezor.spending.rules import changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trezorlib import messages

_WALLET_DEPTH = 2
_Attribute = tuple[object, ...]


def _plain(kind: int | None) -> int | None:
    return InputScriptType.SPENDADDRESS if kind == InputScriptType.SPENDMULTISIG else kind


def _wallet(path: Sequence[int]) -> _Attribute | None:
    return tuple(path[:-_WALLET_DEPTH]) if len(path) > _WALLET_DEPTH else None


def _cosigners(multisig: messages.MultisigRedeemScriptType | None) -> _Attribute:
    return () if multisig is None else (scripts.multisig_fingerprint(multisig),)


@dataclass(slots=True)
class _Match:
    """The one value all inputs share, or the knowledge that they share none."""

    value: _Attribute | None = None
    seen: bool = False

    def add(self, value: _Attribute | None) -> None:
        if not self.seen:
            self.seen, self.value = True, value
        elif self.value != value:
            self.value = None

    def same(self, value: _Attribute | None) -> bool:
        return self.value is not None and self.value == value

    def changed(self, value: _Attribute | None) -> bool:
        return self.value is not None and self.value != value


@dataclass(slots=True)
class ChangeDetector:
    """Fed with the inputs, then asked about the outputs."""

    legacy: bool
    wallet: _Match = field(default_factory=_Match)
    kind: _Match = field(default_factory=_Match)
    signers: _Match = field(default_factory=_Match)

    def add_input(self, txi: messages.TxInputType) -> None:
        if txi.script_type == InputScriptType.EXTERNAL:
            return
        self.wallet.add(_wallet(txi.address_n))
        self.kind.add((_plain(txi.script_type),))
        self.signers.add(_cosigners(txi.multisig))

    def check_input(self, txi: messages.TxInputType) -> None:
        """Refuse an input that is no longer of the kind all inputs were."""
        if (
            self.wallet.changed(_wallet(txi.address_n))
            or self.kind.changed((_plain(txi.script_type),))
            or self.signers.changed(_cosigners(txi.multisig))
        ):
            raise changed(legacy=self.legacy)

    def is_change(self, txo: messages.TxOutputType) -> bool:
        kind = scripts.CHANGE_TYPES.get(txo.script_type or OutputScriptType.PAYTOADDRESS)
        if kind is None or not txo.address_n or len(txo.address_n) < _WALLET_DEPTH:
            return False
        if txo.multisig is not None and not scripts.uses_one_path(txo.multisig):
            return False
        branch, index = txo.address_n[-2:]
        return (
            self.signers.same(_cosigners(txo.multisig))
            and self.wallet.same(_wallet(txo.address_n))
            and self.kind.same((_plain(kind),))
            and branch <= MAX_CHANGE
            and index <= MAX_INDEX
            and (self.legacy or txo.amount > 0)
        )
