"""Coins of any script: drafted with all that signers need, timelocks kept, weighed exactly, judged by the kernel."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from embit.psbt import PSBT as EmbitPsbt

from bursar.bitcoin.build import BuiltTransfer, build_bump, build_transfer
from bursar.bitcoin.coins import Coin, CoinScript
from bursar.bitcoin.descriptors.descriptor import Descriptor
from bursar.bitcoin.descriptors.spending import Spending
from bursar.bitcoin.draft import ChangeKey
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import p2sh, p2wsh, push
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.timelocks import common_locktime, is_mature
from bursar.bitcoin.transaction import SEQUENCE_RBF, OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import ecdsa_sign_der, public_key
from bursar.errors import InsufficientFundsError, InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme

Verify = Callable[[Transaction, Sequence[TxOut]], None]
SECRETS = [bytes([number]) * 32 for number in (1, 2, 3)]
KEYS = [public_key(secret) for secret in SECRETS]
TWO_OF_THREE = b"\x52" + b"".join([push(key) for key in KEYS]) + b"\x53\xae"
INPUT = 4 * 41
RATE = FeeRate(7_777)


def key_origin(number: int) -> KeyOrigin:
    return KeyOrigin(Fingerprint(bytes([number]) * 4), DerivationPath.from_text(f"m/{number}"))


ORIGINS = {key: key_origin(number) for number, key in enumerate(KEYS)}


def locked(opcode: bytes, number: int) -> bytes:
    """A key, and a time before which it does not sign."""
    value = number.to_bytes((number.bit_length() + 8) // 8, "little")
    pushed = bytes((0x50 + number,)) if number <= 16 else push(value)
    return push(KEYS[0]) + b"\xad" + pushed + opcode  # <key> OP_CHECKSIGVERIFY <n> OP_CLTV or OP_CSV


def in_wsh(script: bytes) -> Spending:
    return Spending(p2wsh(sha256(script)), witness_script=script, origins=ORIGINS)


def kinds() -> dict[str, CoinScript]:
    witness = 1 + 1 + 2 * 73 + 1 + len(TWO_OF_THREE)
    nested = p2wsh(sha256(TWO_OF_THREE))
    legacy = 1 + 2 * 73 + 2 + len(TWO_OF_THREE)
    old = locked(b"\xb2", 9)
    later = locked(b"\xb1", 120)
    noon = locked(b"\xb1", 1_700_000_000)
    return {
        "wsh": CoinScript(in_wsh(TWO_OF_THREE), INPUT + witness),
        "sh-wsh": CoinScript(Spending(p2sh(hash160(nested)), nested, TWO_OF_THREE, ORIGINS), INPUT + 4 * 35 + witness),
        "sh": CoinScript(Spending(p2sh(hash160(TWO_OF_THREE)), TWO_OF_THREE, None, ORIGINS), INPUT + 4 * (2 + legacy)),
        "older": CoinScript(in_wsh(old), INPUT + 1 + 73 + 1 + len(old), sequence=9),
        "after": CoinScript(in_wsh(later), INPUT + 1 + 73 + 1 + len(later), locktime=120),
        "noon": CoinScript(in_wsh(noon), INPUT + 1 + 73 + 1 + len(noon), locktime=1_700_000_000),
    }


def coin_of(key: CoinScript, value: int, *, number: int = 0, height: int | None = 100) -> Coin:
    spent = OutPoint(Txid(bytes([77, number]) * 16), 0)
    previous = Transaction(2, [TxIn(spent)], [TxOut(Sats(value), key.script)])
    return Coin(OutPoint(previous.txid, 0), previous.outputs[0], key, height, previous=previous)


def signed(psbt: Psbt) -> Transaction:
    """The transaction with signatures put together by hand."""
    spent = [psbt.utxo(place) for place in range(len(psbt.inputs))]
    cache = SighashCache(psbt.tx, spent)
    inputs = []
    for place, (one, item) in enumerate(zip(psbt.inputs, psbt.tx.inputs, strict=True)):
        script = one.witness_script or one.redeem_script
        assert script is not None
        legacy = one.witness_script is None
        digest = cache.legacy(place, script) if legacy else cache.segwit_v0(place, script, spent[place].value)
        secrets = SECRETS[:2] if script == TWO_OF_THREE else SECRETS[:1]
        signatures = [ecdsa_sign_der(secret, digest) + b"\x01" for secret in secrets]
        dummy = [b""] if script == TWO_OF_THREE else []
        script_sig, witness = b"", (*dummy, *signatures, script)
        if legacy:
            script_sig, witness = b"\x00" + b"".join(map(push, signatures)) + push(script), ()
        elif one.redeem_script is not None:
            script_sig = push(one.redeem_script)
        inputs.append(TxIn(item.outpoint, script_sig, item.sequence, witness))
    return Transaction(psbt.tx.version, inputs, psbt.tx.outputs, psbt.tx.locktime)


def build(wallet: Any, coins: list[Coin], amount: int, **options: Any) -> BuiltTransfer:
    payee = wallet.account(Scheme.BIP86, 3).address(0, 1)
    change = ChangeKey.of(kinds()["wsh"])
    options = {"change": change, "fee_rate": RATE, "tip_height": 200, "rng": random.Random(4), **options}
    return build_transfer(wallet.network, coins, [(payee, Sats(amount))], **options)


@pytest.mark.parametrize("name", ["wsh", "sh-wsh", "sh", "older", "after", "noon"])
def test_each_kind_is_drafted_weighed_and_spendable(name: str, wallet: Any, kernel_verify: Verify) -> None:
    key = kinds()[name]
    coins = [coin_of(key, 80_000, number=number) for number in range(3)]
    built = build(wallet, coins, 150_000)
    psbt = Psbt.parse(built.psbt.serialize())
    tx = signed(psbt)
    kernel_verify(tx, [psbt.utxo(place) for place in range(len(psbt.inputs))])
    heaviest = 2 * len(tx.inputs) * (4 if name == "sh" else 1) * 2
    assert 0 <= 4 * built.vsize + 3 - tx.weight <= heaviest + 6
    assert built.fee >= RATE.fee(tx.vsize)
    assert built.change_index is not None
    output = psbt.outputs[built.change_index]
    assert output.witness_script == TWO_OF_THREE
    assert dict(output.bip32_derivations.pairs()) == ORIGINS
    assert dict(psbt.inputs[0].bip32_derivations.pairs()) == ORIGINS
    assert (psbt.inputs[0].witness_utxo is None) == (name == "sh")
    assert {one.sequence for one in tx.inputs} == {9 if name == "older" else SEQUENCE_RBF}
    assert tx.replaceable
    assert EmbitPsbt.parse(psbt.serialize()).fee() == built.fee
    second = build_bump(tx, built.coins, change=ChangeKey.of(kinds()["wsh"]), fee_rate=FeeRate(20_000), tip_height=201)
    kernel_verify(signed(second.psbt), [coin.output for coin in second.coins])


def test_all_kinds_together_with_one_lock_by_height(wallet: Any, kernel_verify: Verify) -> None:
    made = {name: coin_of(key, 50_000, number=at) for at, (name, key) in enumerate(kinds().items())}
    built = build(wallet, list(made.values()), 240_000, fee_rate=FeeRate(1000))
    assert {coin.outpoint for coin in built.coins} == {
        coin.outpoint for name, coin in made.items() if name != "noon"
    }, "no transaction keeps a lock by time and one by height"
    kernel_verify(signed(built.psbt), [coin.output for coin in built.coins])
    with pytest.raises(InsufficientFundsError):
        build(wallet, list(made.values()), 280_000, fee_rate=FeeRate(1000))
    forced = build(wallet, list(made.values()), 200_000, fixed=[made["noon"].outpoint])
    assert forced.psbt.tx.locktime == 1_700_000_000
    with pytest.raises(InvalidInputError) as caught:
        build(wallet, list(made.values()), 20_000, fixed=[made["noon"].outpoint, made["after"].outpoint])
    assert caught.value.code == "input.coin.timelock"
    assert made["after"] not in build(wallet, list(made.values()), 140_000, locktime=119).coins


def test_timelocks_hold_coins_back(wallet: Any) -> None:
    older, after = coin_of(kinds()["older"], 90_000, height=100), coin_of(kinds()["after"], 90_000)
    assert [is_mature(older, tip) for tip in (107, 108, None)] == [False, True, False]
    assert not is_mature(replace(older, height=None), 300)
    assert [is_mature(after, tip) for tip in (119, 120, None)] == [False, True, False]
    assert is_mature(coin_of(kinds()["noon"], 90_000), None)
    assert common_locktime([older, after], 90) == 120
    assert common_locktime([older, after], 190) == 190
    with pytest.raises(InsufficientFundsError):
        build(wallet, [older], 10_000, tip_height=107)


def test_a_script_that_is_not_the_coins_is_refused(wallet: Any) -> None:
    key = kinds()["wsh"]
    coin = coin_of(key, 90_000)
    with pytest.raises(InvalidInputError) as caught:
        build(wallet, [replace(coin, key=kinds()["sh"])], 10_000)
    assert caught.value.code == "input.coin.key"
    for values in ({"input_weight": 160}, {"sequence": 0xFFFFFFFF}, {"locktime": -1}):
        with pytest.raises(InvalidInputError):
            CoinScript(**{"spending": key.spending, "input_weight": 500, **values})


def test_multisig_accounts_and_script_trees(wallet: Any) -> None:
    path = DerivationPath.from_text("m/48h/1h/0h/2h")
    roots = [ExtendedPrivateKey.from_seed(bytes([number]) * 32, testnet=True) for number in range(3)]
    cosigners = tuple((KeyOrigin(root.fingerprint, path), root.derive(path).public()) for root in roots)
    account = MultisigAccount(wallet.network, MultisigKind.WSH, 2, cosigners)
    key = CoinScript(account.spending(0, 5), INPUT + 1 + 1 + 2 * 73 + 1 + len(TWO_OF_THREE))
    change = ChangeKey.of(CoinScript(account.spending(1, 6), key.input_weight))
    one = build(wallet, [coin_of(key, 90_000)], 10_000, change=change).psbt
    assert dict(one.inputs[0].bip32_derivations.pairs()) == account.keys(0, 5)
    assert dict(one.outputs[0 if one.tx.outputs[0].script == change.script else 1].bip32_derivations.pairs()) == (
        account.keys(1, 6)
    )
    origin = f"[{roots[0].fingerprint}/86h/1h/0h]{roots[0].derive(path).public()}/0/*"
    other = f"[{roots[1].fingerprint}/86h/1h/0h]{roots[1].derive(path).public()}/0/*"
    tree = Descriptor.parse(f"tr({origin},pk({other}))".replace("86h/1h/0h", "48h/1h/0h/2h")).spending(0, 3)
    leaf = CoinScript(tree, INPUT + 1 + 65 + 35 + 66)
    assert (leaf.segwit, leaf.taproot) == (True, True)
    coin = replace(coin_of(leaf, 90_000), previous=None)
    tapped = build(wallet, [coin], 10_000, change=ChangeKey.of(leaf)).psbt
    assert tapped.inputs[0].tap_merkle_root == tree.merkle_root
    assert len(list(tapped.inputs[0].tap_leaf_scripts.pairs())) == 1
    assert tapped.inputs[0].non_witness_utxo is None
    assert any(one.tap_tree for one in tapped.outputs)
