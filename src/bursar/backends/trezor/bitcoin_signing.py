"""Signing a PSBT with a Trezor: the SignTx conversation, and its signatures put back (BIP-174, BIP-371)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.backends.trezor.bitcoin_keys import KeyBook, Path
from bursar.backends.trezor.bitcoin_request import Draft, unsigned
from bursar.backends.trezor.bitcoin_stream import Stream, misbehaved
from bursar.backends.trezor.exchange import Exchange, expect
from bursar.backends.trezor.public_keys import public_key_at
from bursar.bitcoin.sighash import ALL
from bursar.bitcoin.transaction import Transaction
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bursar.backends.trezor.abilities import Firmware
    from bursar.backends.trezor.bitcoin_own import OwnInput
    from bursar.bitcoin.network import Network
    from bursar.bitcoin.psbt import Psbt
    from bursar.keys.bip32 import ExtendedPublicKey
    from bursar.keys.origin import Fingerprint

_LONGEST_PROOF: Final = 4096
_SCHNORR: Final = 64


def sign_psbt(
    messages: Any,
    psbt: Psbt,
    *,
    fingerprint: Fingerprint,
    firmware: Firmware,
    network: Network | None = None,
    known: Mapping[Path, ExtendedPublicKey] | None = None,
    strict: bool = True,
    external_inputs: bool = False,
    original: Psbt | None = None,
) -> Exchange[Psbt]:
    """A copy of ``psbt`` with the device's signatures added and nothing else; ``psbt`` is not changed.

    ``network`` chooses the coin's name among the test networks (Testnet where it is not given). ``known`` spares
    asking for extended keys that the caller already had from this device, by path. ``strict`` is false where the
    device's safety checks are set to warn. ``external_inputs`` lets inputs be that others have signed and finalized.

    The keys named for inputs and change are re-derived from the device's own before anything is shown. An output is
    change only at ``account/1/index`` of an account of the inputs, with that account's script; any other is shown.

    ``original`` is the signed transaction this one replaces: the device then shows what changes, the fee; where it
    cannot be told so, ``NotExpressibleError`` before it is asked.

    ``InvalidInputError``: ``input.psbt.*`` (``.empty`` ``.duplicate-input`` ``.external`` ``.nothing-to-sign``
    ``.key`` ``.script`` ``.sighash`` ``.utxo`` ``.change`` ``.output``), ``input.path``. ``UnsupportedError``: what
    this firmware has no way to express. ``SignerMisbehavedError``: a device that leaves the protocol.
    """
    draft = Draft(
        psbt,
        fingerprint=fingerprint,
        network=network,
        firmware=firmware,
        strict=strict,
        external_inputs=external_inputs,
        original=original,
    )
    book = KeyBook(known or {})
    for path in book.missing(draft.paths()):
        book.add(path, (yield from public_key_at(messages, path)))
    request = draft.finish(messages, book)
    if not unsigned(request.own, psbt):
        raise InvalidInputError(
            "every input of this trezor is signed already: there is nothing to sign", code="input.psbt.nothing-to-sign"
        )
    stream = Stream(messages, request)
    harvest = Harvest(request.own, psbt.tx)
    reply = yield messages.SignTx(
        outputs_count=len(request.outputs),
        inputs_count=len(request.inputs),
        coin_name=request.coin_name,
        version=psbt.tx.version,
        lock_time=psbt.tx.locktime,
        serialize=False,
    )
    kind, finished = messages.TxRequest, messages.RequestType.TXFINISHED
    while True:
        expect(reply, kind)
        if reply.serialized is not None:
            harvest.take(reply.serialized)
        if reply.request_type == finished:
            return harvest.into(psbt)
        reply = yield stream.answer(reply)


class Harvest:
    """What the device hands back piece by piece: signatures by input, and from old firmware the transaction."""

    __slots__ = ("_chunks", "_own", "_room", "_signatures", "_tx")

    def __init__(self, own: list[OwnInput | None], tx: Transaction) -> None:
        self._own = own
        self._tx = tx
        self._signatures: dict[int, bytes] = {}
        self._chunks: list[bytes] = []
        self._room = len(tx.serialize()) + _LONGEST_PROOF * len(own)

    def take(self, part: Any) -> None:
        """One reply's ``serialized`` part."""
        index, signature = part.signature_index, part.signature
        if index is not None:
            if index >= len(self._own) or self._own[index] is None:
                raise misbehaved(f"it signed input {index}, which it was not asked to")
            if index in self._signatures:
                raise misbehaved(f"it signed input {index} twice")
            self._signatures[index] = self._checked(index, signature)
        elif signature:
            raise misbehaved("it gave a signature and did not say of which input")
        if part.serialized_tx:
            self._room -= len(part.serialized_tx)
            if self._room < 0:
                raise misbehaved("the transaction it hands back has no end")
            self._chunks.append(part.serialized_tx)

    def _checked(self, index: int, signature: bytes | None) -> bytes:
        own = self._own[index]
        size = len(signature or b"")
        fits = size == _SCHNORR if own is not None and own.taproot else 8 <= size <= 72
        if signature is None or not fits:
            raise misbehaved(f"its signature of input {index} has {size} bytes")
        return signature

    def into(self, psbt: Psbt) -> Psbt:
        """A copy of ``psbt`` with the signatures; those that it already has stay as they are."""
        missing = [index for index, own in enumerate(self._own) if own is not None and index not in self._signatures]
        if missing:
            raise misbehaved(f"it finished without a signature of input {missing[0]}")
        self._check_transaction()
        signed = psbt.copy()
        for index, own in enumerate(self._own):
            if own is None:
                continue
            one, signature = signed.inputs[index], self._signatures[index]
            if own.taproot:
                if one.tap_key_sig is None:
                    one.tap_key_sig = signature
            elif own.key not in one.partial_sigs:
                one.partial_sigs[own.key] = signature + bytes((ALL,))
        return signed

    def _check_transaction(self) -> None:
        """Firmware that cannot leave the transaction out hands it back whole: it must be the one asked for."""
        if not self._chunks:
            return
        try:
            whole = Transaction.parse(b"".join(self._chunks))
        except InvalidInputError as error:
            raise misbehaved("the transaction it hands back is none") from error
        ours, theirs = self._tx.pieces(), whole.pieces()
        if ours != theirs or (whole.version, whole.locktime) != (self._tx.version, self._tx.locktime):
            raise misbehaved("it hands back another transaction than the one it was given")
