"""Checklist I, nonces and signatures (rows 77 to 82): no key leaks through what is signed with it."""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner, psbt_inputs
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.transaction import Transaction
from bursar.crypto.key_aggregation import AggregateKey
from bursar.crypto.musig2 import MusigSession
from bursar.crypto.musig2_nonce import SecretNonce, generate_nonce
from bursar.crypto.secp256k1 import (
    ORDER,
    EcdsaSignature,
    ecdsa_sign,
    ecdsa_verify,
    public_key,
    schnorr_sign,
    schnorr_verify,
)
from bursar.crypto.secret import Secret
from bursar.errors import (
    InvalidContributionError,
    InvalidInputError,
    InvalidSignatureError,
    SignerError,
    SignerMisbehavedError,
)
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.host_nonce import HostNonce
from bursar.signing.nonces import repeated_nonces, signatures_of_bitcoin
from bursar.wallet import PaymentOrder, Transfer

WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
# Of RFC 6979's method on secp256k1, as widely published: secret, message, r, s
RFC6979 = [
    (
        1,
        b"Satoshi Nakamoto",
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8",
        "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
    ),
    (
        1,
        b"All those moments will be lost in time, like tears in rain. Time to die...",
        "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b",
        "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
    ),
    (
        ORDER - 1,
        b"Satoshi Nakamoto",
        "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0",
        "6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
    ),
]


def test_row_77_ecdsa_nonces_are_those_of_rfc_6979() -> None:
    for secret, message, r, s in RFC6979:
        digest = hashlib.sha256(message).digest()
        assert ecdsa_sign(secret.to_bytes(32, "big"), digest).hex() == r + s


def test_row_77_no_signature_with_a_high_s_leaves(ask: SimpleNamespace, account: Any, signer: SoftwareSigner) -> None:
    for salt in range(12):
        psbt = ask.one(salt=salt)
        for value in request_signatures(signer, psbt, account=account()).inputs[0].partial_sigs.values():
            assert EcdsaSignature.from_der(value[:-1]).low_s
    found = EcdsaSignature.from_der(value[:-1])
    high = EcdsaSignature(found.r, ORDER - found.s)
    with pytest.raises(InvalidSignatureError):
        ecdsa_verify(account().key(0, 0), InputDigests(psbt).digest(0).digest, high.compact())


def test_row_77_78_a_machine_that_computes_wrongly_gives_no_signature(
    ask: SimpleNamespace, account: Any, signer: SoftwareSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psbt_inputs, "ecdsa_sign_der", lambda *_, **__: bytes.fromhex("3006020101020101"))
    monkeypatch.setattr(psbt_inputs, "schnorr_sign", lambda *_, **__: b"\x01" * 64)
    for scheme in Scheme:
        with pytest.raises(SignerError) as caught:
            request_signatures(signer, ask.one(scheme), account=account(scheme))
        assert caught.value.code == "signer.fault"


def test_row_78_bip_340_as_its_vectors_have_it(official_vectors: Callable[[str], Path]) -> None:
    with official_vectors("bip/bip0340.csv").open() as file:
        rows = list(csv.DictReader(file))
    wrong = 0
    for row in rows:
        message, signature = bytes.fromhex(row["message"]), bytes.fromhex(row["signature"])
        key = bytes.fromhex(row["public key"])
        if row["secret key"] and len(message) == 32:
            made = schnorr_sign(bytes.fromhex(row["secret key"]), message, bytes.fromhex(row["aux_rand"]))
            assert made == signature
        if row["verification result"] == "TRUE":
            if len(message) == 32:
                schnorr_verify(key, message, signature)
        else:
            wrong += 1
            with pytest.raises(InvalidInputError):
                schnorr_verify(key, message, signature)
    assert wrong >= 10


def test_row_78_auxiliary_randomness_is_fresh(ask: SimpleNamespace, account: Any, signer: SoftwareSigner) -> None:
    psbt = ask.one(Scheme.BIP86)
    made = {request_signatures(signer, psbt, account=account(Scheme.BIP86)).inputs[0].tap_key_sig for _ in range(3)}
    assert len(made) == 3


def signed_with(secret: int, digest: bytes, nonce: int) -> EcdsaSignature:
    """ECDSA with a nonce of our choice, in plain arithmetic."""
    point = public_key(nonce.to_bytes(32, "big"))
    r = int.from_bytes(point[1:], "big") % ORDER
    s = pow(nonce, -1, ORDER) * (int.from_bytes(digest, "big") + r * secret) % ORDER
    return EcdsaSignature(r, s).normalized()


def secret_of(account: Any, index: int) -> int:
    with Mnemonic.from_text(WORDS).to_seed() as seed, ExtendedPrivateKey.from_seed(seed) as root:
        return int.from_bytes(root.derive(account.key_origin(0, index).path).secret().expose(), "big")


