"""The roles of BIP-174 one after the other, each held to what the specification prints, and v0 beside v2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.psbt import Psbt, create, update_input
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath

Vectors = Callable[[str], Path]
# of BIP-174's section on test vectors
ROOT = "tprv8ZgxMBicQKsPd9TeAdPADNnSyH9SSUUbTVeFszDE23Ki6TBB5nCefAdHkK8Fm3qMQR6sHwA56zqRmKmxnHk37JkiFzvncDqoKmPWubu7hDF"
COINS = [
    "75ddabb27b8845f5247975c8a5ba7c6f336c4570708ebe230caf6db5217ae858:0",
    "1dea7cd05979072a3578cab271c02244ea8a090bbb46aa680a65ecd027048d83:1",
]
PAYS = [
    (149_990_000, "0014d85c2b71d0060b09c9886aeb815e50991dda124d"),
    (100_000_000, "001400aea9a2e5f0f876a588df5546e8742d1d87008f"),
]
KEYS = [
    "029583bf39ae0a609747ad199addd634fa6108559d6c5cd39b4c2183f1ab96e07f",
    "02dab61ff49a14db6a7d02b0cd1fbb78fc4b18312b5b4e54dae4dba2fbfef536d7",
    "03089dc10c7ac6db54f91329af617333db388cead0c231f723379d1b99030b02dc",
    "023add904f3d6dcf59ddb906b0dee23529b7ffb9ed50e5e86151926860221f0e73",
    "03a9a4c37f5996d3aa25dbac6b570af0650394492942460b354753ed9eeca58771",
    "027f6399757d2eff55a136ad02c684b1838b6556e5f1b6b34282a94b6b50051096",
]


@pytest.fixture(scope="module")
def printed(official_vectors: Vectors) -> list[Psbt]:
    """Created, updated, with hash types, signed twice, combined, finalised."""
    everything = json.loads(official_vectors("bip/bip0174.json").read_text())["vectors"]
    return [Psbt.from_text(case["psbt"]) for case in everything[34:41]]


def same_fields(one: Psbt, other: Psbt) -> None:
    """Equal but for the order of fields, which the specification leaves free."""
    assert one == other


def test_creator(printed: list[Psbt]) -> None:
    inputs = [TxIn(OutPoint.from_text(coin)) for coin in COINS]
    outputs = [TxOut(Sats(value), bytes.fromhex(script)) for value, script in PAYS]
    made = create(inputs, outputs, version=0)
    assert made.serialize() == printed[0].serialize()
    assert create(inputs, outputs).to_version(0).serialize() == printed[0].serialize()


@pytest.mark.parametrize("version", [0, 2])
def test_updater(version: int, printed: list[Psbt]) -> None:
    psbt, told = printed[0].to_version(version), printed[1]
    with ExtendedPrivateKey.from_text(Secret.from_text(ROOT)) as root:
        origins = [KeyOrigin(root.fingerprint, DerivationPath.from_text(f"m/0h/0h/{place}h")) for place in range(6)]
    for index, (start, end) in enumerate([(0, 2), (2, 4)]):
        known = told.inputs[index]
        update_input(psbt, index, previous=known.non_witness_utxo, output=known.witness_utxo)
        one = psbt.inputs[index]
        one.redeem_script, one.witness_script = known.redeem_script, known.witness_script
        for place in range(start, end):
            one.bip32_derivations[bytes.fromhex(KEYS[place])] = origins[place]
    for index in (0, 1):
        psbt.outputs[index].bip32_derivations[bytes.fromhex(KEYS[4 + index])] = origins[4 + index]
    same_fields(psbt.to_version(0), told)
    for one in psbt.inputs:
        one.sighash_type = 1
    same_fields(psbt.to_version(0), printed[2])


@pytest.mark.parametrize("version", [0, 2])
@pytest.mark.parametrize("low_r", [False, True])
def test_signers_combiner_finaliser_extractor(version: int, low_r: bool, printed: list[Psbt]) -> None:
    """Each signer of the text holds one key of each input; their signatures are the printed ones if R is not ground."""
    _, _, question, first, second, combined, final = printed
    signed = []
    with SoftwareSigner(ExtendedPrivateKey.from_text(Secret.from_text(ROOT)), low_r=low_r) as signer:
        for told in (first, second):
            asked = question.to_version(version)
            for one, theirs in zip(asked.inputs, told.inputs, strict=True):
                for key in [*one.bip32_derivations]:
                    if key not in theirs.partial_sigs:
                        del one.bip32_derivations[key]
            reply = signer.sign_psbt(asked)
            for one, other in zip(reply.inputs, question.inputs, strict=True):
                one.bip32_derivations.update(dict(other.bip32_derivations))
            signed.append(reply)
            if not low_r:
                same_fields(reply.to_version(0), told)
    joined = combine(signed)
    if low_r:
        assert all(len(value) <= 72 for one in joined.inputs for value in one.partial_sigs.values())
        extract(finalize(joined))
        return
    same_fields(joined.to_version(0), combined)
    done = finalize(joined)
    same_fields(done.to_version(0), final)
    assert extract(done) == extract(final)
    assert done.version == version
    assert Transaction.parse(extract(done).serialize()).txid == extract(final).txid


def test_a_combiner_of_nothing() -> None:
    with pytest.raises(InvalidInputError):
        combine([])
