"""MuSig2 through PSBTs: BIP-373's own cases, both rounds in software, spent before libbitcoinkernel, liars refused."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.psbt import InputDigests, Psbt, create, update_input
from bursar.bitcoin.psbt.musig2 import aggregate_signatures, musig_spends
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.key_aggregation import AggregateKey
from bursar.errors import InvalidContributionError, InvalidInputError, SignerMisbehavedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_signatures
from bursar.signing.musig2 import request_musig2_nonces, request_musig2_signatures

PATH = DerivationPath.from_text("m/87h/1h/0h/0/3")
NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
CASES = json.loads((Path(__file__).parents[3] / "vectors" / "psbt_musig2.json").read_text())["vectors"]


@pytest.fixture(scope="module")
def kernel() -> Callable[[Transaction, TxOut], None]:
    pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")

    def verify(tx: Transaction, spent: TxOut) -> None:
        output = pbk.TransactionOutput(pbk.ScriptPubkey(spent.script), int(spent.value))
        transaction = pbk.Transaction(tx.serialize())
        shared = pbk.script.PrecomputedTransactionData(transaction, [output])
        flags = pbk.ScriptVerificationFlags.ALL
        assert pbk.ScriptPubkey(spent.script).verify(int(spent.value), transaction, shared, 0, flags)

    return verify


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"][:90])
def test_the_cases_of_bip_373(case: dict[str, str], kernel: Any) -> None:
    if case["section"] == "invalid":
        with pytest.raises(InvalidInputError):
            Psbt.from_text(case["psbt"])
        return
    psbt = Psbt.from_text(case["psbt"])
    assert str(psbt) == case["psbt"]
    assert psbt.to_version(2).to_version(0) == psbt
    if "partial signatures" in case["case"]:
        bare = psbt.copy()
        printed = {key: value for key, value in bare.inputs[0].fields.items() if key[0] in (0x13, 0x14)}
        for key in printed:
            del bare.inputs[0].fields[key]
        made = aggregate_signatures(bare).inputs[0].fields
        assert {key: made[key] for key in printed} == printed
        kernel(extract(finalize(bare)), psbt.utxo(0))


class Group:
    """Three signers and the aggregate of their keys."""

    def __init__(self) -> None:
        roots = [ExtendedPrivateKey.from_seed(bytes([number]) * 32, testnet=True) for number in (1, 2, 3)]
        self.signers = [SoftwareSigner(root) for root in roots]
        self.keys = [signer.xpub(PATH).key for signer in self.signers]
        self.aggregate = AggregateKey.of(self.keys)
        self.origins = {key: KeyOrigin(root.fingerprint, PATH) for key, root in zip(self.keys, roots, strict=True)}

    def psbt(self, template: str, *, version: int = 0, steps: str = "") -> Psbt:
        """A spend of ``template`` with the aggregate, or the key ``steps`` below it, in place of ``K``."""
        key, below = self.aggregate.key, DerivationPath.from_text(f"m{steps}")
        if steps:
            from bursar.bitcoin.psbt.musig2 import CHAIN_CODE
            from bursar.keys.bip32 import ExtendedPublicKey

            key = ExtendedPublicKey(0, Fingerprint(bytes(4)), 0, CHAIN_CODE, key).derive(below).key
        spending = Descriptor.parse(template.replace("K", key[1:].hex()).replace("NUMS", NUMS)).spending(0, 0)
        coin = Transaction(
            2, [TxIn(OutPoint(Txid(sha256(template.encode())), 0))], [TxOut(Sats(9000), spending.script)]
        )
        psbt = create([TxIn(OutPoint(coin.txid, 0))], [TxOut(Sats(8000), p2wpkh(bytes(20)))], version=version)
        update_input(psbt, 0, previous=coin, spending=spending)
        one = psbt.inputs[0]
        one.musig2_participants[self.aggregate.key] = tuple(self.keys)
        leaves = tuple(leaf.hash for leaf in InputDigests(psbt).leaves(0))
        for known in [*one.tap_bip32_derivations]:
            del one.tap_bip32_derivations[known]
        for participant, origin in self.origins.items():
            one.tap_bip32_derivations[participant[1:]] = ((), origin)
        if steps:
            master = Fingerprint(hash160(self.aggregate.key)[:4])
            one.tap_bip32_derivations[key[1:]] = (leaves, KeyOrigin(master, below))
        return Psbt.parse(psbt.serialize())


@pytest.fixture(scope="module")
def group() -> Group:
    return Group()


@pytest.mark.parametrize(
    ("template", "steps"),
    [
        ("tr(K)", ""),
        ("rawtr(K)", ""),
        ("tr(K,pk(NUMS))", ""),
        ("tr(NUMS,pk(K))", ""),
        ("tr(NUMS,{pk(NUMS),pk(K)})", ""),
        ("tr(K)", "/1/2"),
        ("tr(NUMS,pk(K))", "/0/7"),
    ],
)
def test_both_rounds_and_the_spend(template: str, steps: str, group: Group, kernel: Any) -> None:
    psbt = group.psbt(template, version=2 if steps else 0, steps=steps)
    first = combine([request_musig2_nonces(signer, psbt) for signer in group.signers])
    assert len(first.inputs[0].musig2_nonces) == 3
    with pytest.raises(InvalidInputError) as caught:
        finalize(first)
    assert caught.value.code == "input.psbt.unsigned"
    second = combine([request_musig2_signatures(signer, first) for signer in group.signers])
    done = finalize(second)
    kernel(extract(done), psbt.utxo(0))
    assert not {0x1A, 0x1B, 0x1C} & {key[0] for key in done.inputs[0].fields}
    for signer in group.signers:  # a nonce signs once
        with pytest.raises(InvalidInputError) as caught:
            signer.musig2_sign(first)
        assert caught.value.code == "input.psbt.nonce"
    spoiled = second.copy()
    parts = spoiled.inputs[0].musig2_partial_sigs
    ((key, part), *_) = parts.pairs()
    parts[key] = part[:-1] + bytes((part[-1] ^ 1,))
    with pytest.raises(InvalidContributionError):
        finalize(spoiled)


def test_row_82_secret_nonces_do_not_leave_the_signer(group: Group) -> None:
    psbt = group.psbt("tr(K)")
    signer = group.signers[0]
    one = signer.musig2_nonces(psbt)
    other = signer.musig2_nonces(psbt)
    assert dict(one.inputs[0].musig2_nonces) != dict(other.inputs[0].musig2_nonces)
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            act(signer)
    with pytest.raises(InvalidInputError) as caught:
        signer.musig2_nonces(one)
    assert caught.value.code == "input.psbt.nothing-to-sign"
    everyone = combine([one, *(signer.musig2_nonces(psbt) for signer in group.signers[1:])])
    elsewhere = SoftwareSigner(ExtendedPrivateKey.from_seed(bytes([1]) * 32, testnet=True))
    with pytest.raises(InvalidInputError) as caught:
        elsewhere.musig2_sign(everyone)
    assert caught.value.code == "input.psbt.nonce"


def test_a_participants_key_gives_no_signature_of_its_own(group: Group) -> None:
    psbt = group.psbt("tr(K)")
    with pytest.raises(InvalidInputError) as caught:
        request_signatures(group.signers[0], psbt)
    assert caught.value.code == "input.psbt.nothing-to-sign"


def test_participants_who_do_not_make_the_aggregate(group: Group) -> None:
    psbt = group.psbt("tr(K)")
    psbt.inputs[0].musig2_participants[group.aggregate.key] = tuple(group.keys[:2])
    with pytest.raises(InvalidInputError) as caught:
        musig_spends(InputDigests(psbt), psbt, 0)
    assert caught.value.code == "input.psbt.key"


def answering(signer: SoftwareSigner, change: Callable[[Psbt], None]) -> Any:
    def answer(call: Callable[[Psbt], Psbt]) -> Callable[[Psbt], Psbt]:
        def changed(psbt: Psbt) -> Psbt:
            reply = call(psbt)
            change(reply)
            return reply

        return changed

    return SimpleNamespace(
        info=signer.info, musig2_nonces=answer(signer.musig2_nonces), musig2_sign=answer(signer.musig2_sign)
    )


def renamed(psbt: Psbt, group: Group, kind: int, place: int) -> None:
    """Says that what cosigner 0 gave is cosigner ``place``'s."""
    fields = psbt.inputs[0].fields
    (old,) = (key for key in fields if key[0] == kind and key[1:34] == group.keys[0])
    fields[bytes((kind,)) + group.keys[place] + old[34:]] = fields.pop(old)


