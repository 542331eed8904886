"""Silent payments found are spent: built, signed and judged by others; foreign keys and tweaks are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.bitcoin.address import Address
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.network import Network
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.sighash import ALL, SINGLE
from bursar.bitcoin.silent_payments import PayingInput, Scanner, SilentPaymentKeys, send_outputs
from bursar.bitcoin.silent_payments.sweeping import SilentCoin, build_sweep
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.crypto.hashes import hash160
from bursar.crypto.secp256k1 import ORDER, public_key, schnorr_sign
from bursar.crypto.secret import Secret
from bursar.errors import InsufficientFundsError, InvalidInputError, SignerMisbehavedError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import CoinType, silent_payment_paths
from bursar.signing.silent import SilentPaymentSigner, request_silent_signatures

if TYPE_CHECKING:
    from bursar.backends.software import SoftwareSigner

Verify = Callable[[Transaction, Sequence[TxOut]], None]
TO = Address.from_script(p2wpkh(bytes(20)), Network.REGTEST)
PATH = silent_payment_paths(CoinType.TESTNET, 0)[1]
SENDER = bytes([5]) * 32


@pytest.fixture
def keys(signer: SoftwareSigner) -> SilentPaymentKeys:
    return signer.silent_payment_keys(Network.REGTEST)


@pytest.fixture
def coins(keys: SilentPaymentKeys) -> list[SilentCoin]:
    """Paid to the plain address, to a label, and to the change label."""
    script = p2wpkh(hash160(public_key(SENDER)))
    outpoint = OutPoint(Txid(bytes(range(32))), 1)
    scripts = send_outputs(
        [PayingInput(outpoint, script, Secret(SENDER))], [keys.address(), keys.address(7), keys.change_address()]
    )
    spending = TxIn(outpoint, b"", 0, (b"signature", public_key(SENDER)))
    tx = Transaction(2, [spending], [TxOut(Sats(40_000 + at), one) for at, one in enumerate(scripts)])
    found = Scanner(keys, labels=[7]).transaction(tx, [script])
    assert sorted(one.label or 0 for one in found) == [0, 0, 7]
    return [SilentCoin(OutPoint(tx.txid, one.vout), tx.outputs[one.vout], one.tweak, 100) for one in found]


@pytest.fixture
def sweep(signer: SoftwareSigner, keys: SilentPaymentKeys, coins: list[SilentCoin]) -> Psbt:
    return built(signer, keys, coins)


def built(signer: SoftwareSigner, keys: SilentPaymentKeys, coins: Sequence[SilentCoin]) -> Psbt:
    fingerprint = signer.info.fingerprint
    assert fingerprint is not None
    return build_sweep(
        coins, TO, spend=keys.spend, origin=KeyOrigin(fingerprint, PATH), fee_rate=FeeRate(2000), tip_height=101
    ).psbt


def test_a_sweep_holds_under_consensus_and_for_another_library(
    signer: SoftwareSigner, coins: list[SilentCoin], sweep: Psbt, kernel_verify: Verify
) -> None:
    before = sweep.serialize()
    signed = request_silent_signatures(signer, Psbt.parse(before), approved=sweep.tx.txid)
    assert sweep.serialize() == before
    tx = extract(finalize(signed))
    spent = {one.outpoint: one.output for one in coins}
    kernel_verify(tx, [spent[one.outpoint] for one in tx.inputs])
    assert [one.script for one in tx.outputs] == [TO.script]
    assert sum(one.value for one in spent.values()) - tx.outputs[0].value == 2 * tx.vsize

    pytest.importorskip("embit", reason="embit is not installed")
    from embit.ec import PublicKey, SchnorrSig
    from embit.script import Script
    from embit.transaction import Transaction as Theirs

    theirs = Theirs.parse(tx.serialize())
    outputs = [spent[one.outpoint] for one in tx.inputs]
    scripts = [Script(one.script) for one in outputs]
    for place, one in enumerate(tx.inputs):
        digest = theirs.sighash_taproot(place, scripts, [int(output.value) for output in outputs])
        key = PublicKey.from_xonly(outputs[place].script[2:])
        assert key.schnorr_verify(SchnorrSig.parse(one.witness[0]), digest)


def test_the_library_refuses_coins_of_another_key(
    signer: SoftwareSigner, keys: SilentPaymentKeys, coins: list[SilentCoin]
) -> None:
    other = (int.from_bytes(coins[0].tweak.expose(), "big") + 1) % ORDER
    for tweak in (Secret(other.to_bytes(32, "big")), coins[1].tweak, Secret(bytes(32)), Secret(b"\xff" * 32)):
        with pytest.raises(InvalidInputError):
            built(signer, keys, [replace(coins[0], tweak=tweak)])
    with pytest.raises(InvalidInputError) as raised:
        built(signer, replace(keys, spend=public_key(SENDER)), coins)
    assert raised.value.code == "input.coin.key"
    with pytest.raises(InvalidInputError, match="nothing to sweep"):
        built(signer, keys, [])
    with pytest.raises(InsufficientFundsError):
        built(signer, keys, [replace(coins[0], output=TxOut(Sats(100), coins[0].output.script))])


def changed(sweep: Psbt, place: int, fields: dict[bytes, bytes | None]) -> Psbt:
    psbt = sweep.copy()
    for key, value in fields.items():
        if value is None:
            del psbt.inputs[place].fields[key]
        else:
            psbt.inputs[place].fields[key] = value
    return psbt


def hostile(signer: SoftwareSigner, keys: SilentPaymentKeys, sweep: Psbt) -> Iterator[tuple[str, Psbt]]:
    """What nobody honest asks to have signed, by name."""
    fingerprint = signer.info.fingerprint
    assert fingerprint is not None
    spend = b"\x1f" + keys.spend
    mine = sweep.inputs[0].fields[spend]
    stranger = public_key(SENDER)
    foreign = TxOut(Sats(40_000), b"\x51\x20" + stranger[1:])

    def at(path: str, owner: bytes = bytes(fingerprint)) -> dict[bytes, bytes | None]:
        steps = DerivationPath.from_text(path).indexes
        return {spend: owner + b"".join(step.to_bytes(4, "little") for step in steps)}

    yield "another tweak", changed(sweep, 0, {b"\x20": sweep.inputs[1].fields[b"\x20"]})
    yield "no tweak", changed(sweep, 0, {b"\x20": None})
    yield "a zero tweak", changed(sweep, 0, {b"\x20": bytes(32)})
    yield "a short tweak", changed(sweep, 0, {b"\x20": bytes(31)})
    yield "a tweak above the order", changed(sweep, 0, {b"\x20": b"\xff" * 32})
    yield "no key", changed(sweep, 0, {spend: None})
    yield "two keys", changed(sweep, 0, {b"\x1f" + stranger: mine})
    yield "a stranger's key", changed(sweep, 0, {spend: None, b"\x1f" + stranger: mine})
    yield "a stranger's output", changed(sweep, 0, {b"\x01": foreign.serialize()})
    yield "another keystore", changed(sweep, 0, at("m/352h/1h/0h/0h/0", bytes(Fingerprint.from_text("01020304"))))
    for path in (
        "m/352h/1h/0h/1h/0",
        "m/352h/1h/0h/0h/1",
        "m/352h/1h/1h/0h/0",
        "m/86h/1h/0h/0/0",
        "m/352h/60h/0h/0h/0",
    ):
        yield path, changed(sweep, 0, at(path))
    yield "m/352h/1h/0/0h/0", changed(sweep, 0, at("m/352h/1h/0/0h/0"))
    yield "the master key", changed(sweep, 0, at("m"))
    yield "a hash type", changed(sweep, 0, {b"\x03": SINGLE.to_bytes(4, "little")})
    yield "signed already", changed(sweep, 1, {b"\x13": bytes(64)})
    yield "version 0", changed(sweep.to_version(0), 0, {})


def test_the_signer_refuses_what_is_not_spend_key_and_tweak(
    signer: SoftwareSigner, keys: SilentPaymentKeys, sweep: Psbt
) -> None:
    for name, psbt in hostile(signer, keys, sweep):
        with pytest.raises(InvalidInputError) as raised:
            signer.sign_silent_payments(psbt)
        assert raised.value.code.startswith("input"), name
        assert "0" * 64 not in raised.value.message
    assert isinstance(signer, SilentPaymentSigner)


def test_what_the_hash_type_all_adds(
    signer: SoftwareSigner, sweep: Psbt, coins: list[SilentCoin], kernel_verify: Verify
) -> None:
    psbt = sweep.copy()
    for one in psbt.inputs:
        one.sighash_type = ALL
    tx = extract(finalize(request_silent_signatures(signer, psbt, approved=psbt.tx.txid)))
    spent = {one.outpoint: one.output for one in coins}
    kernel_verify(tx, [spent[one.outpoint] for one in tx.inputs])
    assert {len(one.witness[0]) for one in tx.inputs} == {65}


def test_the_answer_is_held_to_the_question(signer: SoftwareSigner, sweep: Psbt) -> None:
    class Wayward:
        """Answers with what ``twist`` makes of a good answer."""

        def __init__(self, twist: Callable[[Psbt], Any]) -> None:
            self.info, self.twist = signer.info, twist

        def sign_silent_payments(self, psbt: Psbt) -> Any:
            return self.twist(signer.sign_silent_payments(psbt))

    def half(psbt: Psbt) -> Psbt:
        return changed(psbt, 0, {b"\x13": None})

    def forged(psbt: Psbt) -> Psbt:
        return changed(psbt, 0, {b"\x13": schnorr_sign(SENDER, bytes(32))})

    for twist in (half, forged, lambda _: None, lambda _: sweep):
        with pytest.raises(SignerMisbehavedError):
            request_silent_signatures(Wayward(twist), sweep, approved=sweep.tx.txid)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError) as raised:
        request_silent_signatures(signer, sweep, approved=Txid(bytes(32)))
    assert raised.value.code == "input.psbt.changed"