def test_row_79_two_signatures_of_one_nonce_give_the_key_away() -> None:
    """Why all this is checked: the key, from two signatures that anybody may see."""
    secret, nonce = 0xC0FFEE << 100, 0xBADC0DE << 90
    digests = [hashlib.sha256(text).digest() for text in (b"one", b"two")]
    (one, two), (first, second) = (
        (signed_with(secret, digest, nonce) for digest in digests),
        (int.from_bytes(digest, "big") for digest in digests),
    )
    assert one.r == two.r
    found = set()
    for sign in (1, -1):  # either s may have been turned to its low form
        k = (first - sign * second) * pow(one.s - sign * two.s, -1, ORDER) % ORDER
        found.add((one.s * k - first) * pow(one.r, -1, ORDER) % ORDER)
    assert secret in found


def test_row_79_a_signer_that_uses_a_nonce_twice_is_found_out(
    ask: SimpleNamespace, account: Any, signer: SoftwareSigner
) -> None:
    ours = account()
    psbt = ask.question([ask.spend(), ask.spend(index=1)], change=ours)
    secrets = [secret_of(ours, index) for index in (0, 1)]

    def careless(asked: Psbt) -> Psbt:
        digests = InputDigests(asked)
        for index, secret in enumerate(secrets):
            made = signed_with(secret, digests.digest(index).digest, 0xBADC0DE)
            asked.inputs[index].partial_sigs[ours.key(0, index)] = made.to_der() + b"\x01"
        return asked

    with pytest.raises(SignerMisbehavedError, match="with one nonce"):
        request_signatures(SimpleNamespace(info=signer.info, sign_psbt=careless), psbt, account=ours)
    # one at a time: the second is held against the first
    half = psbt.copy()
    half.inputs[0].fields.update(careless(psbt.copy()).inputs[0].fields)

    def later(asked: Psbt) -> Psbt:
        asked.inputs[1].fields.update(careless(asked.copy()).inputs[1].fields)
        return asked

    with pytest.raises(SignerMisbehavedError, match="input 0 and input 1 with one nonce"):
        request_signatures(SimpleNamespace(info=signer.info, sign_psbt=later), half, account=ours)


def test_row_79_the_record_of_all_transfers_is_searched(line: Any, funded: Any, policy: Any, fakes: Any) -> None:
    """Two transfers, each good by itself; the command that verifies the journal finds what joins them."""
    import shutil

    wallet, node = funded.wallet, funded.node
    ours = funded.account
    payee = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    careless = fakes.Signer()

    def tamper(answer: Psbt) -> Psbt:
        digests = InputDigests(answer)
        for index, one in enumerate(answer.inputs):
            (key,) = one.bip32_derivations
            place = one.bip32_derivations[key].path.indexes[-1]
            made = signed_with(secret_of(ours, place), digests.digest(index).digest, 0xBADC0DE)
            one.fields[b"\x02" + key] = made.to_der() + b"\x01"
        return answer

    raws = []
    for amount in (300_000, 400_000):
        plan = wallet.plan(Transfer(account="btc", payments=(PaymentOrder(payee, amount, "BTC"),)), node)
        if len(Psbt.from_text(plan.psbt).inputs) == 1:
            careless.tamper = tamper
        signed = wallet.sign(wallet.approve(plan, policy), signer=careless)
        raws.append(Transaction.parse(signed.raw))
    careless.close()
    found = repeated_nonces(one for raw in raws for one in signatures_of_bitcoin(raw))
    assert [len(one.places) for one in found] == [2]
    assert repeated_nonces([*signatures_of_bitcoin(raws[0]), *signatures_of_bitcoin(raws[0])]) == ()
    path = Path(wallet._context.store.path)
    wallet.close()
    shutil.copyfile(path, line.home / "wallet.db")
    result = line.run("journal", "verify")
    assert isinstance(result.exception, SignerMisbehavedError)
    assert "one nonce served twice" in result.exception.message


def test_row_80_a_nonce_the_host_took_part_in_is_opened_or_refused() -> None:
    """Against a signature that libwally's own signer made with this host's share."""
    host = HostNonce(b"\x22" * 32)
    opening = bytes.fromhex("0304e2aee4da862ec05f613624394f28de5ed4d359cf1d586a8339b0bd8b676323")
    signature = EcdsaSignature.from_compact(
        bytes.fromhex(
            "3b0f793a23d442885acaed63d42bdad10b6951783b609223408d3e55f9d166d3"
            "5866104baac6c52819536d894b857353c0ad5980645981d01bda68bdbfb3c757"
        )
    )
    digest = hashlib.sha256(b"anti-exfil").digest()
    ecdsa_verify(public_key(b"\x11" * 32), digest, signature.compact())
    host.check(opening, signature, name="device")
    alone = EcdsaSignature.from_compact(ecdsa_sign(b"\x11" * 32, digest))
    for shown, made in (
        (None, signature),
        (opening, alone),
        (b"\x02" + opening[1:], signature),
        (b"\x02" + b"\xff" * 32, signature),
        (b"", signature),
        (public_key(b"\x05" * 32), signature),
    ):
        with pytest.raises(SignerMisbehavedError):
            host.check(shown, made, name="device")
    with pytest.raises(SignerMisbehavedError):
        HostNonce(b"\x23" * 32).check(opening, signature, name="device")
    assert HostNonce().commitment != HostNonce().commitment
    assert host.value not in (host.commitment, opening)