def put(psbt: Psbt, kind: int, value: bytes) -> None:
    fields = psbt.inputs[0].fields
    fields[next(key for key in reversed(fields) if key[0] == kind)] = value


@pytest.mark.parametrize(
    "lie",
    [
        lambda psbt, group: renamed(psbt, group, 0x1B, 1),
        lambda psbt, group: put(psbt, 0x1B, bytes(66)),
        lambda psbt, group: psbt.inputs[0].fields.update({b"\x13": bytes(64)}),
        lambda psbt, group: psbt.inputs[0].fields.update({b"\x1b" + group.keys[0] + group.keys[1]: bytes(66)}),
        lambda psbt, group: psbt.inputs[0].musig2_nonces.clear(),
        lambda psbt, group: psbt.inputs[0].unknown.update({b"\xfc": b""}),
    ],
)
def test_row_57_a_lie_about_a_nonce(lie: Callable[[Psbt, Group], None], group: Group) -> None:
    psbt = group.psbt("tr(K)")
    with pytest.raises(SignerMisbehavedError):
        request_musig2_nonces(answering(group.signers[0], lambda reply: lie(reply, group)), psbt)


@pytest.mark.parametrize(
    "lie",
    [
        lambda psbt, group: renamed(psbt, group, 0x1C, 1),
        lambda psbt, group: put(psbt, 0x1C, bytes(31) + b"\x01"),
        lambda psbt, group: put(psbt, 0x1C, b"\xff" * 32),
        lambda psbt, group: psbt.inputs[0].fields.update({b"\x1b" + group.keys[1] * 2: bytes(66)}),
        lambda psbt, group: psbt.inputs[0].musig2_partial_sigs.clear(),
    ],
)
def test_row_57_a_lie_about_a_partial_signature(lie: Callable[[Psbt, Group], None], group: Group) -> None:
    psbt = combine([signer.musig2_nonces(group.psbt("tr(K)")) for signer in group.signers])
    with pytest.raises(SignerMisbehavedError):
        request_musig2_signatures(answering(group.signers[0], lambda reply: lie(reply, group)), psbt)
