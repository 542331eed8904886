"""The weight the device expects, from which it knows a fee that is too high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trezorlib.messages import InputScriptType

from bursar_devices.trezor import scripts

if TYPE_CHECKING:
    from trezorlib import messages

_INPUT, _OUTPUT = 40, 8
_SIGNATURE, _SCHNORR, _KEY = 72, 64, 33
_GUESSES = {
    0x76: InputScriptType.SPENDADDRESS,
    0xA9: InputScriptType.SPENDP2SHWITNESS,
    0x00: InputScriptType.SPENDWITNESS,
    0x51: InputScriptType.SPENDTAPROOT,
}


def _count_size(count: int) -> int:
    return 1 if count < 253 else 3 if count < 0x10000 else 5


def _push_size(length: int) -> int:
    return 1 if length < 0x4C else 2 if length < 0x100 else 3


@dataclass(slots=True)
class Weight:
    """Grows with every input and output."""

    legacy: bool
    inputs: int = 0
    outputs: int = 0
    segwit: int = 0
    body: int = 0

    def add_input(self, txi: messages.TxInputType) -> None:
        self.inputs += 1
        kind = txi.script_type
        self.body += 4 * _INPUT
        if kind == InputScriptType.EXTERNAL:
            if self.legacy or not (txi.script_sig or txi.witness):
                kind = _GUESSES.get((txi.script_pubkey or b"\xff")[0], kind)
            if kind == InputScriptType.EXTERNAL:
                self._add_signed(txi)
                return
        size = _script_size(txi.multisig, kind)
        if kind in scripts.SEGWIT:
            self.segwit += 1
            nested = 2 + (34 if txi.multisig is not None else 22)
            self.body += 4 * (nested if kind == InputScriptType.SPENDP2SHWITNESS else 1)
            self.body += 1 + size
        else:
            self.body += 4 * (size + _count_size(size))

    def _add_signed(self, txi: messages.TxInputType) -> None:
        """Someone else's input as it is; a Trezor One leaves its script out."""
        if not self.legacy:
            script, witness = len(txi.script_sig or b""), len(txi.witness or b"")
            self.segwit += witness > 1
            self.body += 4 * (_count_size(script) + script) + witness

    def add_output(self, script: bytes) -> None:
        self.outputs += 1
        self.body += 4 * (_OUTPUT + _count_size(len(script)) + len(script))

    @property
    def total(self) -> int:
        base = 4 * (8 + _count_size(self.inputs) + _count_size(self.outputs))
        if self.segwit:
            base += 2 + self.inputs - self.segwit
        return base + self.body


def _script_size(multisig: messages.MultisigRedeemScriptType | None, kind: int | None) -> int:
    if multisig is not None:
        script = 3 + len(scripts.cosigners(multisig)) * (1 + _KEY)
        length = _count_size(script) if kind in scripts.SEGWIT else _push_size(script)
        return 1 + multisig.m * (1 + _SIGNATURE) + script + length
    if kind == InputScriptType.SPENDTAPROOT:
        return 1 + _SCHNORR
    return 1 + _SIGNATURE + 1 + _KEY
