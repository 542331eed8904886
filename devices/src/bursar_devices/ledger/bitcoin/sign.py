"""SIGN_PSBT: a PSBT (BIP-370) read piece by piece from the host, reviewed and signed under one wallet policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bursar.bitcoin import script as scripts
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wire import compact_size
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError
from bursar_devices.device import Lie
from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.bitcoin import tapscript
from bursar_devices.ledger.bitcoin.host import YIELD, Asking, Host, Map
from bursar_devices.ledger.bitcoin.paths import ForbiddenPathError, Keyring
from bursar_devices.ledger.bitcoin.policy import KeyInfo, Place, Policy, hmac_of
from bursar_devices.ledger.bitcoin.scripts import leaf_hash, leaf_script, segwit_version, tree_root
from bursar_devices.ledger.task import Interrupt, Review, Settings, Task

if TYPE_CHECKING:
    from collections.abc import Generator

    from bursar_devices.ledger.bitcoin.pages import Screens
    from bursar_devices.ledger.bitcoin.template import KeyExpression, Node, Tree

_MOST_INPUTS: Final = 512
_MOST_OUTPUTS: Final = 512
_MOST_CHANGE: Final = 10
_MOST_OWN_KEYS: Final = 8
_MOST_STEPS: Final = 10
_SUPPLY: Final = 21_000_000 * 100_000_000
_LONGEST_SPENT_SCRIPT: Final = 34
_LONGEST_PAID_SCRIPT: Final = 83
_HIGH_FEE_FROM: Final = 100_000
_MOST_AT_ONCE: Final = 16

_GLOBAL_VERSION, _GLOBAL_LOCKTIME = 0x02, 0x03
_IN_NON_WITNESS_UTXO, _IN_WITNESS_UTXO, _IN_SIGHASH, _IN_REDEEM, _IN_WITNESS = 0x00, 0x01, 0x03, 0x04, 0x05
_IN_DERIVATION, _IN_TXID, _IN_VOUT, _IN_SEQUENCE, _IN_TAP_DERIVATION = 0x06, 0x0E, 0x0F, 0x10, 0x16
_OUT_DERIVATION, _OUT_AMOUNT, _OUT_SCRIPT, _OUT_TAP_DERIVATION = 0x02, 0x03, 0x04, 0x07

_NO_HMAC, _NAMED_DEFAULT, _NO_OWN_KEY, _NO_UTXO, _LYING_PREVIOUS, _UTXOS_DIFFER = 0, 1, 2, 3, 4, 5
_LEGACY_UTXO, _NO_WITNESS_UTXO, _SINGLE, _CHANGE, _WITNESS_SCRIPT, _REDEEM_SCRIPT, _OWN_KEYS = 6, 7, 8, 9, 10, 11, 12


@dataclass(slots=True)
class OwnKey:
    """A key expression of the policy that is ours, and whether any input asks for it."""

    expression: KeyExpression
    path: tuple[int, ...]
    leaf: Node | None
    wanted: bool = False


@dataclass(slots=True)
class Piece:
    """An input or output as its keys tell it, before its values are read."""

    where: Map
    kinds: set[int] = field(default_factory=set)
    malformed: bool = False
    place: tuple[bool, int] | None = None  # change, index


@dataclass(slots=True)
class Spent:
    """What an input spends."""

    piece: Piece
    amount: int = 0
    script: bytes = b""


def _incorrect(detail: int | None = None) -> RefusalError:
    return RefusalError(Status.INCORRECT_DATA, detail)


def sign_psbt(
    data: bytes, keys: Keyring, screens: Screens, settings: Settings, remember: bool, old: list[bytes]
) -> Task:
    """The task; ``old`` holds what was yielded the last time, for a device that lies."""
    yield from Signing(Host(remember=remember), keys, screens, settings, old).run(Reader(data))
    return b""


class Signing:
    """One signing, from the request to the last signature."""

    def __init__(self, host: Host, keys: Keyring, screens: Screens, settings: Settings, old: list[bytes]) -> None:
        self._host = host
        self._keys = keys
        self._screens = screens
        self._settings = settings
        self._old = old
        self._own: list[OwnKey] = []
        self._registered = False
        self._external_inputs = 0
        self._total_in = 0
        self._total_out = 0
        self._changes = 0
        self._payments: list[tuple[int, bytes, int]] = []  # output, script, amount
        self._sighash_warning = False
        self._unverified_warning = False
        self._yielded: list[bytes] = []

    def run(self, request: Reader) -> Generator[Any, Any, None]:
        """Everything, in the app's order."""
        yield from self._begin(request)
        yield from self._find_own_keys()
        own_inputs = yield from self._read_inputs()
        yield from self._read_outputs()
        yield from self._read_transaction()
        yield from self._ask_human()
        if Lie.OLD_REPLY in self._settings.lies and self._old:
            for record in self._old:
                yield Interrupt(bytes((YIELD,)) + record)
            return
        for own in self._own:
            if not own.wanted:
                continue
            yield from self._key_info(own.expression.indexes[0])
            for index in own_inputs:
                yield from self._sign_input(own, index)
        self._old[:] = self._yielded

    # the request and the policy

    def _begin(self, request: Reader) -> Asking:
        try:
            whole = Map.read(request)
            self._input_count, self._inputs_root = request.varint(), request.take(32)
            if self._input_count > _MOST_INPUTS:
                raise RefusalError(Status.NOT_SUPPORTED)
            self._output_count, self._outputs_root = request.varint(), request.take(32)
            if self._output_count > _MOST_OUTPUTS:
                raise RefusalError(Status.NOT_SUPPORTED)
            policy_id, mac = request.take(32), request.take(32)
        except EOFError:
            raise RefusalError(Status.WRONG_LENGTH) from None
        if (yield from self._host.sorted_keys(whole.keys_root, whole.size)) is None:
            raise _incorrect()
        version = yield from self._host.value(whole, bytes((_GLOBAL_VERSION,)), 9)
        if version is None or len(version) != 4:
            raise _incorrect()
        self._version = int.from_bytes(version, "little")
        locktime = yield from self._host.value(whole, bytes((_GLOBAL_LOCKTIME,)), 9)
        if locktime is not None and len(locktime) != 4:
            raise _incorrect()
        self._locktime = int.from_bytes(locktime or b"", "little")
        yield from self._take_policy(policy_id, mac)

    def _take_policy(self, policy_id: bytes, mac: bytes) -> Asking:
        self._registered = any(mac)
        if self._registered and mac != hmac_of(self._keys, policy_id):
            raise RefusalError(Status.SIGNATURE_FAIL)
        policy: Policy | None = yield from Policy.fetch(self._host, policy_id)
        if policy is None:
            raise _incorrect()
        self._policy = policy
        if self._registered:
            return
        if not (yield from policy.is_standard(self._host, self._keys)):
            raise _incorrect(_NO_HMAC)
        if policy.name:
            raise _incorrect(_NAMED_DEFAULT)

    def _key_info(self, index: int) -> Asking:
        return (yield from self._policy.key_info(self._host, index))

    def _find_own_keys(self) -> Asking:
        for expression, leaf in self._policy.template.key_expressions():
            for index in expression.indexes:
                info: KeyInfo | None = yield from self._key_info(index)
                if info is None:
                    continue
                if info.fingerprint is None or not self._keys.owns(info.fingerprint, info.path, info.text):
                    continue
                if len(self._own) == _MOST_OWN_KEYS:
                    raise RefusalError(Status.NOT_SUPPORTED, _OWN_KEYS)
                self._own.append(OwnKey(expression, info.path, leaf))
        if not self._own:
            raise _incorrect(_NO_OWN_KEY)

    def _place(self, place: tuple[bool, int], part: Tree | None = None) -> Asking:
        where = yield from Place.fetch(self._host, self._policy, *place, part=part)
        if where is None:
            raise _incorrect()
        return where

    def _is_ours(self, place: tuple[bool, int], script: bytes) -> Asking:
        where: Place = yield from self._place(place)
        try:
            return where.script() == script
        except InvalidInputError:
            raise _incorrect() from None

    # maps

    def _piece(self, root: bytes, count: int, index: int, derivations: tuple[int, int], *, first: bool) -> Asking:
        where = yield from self._host.map_at(root, count, index)
        if where is None:
            raise _incorrect()
        piece = Piece(where)

        def visit(at: int, key: bytes) -> Asking:
            if not key:
                return
            piece.kinds.add(key[0])
            if key[0] in derivations and not (first and piece.place is not None):
                yield from self._derivation(piece, at, key, taproot=key[0] == derivations[1], mark=not first)

        if (yield from self._host.sorted_keys(where.keys_root, where.size, visit)) is None or piece.malformed:
            raise _incorrect()
        return piece

    def _derivation(self, piece: Piece, at: int, key: bytes, *, taproot: bool, mark: bool) -> Asking:
        if len(key) != (33 if taproot else 34):
            piece.malformed = True
            return
        value = yield from self._host.leaf(piece.where.values_root, piece.where.size, at, 1 << 16)
        steps = None if value is None else _origin(value, taproot=taproot)
        if steps is None:
            piece.malformed = True
            return
        fingerprint, path = steps
        if fingerprint != self._keys.fingerprint or not 2 <= len(path) <= _MOST_STEPS:
            return
        for own in self._own:
            if path[:-2] == own.path and path[-2] in (own.expression.first, own.expression.second):
                own.wanted = own.wanted or mark
                piece.place = (path[-2] == own.expression.second, path[-1])
                if not mark:
                    break

    def _input(self, index: int) -> Asking:
        kinds = (_IN_DERIVATION, _IN_TAP_DERIVATION)
        return (yield from self._piece(self._inputs_root, self._input_count, index, kinds, first=False))

    # inputs

    def _read_inputs(self) -> Asking:
        own_inputs = []
        for index in range(self._input_count):
            piece: Piece = yield from self._input(index)
            spent = yield from self._spent(piece)
            if piece.place is None or not (yield from self._is_ours(piece.place, spent.script)):
                self._external_inputs += 1
                continue
            own_inputs.append(index)
            yield from self._check_own_input(piece, index)
        if not own_inputs:
            raise _incorrect()
        return own_inputs

    def _spent(self, piece: Piece) -> Asking:
        """The output an input spends, checked against its previous transaction if that is given."""
        previous, witness = _IN_NON_WITNESS_UTXO in piece.kinds, _IN_WITNESS_UTXO in piece.kinds
        if not previous and not witness:
            raise _incorrect(_NO_UTXO)
        spent = Spent(piece)
        if previous:
            txid = yield from self._host.value(piece.where, bytes((_IN_TXID,)), 32)
            if txid is None:
                raise _incorrect()
            output = yield from self._previous_output(piece.where, txid)
            if output is None:
                raise _incorrect(_LYING_PREVIOUS)
            spent.amount, spent.script = output
        if witness:
            told = yield from self._witness_utxo(piece.where)
            if told is None:
                raise _incorrect()
            if previous and told != (spent.amount, spent.script):
                raise _incorrect(_UTXOS_DIFFER)
            spent.amount, spent.script = told
        self._total_in += spent.amount
        if spent.amount > _SUPPLY:
            raise _incorrect()
        return spent

    def _witness_utxo(self, where: Map) -> Asking:
        raw = yield from self._host.value(where, bytes((_IN_WITNESS_UTXO,)), 9 + _LONGEST_SPENT_SCRIPT)
        if raw is None or len(raw) < 9 or len(raw) != 9 + raw[8]:
            return None
        return int.from_bytes(raw[:8], "little"), raw[9:]

    def _previous_output(self, where: Map, txid: bytes | None) -> Asking:
        vout = yield from self._host.number(where, _IN_VOUT)
        if vout is None:
            return None
        raw = yield from self._host.value(where, bytes((_IN_NON_WITNESS_UTXO,)), 1 << 24)
        if raw is None:
            return None
        try:
            previous = Transaction.parse(raw)
        except InvalidInputError:
            return None
        if (txid is not None and previous.txid != txid) or vout >= len(previous.outputs):
            return None
        output = previous.outputs[vout]
        return None if len(output.script) > _LONGEST_SPENT_SCRIPT else (int(output.value), output.script)

    def _check_own_input(self, piece: Piece, index: int) -> Asking:
        segwit = segwit_version(self._policy.template)
        previous, witness = _IN_NON_WITNESS_UTXO in piece.kinds, _IN_WITNESS_UTXO in piece.kinds
        if segwit is None and (witness or not previous):
            raise _incorrect(_LEGACY_UTXO)
        if segwit == 0 and not previous:
            self._unverified_warning = True
        if segwit is not None and not witness:
            raise _incorrect(_NO_WITNESS_UTXO)
        if _IN_SIGHASH not in piece.kinds:
            return
        sighash = yield from self._host.number(piece.where, _IN_SIGHASH)
        if sighash is None:
            raise _incorrect()
        if sighash == 1 or (sighash == 0 and segwit == 1):
            pass
        elif segwit is not None and sighash in (2, 3, 0x81, 0x82, 0x83):
            self._sighash_warning = True
        else:
            raise RefusalError(Status.NOT_SUPPORTED)
        if sighash & 3 == 3 and index >= self._output_count:
            raise RefusalError(Status.NOT_SUPPORTED, _SINGLE)

    # outputs

    def _read_outputs(self) -> Asking:
        kinds = (_OUT_DERIVATION, _OUT_TAP_DERIVATION)
        for index in range(self._output_count):
            piece = yield from self._piece(self._outputs_root, self._output_count, index, kinds, first=True)
            amount, script = yield from self._output_values(piece.where)
            if amount > _SUPPLY:
                raise _incorrect()
            self._total_out += amount
            change = piece.place is not None and piece.place[0]
            if change and (yield from self._is_ours(piece.place, script)):
                self._changes += 1
            else:
                self._payments.append((index, script, amount))
        if self._total_in < self._total_out:
            raise _incorrect()
        if self._changes > _MOST_CHANGE:
            raise RefusalError(Status.NOT_SUPPORTED, _CHANGE)

    def _output_values(self, where: Map) -> Asking:
        amount = yield from self._host.value(where, bytes((_OUT_AMOUNT,)), 8)
        if amount is None or len(amount) != 8:
            raise _incorrect()
        script = yield from self._host.value(where, bytes((_OUT_SCRIPT,)), _LONGEST_PAID_SCRIPT)
        if script is None:
            raise _incorrect()
        return int.from_bytes(amount, "little"), script

    # the transaction as a whole

    def _read_transaction(self) -> Asking:
        host = self._host
        inputs = []
        for index in range(self._input_count):
            where = yield from self._whole_map(self._inputs_root, self._input_count, index)
            txid = yield from host.value(where, bytes((_IN_TXID,)), 32)
            if txid is None or len(txid) != 32:
                raise _incorrect()
            vout = yield from host.value(where, bytes((_IN_VOUT,)), 4)
            if vout is None or len(vout) != 4:
                raise _incorrect()
            sequence = yield from host.number(where, _IN_SEQUENCE)
            outpoint = OutPoint(Txid(txid), int.from_bytes(vout, "little"))
            inputs.append(TxIn(outpoint, b"", 0xFFFFFFFF if sequence is None else sequence))
        outputs = []
        for index in range(self._output_count):
            where = yield from self._whole_map(self._outputs_root, self._output_count, index)
            amount, script = yield from self._output_values(where)
            outputs.append(TxOut(Sats(amount), script))
        spent = []
        for index in range(self._input_count):
            where = yield from self._whole_map(self._inputs_root, self._input_count, index)
            told = yield from self._witness_utxo(where)
            if told is None:
                told = yield from self._previous_output(where, None)
            if told is None:
                raise _incorrect()
            spent.append(TxOut(Sats(told[0]), told[1]))
        if Lie.CHANGED_TRANSACTION in self._settings.lies and outputs:
            outputs[0] = TxOut(Sats(int(outputs[0].value) ^ 1), outputs[0].script)
        self._spent_outputs = spent
        self._transaction = Transaction(self._version, inputs, outputs, self._locktime)
        self._sighashes = SighashCache(self._transaction, spent)

    def _whole_map(self, root: bytes, count: int, index: int) -> Asking:
        where = yield from self._host.map_at(root, count, index)
        if where is None or (yield from self._host.sorted_keys(where.keys_root, where.size)) is None:
            raise _incorrect()
        return where

    def _ask_human(self) -> Generator[Any, Any, None]:
        fee = self._total_in - self._total_out
        warnings = self._screens.warnings(
            sighash=self._sighash_warning,
            external=self._external_inputs > 0,
            unverified=self._unverified_warning,
        )
        for warning in warnings:
            yield from self._accepted(warning)
        high = 10 * fee >= self._total_in > _HIGH_FEE_FROM
        account = self._policy.name.decode("ascii", "replace") if self._registered else None
        if len(self._payments) > _MOST_AT_ONCE:
            yield from self._ask_in_parts(account, fee, high)
            return
        payments = [(self._payee(script), amount) for _, script, amount in self._payments]
        yield from self._accepted(self._screens.transaction(account, payments, fee, high_fee=high))

    def _ask_in_parts(self, account: str | None, fee: int, high: bool) -> Generator[Any, Any, None]:
        yield from self._accepted(self._screens.many_payments(account))
        for at, (index, script, amount) in enumerate(self._payments, 1):
            if at > _MOST_AT_ONCE:
                where = yield from self._whole_map(self._outputs_root, self._output_count, index)
                yield from self._output_values(where)
            part = self._screens.one_payment(at, len(self._payments), self._payee(script), amount)
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
        piece: Piece = yield from self._input(index)
        assert piece.place is not None
        change, address = piece.place
        leaf = b""
        if own.leaf is not None:
            where: Place = yield from self._place(piece.place, own.leaf)
            leaf = leaf_hash(leaf_script(own.leaf, where.key_at))
        path = (*own.path, own.expression.step(change), address)
        sighash: int | None = None
        if _IN_SIGHASH in piece.kinds:
            sighash = yield from self._host.number(piece.where, _IN_SIGHASH)
            if sighash is None:
                raise _incorrect()
        if _IN_WITNESS_UTXO not in piece.kinds:
            digest = yield from self._legacy_digest(piece, index, sighash)
            signed = self._ecdsa(path, digest, 1 if sighash is None else sighash)
        else:
            script = yield from self._witness_script_of(piece)
            if segwit_version(self._policy.template) == 0:
                digest = yield from self._segwit_digest(piece, index, script, 1 if sighash is None else sighash)
                signed = self._ecdsa(path, digest, 1 if sighash is None else sighash)
            else:
                yield from self._touch_taproot(piece, index, sighash or 0)
                signed = yield from self._schnorr(path, piece.place, index, sighash or 0, leaf)
        record = compact_size(index) + signed
        yield Interrupt(bytes((YIELD,)) + record)
        self._yielded.append(record)

    def _legacy_digest(self, piece: Piece, index: int, sighash: int | None) -> Asking:
        output = yield from self._previous_output(piece.where, None)
        if output is None:
            raise _incorrect()
        code: bytes = output[1]
        for at in range(self._input_count):
            where = piece.where
            if at != index:
                where = yield from self._whole_map(self._inputs_root, self._input_count, at)
            yield from self._host.value(where, bytes((_IN_TXID,)), 32)
            yield from self._host.value(where, bytes((_IN_VOUT,)), 4)
            if at == index and _IN_REDEEM in piece.kinds:
                redeem = yield from self._host.value(where, bytes((_IN_REDEEM,)), 1 << 14)
                if redeem is None:
                    raise _incorrect()
                code = redeem
            yield from self._host.number(where, _IN_SEQUENCE)
        for at in range(self._output_count):
            where = yield from self._whole_map(self._outputs_root, self._output_count, at)
            yield from self._output_values(where)
        return self._sighashes.legacy(index, code, 1 if sighash is None else sighash)

    def _witness_script_of(self, piece: Piece) -> Asking:
        """The witness program an input spends, through its redeem script if it has one."""
        told = yield from self._witness_utxo(piece.where)
        if told is None:
            raise _incorrect()
        script: bytes = told[1]
        if _IN_REDEEM not in piece.kinds:
            return script
        redeem = yield from self._host.value(piece.where, bytes((_IN_REDEEM,)), _LONGEST_SPENT_SCRIPT)
        if redeem is None:
            raise _incorrect()
        if script != scripts.p2sh(hash160(redeem)):
            raise _incorrect(_REDEEM_SCRIPT)
        return redeem

    def _segwit_digest(self, piece: Piece, index: int, program: bytes, sighash: int) -> Asking:
        host = self._host
        yield from host.value(piece.where, bytes((_IN_TXID,)), 32)
        yield from host.value(piece.where, bytes((_IN_VOUT,)), 4)
        kind = scripts.classify(program)
        if kind is scripts.ScriptType.P2WPKH:
            code = scripts.p2pkh(program[2:])
        elif kind is scripts.ScriptType.P2WSH:
            witness = yield from host.value(piece.where, bytes((_IN_WITNESS,)), 1 << 14)
            if witness is None:
                raise _incorrect()
            if scripts.p2wsh(tapscript.sha256(witness)) != program:
                raise _incorrect(_WITNESS_SCRIPT)
            code = witness
        else:
            raise _incorrect()
        told = yield from self._witness_utxo(piece.where)
        if told is None:
            raise _incorrect()
        yield from host.number(piece.where, _IN_SEQUENCE)
        yield from self._touch_single(index, sighash)
        return self._sighashes.segwit_v0(index, code, told[0], sighash)

    def _touch_single(self, index: int, sighash: int) -> Asking:
        """Ask again for the one output that SINGLE commits to, as the app does."""
        if sighash & 0x1F == 3:
            where = yield from self._whole_map(self._outputs_root, self._output_count, index)
            yield from self._output_values(where)

    def _touch_taproot(self, piece: Piece, index: int, sighash: int) -> Asking:
        if sighash & 0x80:
            yield from self._host.value(piece.where, bytes((_IN_TXID,)), 32)
            yield from self._host.value(piece.where, bytes((_IN_VOUT,)), 4)
            yield from self._witness_utxo(piece.where)
            yield from self._host.number(piece.where, _IN_SEQUENCE)
        yield from self._touch_single(index, sighash & 3)

    def _ecdsa(self, path: tuple[int, ...], digest: bytes, sighash: int) -> bytes:
        try:
            key, signature = self._keys.sign_ecdsa(path, digest)
        except (ForbiddenPathError, InvalidInputError):
            raise RefusalError(Status.BAD_STATE) from None
        return bytes((len(key),)) + key + signature.to_der() + bytes((sighash & 0xFF,))

    def _schnorr(self, path: tuple[int, ...], place: tuple[bool, int], index: int, sighash: int, leaf: bytes) -> Asking:
        tree = self._policy.template.tree
        tweak: bytes | None = b""
        if leaf:
            digest = tapscript.digest(self._transaction, self._spent_outputs, index, sighash, leaf)
            tweak = None
        else:
            digest = self._sighashes.taproot(index, sighash)
            if tree is not None:
                tweak = tree_root(tree, (yield from self._place(place, tree)).key_at)
        try:
            key, signature = self._keys.sign_schnorr(path, digest, tweak)
        except (ForbiddenPathError, InvalidInputError):
            raise RefusalError(Status.BAD_STATE) from None
        return bytes((len(key + leaf),)) + key + leaf + signature + (bytes((sighash,)) if sighash else b"")


def _origin(value: bytes, *, taproot: bool) -> tuple[bytes, tuple[int, ...]] | None:
    """The fingerprint and path in a derivation field, or ``None`` for what the app takes for an error."""
    if taproot:
        if not value or value[0] > 128 or len(value) < 1 + 32 * value[0]:
            return None
        value = value[1 + 32 * value[0] :]
    if not 4 <= len(value) <= 4 * (1 + _MOST_STEPS) or len(value) % 4:
        return None
    steps = [int.from_bytes(value[at : at + 4], "little") for at in range(4, len(value), 4)]
    return value[:4], tuple(steps)
