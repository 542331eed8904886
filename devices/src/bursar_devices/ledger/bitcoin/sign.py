"""SIGN_PSBT: a PSBT, once read, is reviewed by the human and signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin import script as scripts
from bursar.bitcoin.wire import compact_size
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError
from bursar_devices.device import Lie
from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.bitcoin import tapscript
from bursar_devices.ledger.bitcoin.host import YIELD, Asking, Host
from bursar_devices.ledger.bitcoin.paths import ForbiddenPathError, Keyring
from bursar_devices.ledger.bitcoin.psbt_fields import Detail, In, Piece, incorrect
from bursar_devices.ledger.bitcoin.reading import OwnKey, Reading
from bursar_devices.ledger.bitcoin.scripts import leaf_hash, leaf_script, segwit_version, tree_root
from bursar_devices.ledger.task import Interrupt, Review, Settings, Task

if TYPE_CHECKING:
    from collections.abc import Generator

    from bursar_devices.ledger.bitcoin.pages import Screens
    from bursar_devices.ledger.bitcoin.policy import Place

_LONGEST_SPENT_SCRIPT: Final = 34
_HIGH_FEE_FROM: Final = 100_000
_MOST_AT_ONCE: Final = 16


def sign_psbt(
    data: bytes, keys: Keyring, screens: Screens, settings: Settings, remember: bool, old: list[bytes]
) -> Task:
    """The task; ``old`` holds what was yielded the last time, for a device that lies."""
    reading = Reading(Host(remember=remember), keys, settings.lies)
    yield from reading.run(Reader(data))
    yield from Signing(reading, keys, screens).run(old, repeat=Lie.OLD_REPLY in settings.lies)
    return b""


class Signing:
    """One signing, from the first page to the last signature."""

    def __init__(self, reading: Reading, keys: Keyring, screens: Screens) -> None:
        self._reading = reading
        self._keys = keys
        self._screens = screens
        self._yielded: list[bytes] = []

    def run(self, old: list[bytes], *, repeat: bool) -> Generator[Any, Any, None]:
        """Ask and sign; or, to ``repeat``, give the ``old`` signatures again."""
        yield from self._ask_human()
        if repeat and old:
            for record in old:
                yield Interrupt(bytes((YIELD,)) + record)
            return
        for own in self._reading.own_keys:
            if not own.wanted:
                continue
            yield from self._reading.key_info(own.expression.indexes[0])
            for index in self._reading.own_inputs:
                yield from self._sign_input(own, index)
        old[:] = self._yielded

    def _ask_human(self) -> Generator[Any, Any, None]:
        reading = self._reading
        fee = reading.total_in - reading.total_out
        warnings = self._screens.warnings(
            sighash=reading.sighash_warning,
            external=reading.external_inputs > 0,
            unverified=reading.unverified_warning,
        )
        for warning in warnings:
            yield from self._accepted(warning)
        high = 10 * fee >= reading.total_in > _HIGH_FEE_FROM
        account = reading.policy.name.decode("ascii", "replace") if reading.registered else None
        if len(reading.payments) > _MOST_AT_ONCE:
            yield from self._ask_in_parts(account, fee, high)
            return
        payments = [(self._payee(script), amount) for _, script, amount in reading.payments]
        yield from self._accepted(self._screens.transaction(account, payments, fee, high_fee=high))

    def _ask_in_parts(self, account: str | None, fee: int, high: bool) -> Generator[Any, Any, None]:
        reading = self._reading
        yield from self._accepted(self._screens.many_payments(account))
        for at, (index, script, amount) in enumerate(reading.payments, 1):
            if at > _MOST_AT_ONCE:
                where = yield from reading.whole_map(reading.outputs_root, reading.output_count, index)
                yield from reading.output_values(where)
            part = self._screens.one_payment(at, len(reading.payments), self._payee(script), amount)
            yield from self._accepted(part)
        yield from self._accepted(self._screens.fees_of_many(fee, high_fee=high))

    @staticmethod
    def _accepted(review: Review) -> Generator[Any, Any, None]:
        if not (yield review):
            raise RefusalError(Status.DENIED)

    def _payee(self, script: bytes) -> str:
        payee = self._screens.payee(script)
        if payee is None:
            raise RefusalError(Status.NOT_SUPPORTED)
        return payee

    # signatures

    def _sign_input(self, own: OwnKey, index: int) -> Asking:
        reading = self._reading
        piece: Piece = yield from reading.input(index)
        assert piece.place is not None
        change, address = piece.place
        leaf = b""
        if own.leaf is not None:
            where: Place = yield from reading.place(piece.place, own.leaf)
            leaf = leaf_hash(leaf_script(own.leaf, where.key_at))
        path = (*own.path, own.expression.step(change), address)
        sighash: int | None = None
        if In.SIGHASH in piece.kinds:
            sighash = yield from reading.host.number(piece.where, In.SIGHASH)
            if sighash is None:
                raise incorrect()
        if In.WITNESS_UTXO not in piece.kinds:
            digest = yield from self._legacy_digest(piece, index, sighash)
            signed = self._ecdsa(path, digest, 1 if sighash is None else sighash)
        else:
            script = yield from self._witness_script_of(piece)
            if segwit_version(reading.policy.template) == 0:
                digest = yield from self._segwit_digest(piece, index, script, 1 if sighash is None else sighash)
                signed = self._ecdsa(path, digest, 1 if sighash is None else sighash)
            else:
                yield from self._touch_taproot(piece, index, sighash or 0)
                signed = yield from self._schnorr(path, piece.place, index, sighash or 0, leaf)
        record = compact_size(index) + signed
        yield Interrupt(bytes((YIELD,)) + record)
        self._yielded.append(record)

    def _legacy_digest(self, piece: Piece, index: int, sighash: int | None) -> Asking:
        reading = self._reading
        output = yield from reading.previous_output(piece.where, None)
        if output is None:
            raise incorrect()
        code: bytes = output[1]
        for at in range(reading.input_count):
            where = piece.where
            if at != index:
                where = yield from reading.whole_map(reading.inputs_root, reading.input_count, at)
            yield from reading.host.value(where, In.TXID.key, 32)
            yield from reading.host.value(where, In.VOUT.key, 4)
            if at == index and In.REDEEM in piece.kinds:
                redeem = yield from reading.host.value(where, In.REDEEM.key, 1 << 14)
                if redeem is None:
                    raise incorrect()
                code = redeem
            yield from reading.host.number(where, In.SEQUENCE)
        for at in range(reading.output_count):
            where = yield from reading.whole_map(reading.outputs_root, reading.output_count, at)
            yield from reading.output_values(where)
        return reading.sighashes.legacy(index, code, 1 if sighash is None else sighash)

    def _witness_script_of(self, piece: Piece) -> Asking:
        """The witness program an input spends, through its redeem script if it has one."""
        reading = self._reading
        told = yield from reading.witness_utxo(piece.where)
        if told is None:
            raise incorrect()
        script: bytes = told[1]
        if In.REDEEM not in piece.kinds:
            return script
        redeem = yield from reading.host.value(piece.where, In.REDEEM.key, _LONGEST_SPENT_SCRIPT)
        if redeem is None:
            raise incorrect()
        if script != scripts.p2sh(hash160(redeem)):
            raise incorrect(Detail.REDEEM_SCRIPT)
        return redeem

    def _segwit_digest(self, piece: Piece, index: int, program: bytes, sighash: int) -> Asking:
        reading = self._reading
        host = reading.host
        yield from host.value(piece.where, In.TXID.key, 32)
        yield from host.value(piece.where, In.VOUT.key, 4)
        kind = scripts.classify(program)
        if kind is scripts.ScriptType.P2WPKH:
            code = scripts.p2pkh(program[2:])
        elif kind is scripts.ScriptType.P2WSH:
            witness = yield from host.value(piece.where, In.WITNESS.key, 1 << 14)
            if witness is None:
                raise incorrect()
            if scripts.p2wsh(tapscript.sha256(witness)) != program:
                raise incorrect(Detail.WITNESS_SCRIPT)
            code = witness
        else:
            raise incorrect()
        told = yield from reading.witness_utxo(piece.where)
        if told is None:
            raise incorrect()
        yield from host.number(piece.where, In.SEQUENCE)
        yield from self._touch_single(index, sighash)
        return reading.sighashes.segwit_v0(index, code, told[0], sighash)

    def _touch_single(self, index: int, sighash: int) -> Asking:
        """Ask again for the one output that SINGLE commits to, as the app does."""
        reading = self._reading
        if sighash & 0x1F == 3:
            where = yield from reading.whole_map(reading.outputs_root, reading.output_count, index)
            yield from reading.output_values(where)

    def _touch_taproot(self, piece: Piece, index: int, sighash: int) -> Asking:
        reading = self._reading
        if sighash & 0x80:
            yield from reading.host.value(piece.where, In.TXID.key, 32)
            yield from reading.host.value(piece.where, In.VOUT.key, 4)
            yield from reading.witness_utxo(piece.where)
            yield from reading.host.number(piece.where, In.SEQUENCE)
        yield from self._touch_single(index, sighash & 3)

    def _ecdsa(self, path: tuple[int, ...], digest: bytes, sighash: int) -> bytes:
        try:
            key, signature = self._keys.sign_ecdsa(path, digest)
        except (ForbiddenPathError, InvalidInputError):
            raise RefusalError(Status.BAD_STATE) from None
        return bytes((len(key),)) + key + signature.to_der() + bytes((sighash & 0xFF,))

    def _schnorr(self, path: tuple[int, ...], place: tuple[bool, int], index: int, sighash: int, leaf: bytes) -> Asking:
        reading = self._reading
        tree = reading.policy.template.tree
        tweak: bytes | None = b""
        if leaf:
            digest = tapscript.digest(reading.transaction, reading.spent_outputs, index, sighash, leaf)
            tweak = None
        else:
            digest = reading.sighashes.taproot(index, sighash)
            if tree is not None:
                tweak = tree_root(tree, (yield from reading.place(place, tree)).key_at)
        try:
            key, signature = self._keys.sign_schnorr(path, digest, tweak)
        except (ForbiddenPathError, InvalidInputError):
            raise RefusalError(Status.BAD_STATE) from None
        return bytes((len(key + leaf),)) + key + leaf + signature + (bytes((sighash,)) if sighash else b"")
