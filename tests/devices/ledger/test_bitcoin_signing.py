"""SIGN_PSBT by the vendor's client, every signature verified by embit; conversations as the real app holds them."""

from __future__ import annotations

import hashlib

import pytest
from embit import ec
from embit import psbt as embit_psbt

# Measured on the app 2.4.6 (Nano S+, Speculos 0.27.1): how many APDUs signing takes, and the start of the SHA-256 of
# every request and reply, for PSBTs of `wallet.psbt` with one and with three inputs. Taproot signatures are random:
# there the conversation is compared up to them.
CONVERSATIONS = {
    ("pkh", 1): (229, "1a699a80"),
    ("pkh", 3): (649, "f8563b8c"),
    ("sh", 1): (218, "a54532f1"),
    ("sh", 3): (472, "8e313921"),
    ("wpkh", 1): (206, "1ed02e1e"),
    ("wpkh", 3): (436, "9bc59899"),
    ("tr", 1): (178, "fd070b58"),
    ("tr", 3): (352, "f55804aa"),
}


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


@pytest.mark.parametrize("remember", [True, False])
@pytest.mark.parametrize("kind", ["pkh", "sh", "wpkh", "tr"])
def test_every_kind_is_signed(start, client, wallet, kind, remember):
    device = start(remember=remember)
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


@pytest.mark.parametrize(("kind", "count"), CONVERSATIONS)
def test_asks_what_the_real_app_asks(start, client, wallet, kind, count):
    device = start(remember=False)
    talk = client(device)
    psbt = wallet.psbt(kind, inputs=(100_000_000,) * count, change=100_000_000 * count - 60_010_000)
    talk.transport_client.peer.transcript.clear()
    talk.sign_psbt(psbt.serialize(), wallet.policy(kind), None)
    transcript = talk.transport_client.peer.transcript
    number = len(transcript)
    if kind == "tr":
        transcript = transcript[: next(at for at, (_, reply) in enumerate(transcript) if reply[5:7] == "10")]
    digest = hashlib.sha256(repr(transcript).encode()).hexdigest()[:8]
    assert (number, digest) == CONVERSATIONS[kind, count]


def test_two_taproot_signings_differ(start, client, wallet):
    talk = client(start())
    first, second = (talk.sign_psbt(wallet.psbt("tr").serialize(), wallet.policy("tr"), None) for _ in range(2))
    assert first[0][1].pubkey == second[0][1].pubkey
    assert first[0][1].signature != second[0][1].signature


def test_the_mainnet_app_signs_mainnet_only(start, client, wallet):
    from ledger_bitcoin.exception.errors import IncorrectDataError

    main = type(wallet)(coin_type=0)
    talk = client(start(app="Bitcoin"))
    psbt = main.psbt()
    verify(psbt, talk.sign_psbt(psbt.serialize(), main.policy("wpkh"), None), main, "wpkh")
    with pytest.raises(IncorrectDataError):
        talk.sign_psbt(wallet.psbt().serialize(), wallet.policy("wpkh"), None)


def test_other_accounts_and_later_addresses(start, client, wallet):
    talk = client(start())
    psbt = wallet.psbt(account=7)
    ((_, part),) = talk.sign_psbt(psbt.serialize(), wallet.policy("wpkh", 7), None)
    assert part.pubkey == wallet.public(wallet.path("wpkh", 0, 0, 7))


def test_a_psbt_of_version_2_gives_the_same_signature(start, client, wallet):
    from ledger_bitcoin.psbt import PSBT

    talk = client(start())
    converted = PSBT()
    converted.deserialize(str(wallet.psbt()))
    converted.convert_to_v2()
    policy = wallet.policy("wpkh")
    assert talk.sign_psbt(converted, policy, None) == talk.sign_psbt(wallet.psbt().serialize(), policy, None)


def test_a_hundred_inputs(start, client, wallet):
    device = start()
    psbt = wallet.psbt(
        inputs=(1_000_000,) * 100, payments=((wallet.script("wpkh", bytes([2]) + bytes(32)), 90_000_000),), change=None
    )
    results = client(device).sign_psbt(psbt.serialize(), wallet.policy("wpkh"), None)
    assert len(results) == 100
