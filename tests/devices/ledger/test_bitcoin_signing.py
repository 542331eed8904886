"""SIGN_PSBT driven by the vendor's client, every signature verified by embit."""

from __future__ import annotations

import pytest
from embit import ec
from embit import psbt as embit_psbt


def verify(psbt, results, wallet, kind):
    """Every input is signed once, by the right key, over what embit says must be signed."""
    theirs = embit_psbt.PSBT.parse(psbt.serialize())
    assert sorted(index for index, _ in results) == list(range(len(psbt.inputs)))
    for index, part in results:
        key = wallet.public(wallet.path(kind, 0, index))
        if kind == "tr":
            output_key = psbt.inputs[index].witness_utxo.script[2:]
            assert part.pubkey == output_key
            assert len(part.signature) == 64
            digest = theirs.sighash(index, 0)
            assert ec.PublicKey.from_xonly(output_key).schnorr_verify(ec.SchnorrSig.parse(part.signature), digest)
            continue
        assert part.pubkey == key
        assert part.signature[-1] == 1
        digest = theirs.sighash(index, 1)
        assert ec.PublicKey.parse(key).verify(ec.Signature.parse(part.signature[:-1]), digest)
        assert (
            wallet.root.derive(wallet.path(kind, 0, index)).key.sign(digest, grind=False).serialize()
            == (part.signature[:-1])
        )


@pytest.mark.parametrize("kind", ["pkh", "sh", "wpkh", "tr"])
def test_every_kind_is_signed(start, client, wallet, kind):
    device = start()
    psbt = wallet.psbt(kind, inputs=(70_000_000, 30_000_000))
    results = client(device).sign_psbt(psbt.serialize(), wallet.policy(kind), None)
    verify(psbt, results, wallet, kind)
    assert [page.title for page in device.pages] == [
        "Review transaction to send bitcoin",
        "Amount",
        "To",
        "Fees",
        "Sign transaction",
    ]
