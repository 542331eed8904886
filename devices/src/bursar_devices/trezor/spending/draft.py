"""A transaction as the device knows it while it is streamed: what was told first, and whose scripts it holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trezorlib.messages import InputScriptType, OutputScriptType

from bursar.bitcoin import script as bitcoin_script
from bursar.bitcoin.parts import OutPoint, Txid, TxIn, TxOut
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import Sats
from bursar.errors import InvalidInputError
from bursar_devices.trezor import scripts
from bursar_devices.trezor.bitcoin_keys import forbidden_path
from bursar_devices.trezor.coins import path_known
from bursar_devices.trezor.workflow import FailError, data_error, processing_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trezorlib import messages

    from bursar.keys.bip32 import ExtendedPrivateKey
    from bursar_devices.trezor.board import Board
    from bursar_devices.trezor.coins import Coin
    from bursar_devices.trezor.spending.change import ChangeDetector

SEQUENCE_FINAL = 0xFFFFFFFF
MAX_RBF_SEQUENCE = 0xFFFFFFFD


@dataclass(frozen=True, slots=True)
class Input:
    """An input as it was when first streamed, and the script it spends."""

    told: messages.TxInputType
    script: bytes

    @property
    def external(self) -> bool:
        return self.told.script_type == InputScriptType.EXTERNAL

    @property
    def segwit(self) -> bool:
        return self.told.script_type in scripts.SEGWIT

    def same(self, again: messages.TxInputType) -> bool:
        return bool(self.told == again)


def coin(amount: int, script: bytes) -> TxOut:
    """An output; the device sets no limit to its amount."""
    return TxOut(int.__new__(Sats, amount), script)


@dataclass(slots=True)
class Draft:
    """Inputs and outputs of one transaction, the one to sign or one it replaces."""

    version: int
    lock_time: int
    inputs_count: int
    outputs_count: int
    change: ChangeDetector
    inputs: list[Input] = field(default_factory=list)
    outputs: list[TxOut] = field(default_factory=list)
    total_in: int = 0
    external_in: int = 0
    total_out: int = 0
    change_out: int = 0

    @property
    def taproot_only(self) -> bool:
        """Whether no signature could be misused with a lie about amounts."""
        kinds = (InputScriptType.SPENDTAPROOT, InputScriptType.EXTERNAL)
        return all(entry.told.script_type in kinds for entry in self.inputs)

    @property
    def segwit(self) -> bool:
        return any(entry.segwit for entry in self.inputs)

    @property
    def lock_time_disabled(self) -> bool:
        return all(entry.told.sequence == SEQUENCE_FINAL for entry in self.inputs)

    @property
    def replaceable(self) -> bool:
        return any((entry.told.sequence or 0) <= MAX_RBF_SEQUENCE for entry in self.inputs)

    def transaction(self) -> Transaction:
        """The transaction without proofs."""
        inputs = [
            TxIn(OutPoint(Txid(entry.told.prev_hash[::-1]), entry.told.prev_index), b"", entry.told.sequence or 0)
            for entry in self.inputs
        ]
        return Transaction(self.version, inputs, self.outputs, self.lock_time)

    def digests(self) -> SighashCache:
        """Its signature hashes, with the amounts and scripts told."""
        return SighashCache(self.transaction(), [coin(entry.told.amount or 0, entry.script) for entry in self.inputs])


class Owner:
    """Our own scripts for paths, by the rules of one request."""

    def __init__(self, board: Board, coin_of: Coin, root: ExtendedPrivateKey) -> None:
        self.board = board
        self.coin = coin_of
        self._root = root
        self._parents: dict[tuple[int, ...], ExtendedPrivateKey] = {}

    def key(self, path: Sequence[int]) -> ExtendedPrivateKey:
        """The key at a path; its parent is derived once."""
        account = tuple(path[:-1])
        parent = self._parents.get(account)
        if parent is None:
            parent = self._parents[account] = self._root.derive(account)
        return parent.child(path[-1]) if path else parent

    def allow(self, path: Sequence[int]) -> None:
        """Refuse a path that is none of the coin's while safety checks are strict."""
        if self.board.strict and not path_known(self.coin, path, legacy=self.board.legacy):
            raise forbidden_path()

    def input_script(self, txi: messages.TxInputType) -> bytes:
        """What an input spends: the host's word for an external one, else derived."""
        if txi.script_type == InputScriptType.EXTERNAL:
            return txi.script_pubkey or b""
        self.allow(txi.address_n)
        try:
            return self._script(txi.script_type, txi.address_n, txi.multisig)
        except (FailError, InvalidInputError) as error:
            if self.board.legacy:
                raise processing_error("Failed to derive scriptPubKey") from error
            raise

    def output_script(self, txo: messages.TxOutputType) -> bytes:
        """Where an output goes."""
        if txo.script_type == OutputScriptType.PAYTOOPRETURN:
            return b"\x6a" + bitcoin_script.push(txo.op_return_data or b"")
        failed = processing_error("Failed to compile output")
        if txo.address_n:
            self.allow(txo.address_n)
            try:
                return self._script(owner_kind(txo), txo.address_n, txo.multisig)
            except (FailError, InvalidInputError) as error:
                if self.board.legacy:
                    raise failed from error
                raise
        found = scripts.script_of(txo.address or "", self.coin)
        if found is None:
            raise failed if self.board.legacy else data_error("Invalid address")
        return found

    def _script(
        self, kind: int | None, path: Sequence[int], multisig: messages.MultisigRedeemScriptType | None
    ) -> bytes:
        key = self.key(path).public_key
        if multisig is not None and key not in scripts.multisig_keys(multisig):
            raise data_error("Pubkey not found in multisig script")
        if multisig is not None and not self.board.legacy:
            scripts.check_threshold(multisig)
        return scripts.output_script(kind, key, multisig)


def owner_kind(txo: messages.TxOutputType) -> InputScriptType:
    """The script type of the input that would spend an output of ours."""
    return scripts.CHANGE_TYPES[txo.script_type or OutputScriptType.PAYTOADDRESS]
