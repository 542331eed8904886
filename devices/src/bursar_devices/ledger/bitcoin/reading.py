"""How SIGN_PSBT reads a PSBT (BIP-370): piece by piece from the host, in the app's order, checked as the app checks."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.errors import InvalidInputError
from bursar_devices.device import Lie
from bursar_devices.ledger.apdu import Reader, RefusalError, Status
from bursar_devices.ledger.bitcoin.host import Asking, Host, Map
from bursar_devices.ledger.bitcoin.policy import KeyInfo, Place, Policy, hmac_of
from bursar_devices.ledger.bitcoin.psbt_fields import MOST_STEPS, Detail, Global, In, Out, Piece, incorrect, origin_of
from bursar_devices.ledger.bitcoin.scripts import segwit_version

if TYPE_CHECKING:
    from bursar_devices.ledger.bitcoin.paths import Keyring
    from bursar_devices.ledger.bitcoin.template import KeyExpression, Node, Tree

_MOST_INPUTS: Final = 512
_MOST_OUTPUTS: Final = 512
_MOST_CHANGE: Final = 10
_MOST_OWN_KEYS: Final = 8
_SUPPLY: Final = 21_000_000 * 100_000_000
_LONGEST_SPENT_SCRIPT: Final = 34
_LONGEST_PAID_SCRIPT: Final = 83


@dataclass(slots=True)
class OwnKey:
    """A key expression of the policy that is ours, and whether any input asks for it."""

    expression: KeyExpression
    path: tuple[int, ...]
    leaf: Node | None
    wanted: bool = False


class Reading:
    """One PSBT under one policy; after ``run`` its attributes hold what the human must see and what is to be signed."""

    policy: Policy
    transaction: Transaction
    sighashes: SighashCache
    spent_outputs: list[TxOut]

    def __init__(self, host: Host, keys: Keyring, lies: AbstractSet[Lie]) -> None:
        self.host = host
        self.own_keys: list[OwnKey] = []
        self.own_inputs: list[int] = []
        self.registered = False
        self.external_inputs = 0
        self.total_in = 0
        self.total_out = 0
        self.payments: list[tuple[int, bytes, int]] = []  # output, script, amount
        self.sighash_warning = False
        self.unverified_warning = False
        self._keys = keys
        self._lies = lies
        self._changes = 0

    def run(self, request: Reader) -> Asking:
        """Everything before the human is asked."""
        yield from self._begin(request)
        yield from self._find_own_keys()
        yield from self._read_inputs()
        yield from self._read_outputs()
        yield from self._read_transaction()

    # the request and the policy

    def _begin(self, request: Reader) -> Asking:
        try:
            whole = Map.read(request)
            self.input_count, self.inputs_root = request.varint(), request.take(32)
            if self.input_count > _MOST_INPUTS:
                raise RefusalError(Status.NOT_SUPPORTED)
            self.output_count, self.outputs_root = request.varint(), request.take(32)
            if self.output_count > _MOST_OUTPUTS:
                raise RefusalError(Status.NOT_SUPPORTED)
            policy_id, mac = request.take(32), request.take(32)
        except EOFError:
            raise RefusalError(Status.WRONG_LENGTH) from None
        if (yield from self.host.sorted_keys(whole.keys_root, whole.size)) is None:
            raise incorrect()
        version = yield from self.host.value(whole, Global.VERSION.key, 9)
        if version is None or len(version) != 4:
            raise incorrect()
        self._version = int.from_bytes(version, "little")
        locktime = yield from self.host.value(whole, Global.LOCKTIME.key, 9)
        if locktime is not None and len(locktime) != 4:
            raise incorrect()
        self._locktime = int.from_bytes(locktime or b"", "little")
        yield from self._take_policy(policy_id, mac)

    def _take_policy(self, policy_id: bytes, mac: bytes) -> Asking:
        self.registered = any(mac)
        if self.registered and mac != hmac_of(self._keys, policy_id):
            raise RefusalError(Status.SIGNATURE_FAIL)
        policy: Policy | None = yield from Policy.fetch(self.host, policy_id)
        if policy is None:
            raise incorrect()
        self.policy = policy
        if self.registered:
            return
        if not (yield from policy.is_standard(self.host, self._keys)):
            raise incorrect(Detail.NO_HMAC)
        if policy.name:
            raise incorrect(Detail.NAMED_DEFAULT)

    def key_info(self, index: int) -> Asking:
        return (yield from self.policy.key_info(self.host, index))

    def _find_own_keys(self) -> Asking:
        for expression, leaf in self.policy.template.key_expressions():
            for index in expression.indexes:
                info: KeyInfo | None = yield from self.key_info(index)
                if info is None:
                    continue
                if info.fingerprint is None or not self._keys.owns(info.fingerprint, info.path, info.text):
                    continue
                if len(self.own_keys) == _MOST_OWN_KEYS:
                    raise RefusalError(Status.NOT_SUPPORTED, Detail.TOO_MANY_OWN_KEYS)
                self.own_keys.append(OwnKey(expression, info.path, leaf))
        if not self.own_keys:
            raise incorrect(Detail.NO_OWN_KEY)

    def place(self, place: tuple[bool, int], part: Tree | None = None) -> Asking:
        where = yield from Place.fetch(self.host, self.policy, *place, part=part)
        if where is None:
            raise incorrect()
        return where

    def _is_ours(self, place: tuple[bool, int], script: bytes) -> Asking:
        where: Place = yield from self.place(place)
        try:
            return where.script() == script
        except InvalidInputError:
            raise incorrect() from None

    # maps

    def _piece(self, root: bytes, count: int, index: int, derivations: tuple[int, int], *, first: bool) -> Asking:
        where = yield from self.host.map_at(root, count, index)
        if where is None:
            raise incorrect()
        piece = Piece(where)

        def visit(at: int, key: bytes) -> Asking:
            if not key:
                return
            piece.kinds.add(key[0])
            if key[0] in derivations and not (first and piece.place is not None):
                yield from self._derivation(piece, at, key, taproot=key[0] == derivations[1], mark=not first)

        if (yield from self.host.sorted_keys(where.keys_root, where.size, visit)) is None or piece.malformed:
            raise incorrect()
        return piece

    def _derivation(self, piece: Piece, at: int, key: bytes, *, taproot: bool, mark: bool) -> Asking:
        if len(key) != (33 if taproot else 34):
            piece.malformed = True
            return
        value = yield from self.host.leaf(piece.where.values_root, piece.where.size, at, 1 << 16)
        steps = None if value is None else origin_of(value, taproot=taproot)
        if steps is None:
            piece.malformed = True
            return
        fingerprint, path = steps
        if fingerprint != self._keys.fingerprint or not 2 <= len(path) <= MOST_STEPS:
            return
        for own in self.own_keys:
            if path[:-2] == own.path and path[-2] in (own.expression.first, own.expression.second):
                own.wanted = own.wanted or mark
                piece.place = (path[-2] == own.expression.second, path[-1])
                if not mark:
                    break

    def input(self, index: int) -> Asking:
        kinds = (In.DERIVATION, In.TAP_DERIVATION)
        return (yield from self._piece(self.inputs_root, self.input_count, index, kinds, first=False))

    # inputs

    def _read_inputs(self) -> Asking:
        for index in range(self.input_count):
            piece: Piece = yield from self.input(index)
            script = yield from self._spent(piece)
            if piece.place is None or not (yield from self._is_ours(piece.place, script)):
                self.external_inputs += 1
                continue
            self.own_inputs.append(index)
            yield from self._check_own_input(piece, index)
        if not self.own_inputs:
            raise incorrect()

    def _spent(self, piece: Piece) -> Asking:
        """The script of the output an input spends, checked against its previous transaction if that is given."""
        previous, witness = In.NON_WITNESS_UTXO in piece.kinds, In.WITNESS_UTXO in piece.kinds
        if not previous and not witness:
            raise incorrect(Detail.NO_UTXO)
        amount, script = 0, b""
        if previous:
            txid = yield from self.host.value(piece.where, In.TXID.key, 32)
            if txid is None:
                raise incorrect()
            output = yield from self.previous_output(piece.where, txid)
            if output is None:
                raise incorrect(Detail.LYING_PREVIOUS)
            amount, script = output
        if witness:
            told = yield from self.witness_utxo(piece.where)
            if told is None:
                raise incorrect()
            if previous and told != (amount, script):
                raise incorrect(Detail.UTXOS_DIFFER)
            amount, script = told
        self.total_in += amount
        if amount > _SUPPLY:
            raise incorrect()
        return script

    def witness_utxo(self, where: Map) -> Asking:
        raw = yield from self.host.value(where, In.WITNESS_UTXO.key, 9 + _LONGEST_SPENT_SCRIPT)
        if raw is None or len(raw) < 9 or len(raw) != 9 + raw[8]:
            return None
        return int.from_bytes(raw[:8], "little"), raw[9:]

    def previous_output(self, where: Map, txid: bytes | None) -> Asking:
        vout = yield from self.host.number(where, In.VOUT)
        if vout is None:
            return None
        raw = yield from self.host.value(where, In.NON_WITNESS_UTXO.key, 1 << 24)
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
        segwit = segwit_version(self.policy.template)
        previous, witness = In.NON_WITNESS_UTXO in piece.kinds, In.WITNESS_UTXO in piece.kinds
        if segwit is None and (witness or not previous):
            raise incorrect(Detail.LEGACY_UTXO)
        if segwit == 0 and not previous:
            self.unverified_warning = True
        if segwit is not None and not witness:
            raise incorrect(Detail.NO_WITNESS_UTXO)
        if In.SIGHASH not in piece.kinds:
            return
        sighash = yield from self.host.number(piece.where, In.SIGHASH)
        if sighash is None:
            raise incorrect()
        if sighash == 1 or (sighash == 0 and segwit == 1):
            pass
        elif segwit is not None and sighash in (2, 3, 0x81, 0x82, 0x83):
            self.sighash_warning = True
        else:
            raise RefusalError(Status.NOT_SUPPORTED)
        if sighash & 3 == 3 and index >= self.output_count:
            raise RefusalError(Status.NOT_SUPPORTED, Detail.SINGLE_WITHOUT_OUTPUT)

    # outputs

    def _read_outputs(self) -> Asking:
        kinds = (Out.DERIVATION, Out.TAP_DERIVATION)
        for index in range(self.output_count):
            piece = yield from self._piece(self.outputs_root, self.output_count, index, kinds, first=True)
            amount, script = yield from self.output_values(piece.where)
            if amount > _SUPPLY:
                raise incorrect()
            self.total_out += amount
            change = piece.place is not None and piece.place[0]
            if change and (yield from self._is_ours(piece.place, script)):
                self._changes += 1
            else:
                self.payments.append((index, script, amount))
        if self.total_in < self.total_out:
            raise incorrect()
        if self._changes > _MOST_CHANGE:
            raise RefusalError(Status.NOT_SUPPORTED, Detail.TOO_MUCH_CHANGE)

    def output_values(self, where: Map) -> Asking:
        amount = yield from self.host.value(where, Out.AMOUNT.key, 8)
        if amount is None or len(amount) != 8:
            raise incorrect()
        script = yield from self.host.value(where, Out.SCRIPT.key, _LONGEST_PAID_SCRIPT)
        if script is None:
            raise incorrect()
        return int.from_bytes(amount, "little"), script

    # the transaction as a whole

    def _read_transaction(self) -> Asking:
        host = self.host
        inputs = []
        for index in range(self.input_count):
            where = yield from self.whole_map(self.inputs_root, self.input_count, index)
            txid = yield from host.value(where, In.TXID.key, 32)
            if txid is None or len(txid) != 32:
                raise incorrect()
            vout = yield from host.value(where, In.VOUT.key, 4)
            if vout is None or len(vout) != 4:
                raise incorrect()
            sequence = yield from host.number(where, In.SEQUENCE)
            outpoint = OutPoint(Txid(txid), int.from_bytes(vout, "little"))
            inputs.append(TxIn(outpoint, b"", 0xFFFFFFFF if sequence is None else sequence))
        outputs = []
        for index in range(self.output_count):
            where = yield from self.whole_map(self.outputs_root, self.output_count, index)
            amount, script = yield from self.output_values(where)
            outputs.append(TxOut(Sats(amount), script))
        spent = []
        for index in range(self.input_count):
            where = yield from self.whole_map(self.inputs_root, self.input_count, index)
            told = yield from self.witness_utxo(where)
            if told is None:
                told = yield from self.previous_output(where, None)
            if told is None:
                raise incorrect()
            spent.append(TxOut(Sats(told[0]), told[1]))
        if Lie.CHANGED_TRANSACTION in self._lies and outputs:
            outputs[0] = TxOut(Sats(int(outputs[0].value) ^ 1), outputs[0].script)
        self.spent_outputs = spent
        self.transaction = Transaction(self._version, inputs, outputs, self._locktime)
        self.sighashes = SighashCache(self.transaction, spent)

    def whole_map(self, root: bytes, count: int, index: int) -> Asking:
        where = yield from self.host.map_at(root, count, index)
        if where is None or (yield from self.host.sorted_keys(where.keys_root, where.size)) is None:
            raise incorrect()
        return where