def test_row_80_another_implementation_agrees() -> None:
    wally = pytest.importorskip("wallycore", reason="wallycore comes with `make bench` only")
    for number in range(1, 6):
        secret, digest = bytes([number]) * 32, hashlib.sha256(bytes([number])).digest()
        host = HostNonce()
        kind = wally.EC_FLAG_ECDSA
        assert bytes(wally.ae_host_commit_from_bytes(host.value, kind)) == host.commitment
        opening = bytes(wally.ae_signer_commit_from_bytes(secret, digest, host.commitment, kind))
        made = EcdsaSignature.from_compact(bytes(wally.ae_sig_from_bytes(secret, digest, host.value, kind)))
        host.check(opening, made, name="device")
        wally.ae_verify(public_key(secret), digest, host.value, opening, kind, made.compact())


def test_row_81_grinding_for_a_low_r_is_deterministic(ask: SimpleNamespace, account: Any) -> None:
    sizes = set()
    for salt in range(10):
        psbt = ask.one(salt=salt)
        made = []
        for _ in range(2):
            with SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS)) as signer:
                (value,) = request_signatures(signer, psbt, account=account()).inputs[0].partial_sigs.values()
            made.append(value)
            sizes.add(len(value))
        assert made[0] == made[1]
        assert EcdsaSignature.from_der(made[0][:-1]).r < 1 << 255
    assert max(sizes) <= 71
    digest = hashlib.sha256(b"low r").digest()
    assert ecdsa_sign(b"\x01" * 32, digest, low_r=True) == ecdsa_sign(b"\x01" * 32, digest, low_r=True)


SECRETS = [bytes([number]) * 32 for number in (1, 2, 3)]
KEYS = [public_key(secret) for secret in SECRETS]
MESSAGE = hashlib.sha256(b"a message").digest()


def session() -> tuple[MusigSession, list[SecretNonce]]:
    aggregate = AggregateKey.of(KEYS)
    nonces = [
        generate_nonce(key, secret=Secret(secret), aggregate=aggregate, message=MESSAGE)
        for key, secret in zip(KEYS, SECRETS, strict=True)
    ]
    return MusigSession(aggregate, MESSAGE, nonces=[nonce.public for nonce in nonces]), nonces


def test_row_82_a_secret_nonce_signs_once_and_goes_nowhere() -> None:
    one, nonces = session()
    for act in (copy.copy, copy.deepcopy, pickle.dumps, bytes, hash, json.dumps, lambda nonce: nonce.__getstate__()):
        with pytest.raises(TypeError):
            act(nonces[0])
    assert "redacted" in repr(nonces[0])
    one.sign(Secret(SECRETS[0]), nonces[0])
    with pytest.raises(InvalidInputError, match="was used"):
        one.sign(Secret(SECRETS[0]), nonces[0])
    other = MusigSession(AggregateKey.of(KEYS), hashlib.sha256(b"another").digest(), nonces=[n.public for n in nonces])
    with pytest.raises(InvalidInputError, match="made for another message"):
        other.sign(Secret(SECRETS[1]), nonces[1])
    fewer = MusigSession(AggregateKey.of(KEYS[:2]), MESSAGE, nonces=[n.public for n in nonces[:2]])
    with pytest.raises(InvalidInputError, match="made for another aggregate key"):
        fewer.sign(Secret(SECRETS[1]), nonces[1])
    assert not nonces[1].used


def test_row_82_the_cheat_is_named() -> None:
    one, nonces = session()
    partials = [one.sign(Secret(secret), nonce) for secret, nonce in zip(SECRETS, nonces, strict=True)]
    schnorr_verify(one.aggregate.x_only, MESSAGE, one.signature(partials))
    for cheat in range(3):
        wrong = [*partials]
        wrong[cheat] = bytes(31) + b"\x01"
        with pytest.raises(InvalidContributionError) as caught:
            one.signature(wrong)
        assert caught.value.signer == cheat


def test_row_82_a_signers_sessions_are_few_and_end_with_it(party: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the signer's door: a second use of a nonce, one of a closed signer, and more sessions than are kept."""
    from bursar.backends.software import musig2

    monkeypatch.setattr(musig2, "_MOST_NONCES", 4)
    keys = ",".join(party.text(f"@{name}").removesuffix("/<0;1>/*") for name in "AB")
    account = party.account(f"tr(musig({keys})/<0;1>/*)")
    psbt = party.question(account)
    first = party.signers["A"].musig2_nonces(psbt)
    both = party.signers["B"].musig2_nonces(first)
    signed = party.signers["A"].musig2_sign(both)
    assert all(len(one.musig2_partial_sigs) == 1 for one in signed.inputs)
    with pytest.raises(InvalidInputError) as caught:
        party.signers["A"].musig2_sign(both)
    assert caught.value.code == "input.psbt.nonce"
    for _ in range(3):
        party.signers["A"].musig2_nonces(psbt)
    rounds = party.signers["A"]._musig
    assert len(rounds._nonces) == 4
    assert not [value for one in signed.inputs for value in one.fields.values() if len(value) == 97]
    rounds.wipe()
    assert not rounds._nonces
