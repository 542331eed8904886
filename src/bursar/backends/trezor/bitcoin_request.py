"""A PSBT (BIP-174, BIP-371) in a Trezor's terms: inputs, outputs, previous transactions; nothing is guessed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from bursar.backends.trezor import bitcoin_paths as paths
from bursar.backends.trezor.bitcoin_keys import KeyBook, Named, Path, named_keys
from bursar.backends.trezor.bitcoin_multisig import (
    Cosigners,
    MultisigScript,
    Placed,
    all_sorted,
    multisig_of,
    redeem_message,
)
from bursar.backends.trezor.bitcoin_outputs import Homes, Outputs
from bursar.backends.trezor.bitcoin_own import OwnInput
from bursar.backends.trezor.bitcoin_replacement import tell
from bursar.bitcoin.account import single_key_script
from bursar.bitcoin.script import ScriptType, classify
from bursar.bitcoin.sighash import ALL, DEFAULT
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.backends.trezor.abilities import Firmware
    from bursar.backends.trezor.bitcoin_replacement import Original
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import Psbt, PsbtInput
    from bursar.bitcoin.transaction import Transaction, TxOut

_IN_BIP32: Final = 0x06
_IN_TAP_BIP32: Final = 0x16
_FINAL_WITNESS: Final = b"\x08"
_SINGLE: Final = frozenset(paths.INPUT_TYPES)


@dataclass(slots=True)
class SigningRequest:
    """What the device is asked and told. ``own`` has an entry per input, ``None`` for those it does not sign."""

    coin_name: str
    own: list[OwnInput | None] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    previous: dict[bytes, Transaction] = field(default_factory=dict)
    original: Original | None = None


class Draft:
    """One PSBT on its way to a ``SigningRequest``: ``paths()`` are the keys needed, ``finish()`` makes the request."""

    def __init__(
        self,
        psbt: Psbt,
        *,
        fingerprint: bytes,
        network: Network | None,
        firmware: Firmware,
        strict: bool,
        external_inputs: bool,
        original: Psbt | None = None,
    ) -> None:
        self._psbt = psbt
        self._original = original
        self._firmware = firmware
        self._strict = strict
        self._external = external_inputs
        self._spent = [psbt.utxo(index) for index in range(len(psbt.inputs))]
        self._check_shape()
        self._named = [named_keys(one.fields, fingerprint, _IN_BIP32, _IN_TAP_BIP32) for one in psbt.inputs]
        for index, one in enumerate(psbt.inputs):
            if one.is_final:
                self._named[index] = []
        first = next((named[0] for named in self._named if named), None)
        if first is None:
            raise _refused(
                "nothing-to-sign",
                f"no input still to be signed names a key of {fingerprint.hex()}: choose another signer",
            )
        self._network = paths.network_of(first[1], network)
        self._scripts = [
            multisig_of(one, spent.script) if named else None
            for one, spent, named in zip(psbt.inputs, self._spent, self._named, strict=True)
        ]
        for index, one in enumerate(psbt.inputs):
            self._check_named(index, one, self._named[index], multisig=self._scripts[index] is not None)
        self._outputs = Outputs(psbt, fingerprint, self._network, firmware)
        self._old_outputs = None if original is None else Outputs(original, fingerprint, self._network, firmware)

    def paths(self) -> list[Path]:
        """The paths of every key needed, inputs first."""
        needed = [path for named in self._named for _, path in named]
        accounts = {path[:-2] for path in needed}
        old = [] if self._old_outputs is None else self._old_outputs.paths(accounts)
        return needed + self._outputs.paths(accounts) + old

    def finish(self, messages: Any, book: KeyBook) -> SigningRequest:
        """The request, every key of ours re-derived through ``book``.

        ``InvalidInputError`` (``input.psbt.*``, ``input.path``) and ``UnsupportedError`` as ``sign_psbt`` says;
        ``NotExpressibleError`` where there is an original and the device cannot be told of it.
        """
        request = SigningRequest(paths.coin_name(self._network, self._firmware))
        homes = Homes()
        cosigners = Cosigners(self._psbt) if any(self._scripts) else None
        old_scripts = () if self._old_outputs is None else self._old_outputs.scripts
        sort = self._firmware.sorted_multisig and all_sorted((*self._scripts, *self._outputs.scripts, *old_scripts))
        for index, (one, spent, named) in enumerate(zip(self._psbt.inputs, self._spent, self._named, strict=True)):
            own, script = None, self._scripts[index]
            if script is not None and cosigners is not None:
                placed = cosigners.place(script, one.bip32_derivations)
                own = self._shared(index, one, script, placed, named, book)
                own = replace(own, multisig=redeem_message(messages, script, placed, sort=sort))
            elif named:
                own = self._own(index, one, spent, named, book)
            request.own.append(own)
            if own is not None:
                homes.add(own.path[:-2], own.script_type, own.placed)
            request.inputs.append(self._input(messages, index, one, spent, own))
        request.outputs = self._outputs.messages(messages, book, homes, cosigners, sort=sort)
        if not all(own is None or own.taproot for own in request.own):
            self._previous(request.previous)
        if self._original is not None and self._old_outputs is not None:
            old = self._old_outputs.messages(messages, book, homes, cosigners, sort=sort)
            request.original = tell(
                messages,
                self._psbt,
                self._original,
                own=request.own,
                inputs=request.inputs,
                outputs=request.outputs,
                old_outputs=old,
                firmware=self._firmware,
            )
        return request

    def _check_shape(self) -> None:
        psbt, most = self._psbt, self._firmware.most_inputs
        if not psbt.tx.inputs or not psbt.tx.outputs:
            raise _refused("empty", "the transaction has no inputs or no outputs: build it again")
        if len({spending.outpoint for spending in psbt.tx.inputs}) != len(psbt.tx.inputs):
            raise _refused("duplicate-input", "an outpoint is spent twice: such a transaction is never valid")
        if most is not None and len(psbt.inputs) > most:
            raise self._firmware.cannot(
                f"{len(psbt.inputs)} inputs are more than the {most} it signs at once: split the transaction",
                "sign_psbt",
            )

    def _check_named(self, index: int, one: PsbtInput, named: list[Named], *, multisig: bool) -> None:
        check = paths.check_multisig_path if multisig else paths.check_path
        for _, path in named:
            paths.network_of(path, self._network)
            check(path, self._network, strict=self._strict)
        if named:
            return
        if not one.is_final:
            raise _refused(
                "external",
                f"input {index} names no key of this trezor, which signs only where it knows every input's owner: have "
                "the others sign and finalize theirs first, then allow external inputs for this job",
            )
        if not self._external:
            raise _refused(
                "external",
                f"input {index} is signed already and not by this trezor now: allow external inputs for this job",
            )
        if self._firmware.legacy and self._strict:
            raise self._firmware.cannot(f"input {index} is external, and this model takes none", "sign_psbt")
        most = self._firmware.longest_witness
        if most is not None and len(one.fields.get(_FINAL_WITNESS, b"")) > most:
            raise self._firmware.cannot(f"input {index} is external with a longer witness than it reads", "sign_psbt")

    def _own(self, index: int, one: PsbtInput, spent: TxOut, named: list[Named], book: KeyBook) -> OwnInput:
        kind = _kind(index, one, spent.script)
        if kind is ScriptType.P2TR and not self._firmware.taproot:
            raise self._firmware.cannot(
                f"input {index} is taproot, which this firmware does not know: update it", "sign_psbt"
            )
        _check_sighash(index, one, kind)
        for key, path in named:
            derived = book.key(path)
            if (derived[1:] if kind is ScriptType.P2TR else derived) != key:
                raise _refused(
                    "key", f"input {index} names the key {key.hex()}, which is not this trezor's at {paths.text(path)}"
                )
            if single_key_script(kind, derived) == spent.script:
                return OwnInput(paths.INPUT_TYPES[kind], key, path, kind)
        raise _refused("key", f"input {index} names the key {named[0][0].hex()}, which its script does not contain")

    def _shared(
        self,
        index: int,
        one: PsbtInput,
        script: MultisigScript,
        placed: Placed | None,
        named: list[Named],
        book: KeyBook,
    ) -> OwnInput:
        """A multisig input, to be signed with the first key of ours that has not signed yet."""
        _check_sighash(index, one, ScriptType.P2WSH)
        ours: list[Named] = []
        for key, path in named:
            if book.key(path) != key or key not in script.keys:
                raise _refused(
                    "key", f"input {index} names the key {key.hex()}, which is not this trezor's or not of the script"
                )
            ours.append((key, path))
        signed = one.partial_sigs
        key, path = next((each for each in ours if each[0] not in signed), ours[0])
        return OwnInput(script.spend, key, path, placed=placed)

    def _input(self, messages: Any, index: int, one: PsbtInput, spent: TxOut, own: OwnInput | None) -> Any:
        (txid, vout), _, sequence, _ = self._psbt.tx.inputs[index]
        prev_hash, amount = txid[::-1], int(spent.value)
        if own is not None:
            return messages.TxInput(
                address_n=list(own.path),
                prev_hash=prev_hash,
                prev_index=vout,
                sequence=sequence,
                script_type=messages.InputScriptType[own.spend],
                multisig=own.multisig,
                amount=amount,
            )
        return messages.TxInput(
            prev_hash=prev_hash,
            prev_index=vout,
            script_sig=one.final_script_sig,
            sequence=sequence,
            script_type=messages.InputScriptType.EXTERNAL,
            amount=amount,
            witness=one.fields.get(_FINAL_WITNESS),
            script_pubkey=spent.script,
        )

    def _previous(self, previous: dict[bytes, Transaction]) -> None:
        """Every previous transaction: the device holds all amounts to them unless all it signs is taproot."""
        for index, (one, spending) in enumerate(zip(self._psbt.inputs, self._psbt.tx.inputs, strict=True)):
            before = one.non_witness_utxo
            if before is None:
                raise _refused(
                    "utxo", f"input {index} comes without its previous transaction, which a trezor demands: add it"
                )
            key = spending.outpoint.txid[::-1]
            if key not in previous:
                self._check_sizes(index, before)
                previous[key] = before

    def _check_sizes(self, index: int, before: Transaction) -> None:
        script, script_sig = self._firmware.longest_script, self._firmware.longest_script_sig
        if script is None or script_sig is None:
            return
        if any(len(output.script) > script for output in before.outputs) or any(
            len(spending.script_sig) > script_sig for spending in before.inputs
        ):
            raise self._firmware.cannot(
                f"the previous transaction of input {index} has a script longer than it reads: spend this coin by "
                "another signer",
                "sign_psbt",
            )


def _kind(index: int, one: PsbtInput, script: bytes) -> ScriptType:
    kind = classify(script)
    redeem = one.redeem_script
    if kind is ScriptType.P2SH:
        if redeem is None or hash160(redeem) != script[2:22]:
            raise _refused(
                "script", f"input {index}: its redeem script is missing or is not the one of the spent output"
            )
        if classify(redeem) is ScriptType.P2WPKH:
            return ScriptType.P2SH_P2WPKH
    elif redeem is not None:
        raise _refused("script", f"input {index}: its redeem script belongs to no pay-to-script-hash output")
    if kind not in _SINGLE:
        raise _refused("script", f"input {index} has a script a trezor signs nothing for ({kind.value})")
    if kind is ScriptType.P2TR and one.tap_merkle_root is not None:
        raise _refused("script", f"input {index} has a taproot script tree: a trezor signs for keys without one only")
    return kind


def _check_sighash(index: int, one: PsbtInput, kind: ScriptType) -> None:
    asked = one.sighash_type
    if asked is None or asked == (DEFAULT if kind is ScriptType.P2TR else ALL):
        return
    if kind is ScriptType.P2TR and asked == ALL:
        raise _refused("sighash", f"taproot input {index} asks for hash type ALL: a trezor signs DEFAULT, ask for that")
    raise _refused("sighash", f"input {index} asks for hash type 0x{asked:02x}: a trezor signs nothing but ALL")


def _refused(cause: str, reason: str) -> InvalidInputError:
    return InvalidInputError(f"psbt refused: {reason}", code=f"input.psbt.{cause}")


def unsigned(own: Sequence[OwnInput | None], psbt: Psbt) -> bool:
    """Whether any input of ours still lacks its signature."""
    for one, mine in zip(psbt.inputs, own, strict=True):
        if mine is None:
            continue
        if mine.taproot:
            if one.tap_key_sig is None:
                return True
        elif mine.key not in one.partial_sigs:
            return True
    return False
