"""MuSig2 against BIP-327's own cases and against libsecp256k1's module, which shares no code with ours above points."""

from __future__ import annotations

import copy
import json
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bursar.crypto import secp256k1
from bursar.crypto.key_aggregation import AggregateKey, sort_keys
from bursar.crypto.musig2 import MusigSession, SecretNonce, generate_nonce, sign_deterministically
from bursar.crypto.musig2_nonce import aggregate_nonces, nonce_from, secret_nonce
from bursar.crypto.secp256k1 import ffi, lib, public_key, schnorr_verify
from bursar.crypto.secret import Secret
from bursar.errors import InvalidContributionError, InvalidInputError

Vectors = Callable[[str], Path]
CONTRIBUTIONS = {
    "pubkey": "public key",
    "pubnonce": "public nonce",
    "aggnonce": "aggregate nonce",
    "aggothernonce": "aggregate nonce of the others",
    "psig": "partial signature",
}


def load(official_vectors: Vectors, name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(official_vectors(f"bip/bip0327/{name}_vectors.json").read_text())
    return data


def several(texts: list[str], places: list[int] | None = None) -> list[bytes]:
    return [bytes.fromhex(text) for text in (texts if places is None else [texts[place] for place in places])]


def tweaked(keys: list[bytes], tweaks: list[bytes], kinds: list[bool]) -> AggregateKey:
    aggregate = AggregateKey.of(keys)
    for tweak, x_only in zip(tweaks, kinds, strict=True):
        aggregate = aggregate.tweaked(tweak, x_only=x_only)
    return aggregate


def nonce_of(raw: bytes) -> SecretNonce:
    return secret_nonce(ffi.new("unsigned char[64]", raw[:64]), raw[64:])


def check_error(case: dict[str, Any], act: Callable[[], object]) -> None:
    error = case["error"]
    if error["type"] == "invalid_contribution":
        with pytest.raises(InvalidContributionError) as raised:
            act()
        assert raised.value.signer == error["signer"]
        assert raised.value.contribution == CONTRIBUTIONS[error.get("contrib", "psig")]
    else:
        with pytest.raises(InvalidInputError):
            act()


def test_keys_are_sorted(official_vectors: Vectors) -> None:
    data = load(official_vectors, "key_sort")
    assert list(sort_keys(several(data["pubkeys"]))) == several(data["sorted_pubkeys"])


def test_keys_are_aggregated(official_vectors: Vectors) -> None:
    data = load(official_vectors, "key_agg")
    for case in data["valid_test_cases"]:
        assert AggregateKey.of(several(data["pubkeys"], case["key_indices"])).x_only.hex() == case["expected"].lower()
    for case in data["error_test_cases"]:
        keys, tweaks = several(data["pubkeys"], case["key_indices"]), several(data["tweaks"], case["tweak_indices"])
        check_error(case, partial(tweaked, keys, tweaks, case["is_xonly"]))


def test_nonces_are_generated(official_vectors: Vectors) -> None:
    for case in load(official_vectors, "nonce_gen")["test_cases"]:
        sk, pk, aggregate, message, extra = (
            None if case[name] is None else bytes.fromhex(case[name])
            for name in ("sk", "pk", "aggpk", "msg", "extra_in")
        )
        nonce = nonce_from(
            bytes.fromhex(case["rand_"]), pk or b"", secret=sk, aggregate=aggregate, message=message, extra=extra or b""
        )
        assert nonce.public.hex() == case["expected_pubnonce"].lower()
        scalars = nonce.take()
        assert (bytes(ffi.buffer(scalars)) + nonce.public_key).hex() == case["expected_secnonce"].lower()


def test_nonces_are_aggregated(official_vectors: Vectors) -> None:
    data = load(official_vectors, "nonce_agg")
    for case in data["valid_test_cases"]:
        assert aggregate_nonces(several(data["pnonces"], case["pnonce_indices"])).hex() == case["expected"].lower()
    for case in data["error_test_cases"]:
        nonces = several(data["pnonces"], case["pnonce_indices"])
        check_error(case, partial(aggregate_nonces, nonces))


def test_partial_signatures_are_made_and_verified(official_vectors: Vectors) -> None:
    data = load(official_vectors, "sign_verify")
    secret = Secret(bytes.fromhex(data["sk"]))
    raws = several(data["secnonces"])
    for case in data["valid_test_cases"]:
        keys, nonces = several(data["pubkeys"], case["key_indices"]), several(data["pnonces"], case["nonce_indices"])
        session = MusigSession(AggregateKey.of(keys), bytes.fromhex(data["msgs"][case["msg_index"]]), nonces=nonces)
        assert session.aggregate_nonce.hex() == data["aggnonces"][case["aggnonce_index"]].lower()
        partial = session.sign(secret, nonce_of(raws[0]))
        assert partial.hex() == case["expected"].lower()
        session.verify(partial, signer=case["signer_index"])
    for case in data["sign_error_test_cases"]:

        def sign(case: dict[str, Any] = case) -> None:
            session = MusigSession(
                AggregateKey.of(several(data["pubkeys"], case["key_indices"])),
                bytes.fromhex(data["msgs"][case["msg_index"]]),
                aggregate_nonce=bytes.fromhex(data["aggnonces"][case["aggnonce_index"]]),
            )
            session.sign(secret, nonce_of(raws[case["secnonce_index"]]))

        check_error(case, sign)
    for case in data["verify_fail_test_cases"] + data["verify_error_test_cases"]:

        def verify(case: dict[str, Any] = case) -> None:
            keys = several(data["pubkeys"], case["key_indices"])
            nonces = several(data["pnonces"], case["nonce_indices"])
            session = MusigSession(AggregateKey.of(keys), bytes.fromhex(data["msgs"][case["msg_index"]]), nonces=nonces)
            session.verify(bytes.fromhex(case["sig"]), signer=case["signer_index"])

        error = {"type": "invalid_contribution", "signer": case["signer_index"], **case.get("error", {})}
        check_error({"error": error}, verify)


def test_partial_signatures_under_tweaks(official_vectors: Vectors) -> None:
    data = load(official_vectors, "tweak")
    secret = Secret(bytes.fromhex(data["sk"]))
    for case in data["valid_test_cases"] + data["error_test_cases"]:

        def run(case: dict[str, Any] = case) -> None:
            keys = several(data["pubkeys"], case["key_indices"])
            aggregate = tweaked(keys, several(data["tweaks"], case["tweak_indices"]), case["is_xonly"])
            nonces = several(data["pnonces"], case["nonce_indices"])
            session = MusigSession(aggregate, bytes.fromhex(data["msg"]), nonces=nonces)
            assert session.aggregate_nonce.hex() == data["aggnonce"].lower()
            partial = session.sign(secret, nonce_of(bytes.fromhex(data["secnonce"])))
            assert partial.hex() == case["expected"].lower()
            session.verify(partial, signer=case["signer_index"])

        if "error" in case:
            check_error(case, run)
        else:
            run()


def test_partial_signatures_are_aggregated(official_vectors: Vectors) -> None:
    data = load(official_vectors, "sig_agg")
    for case in data["valid_test_cases"] + data["error_test_cases"]:
        keys = several(data["pubkeys"], case["key_indices"])
        aggregate = tweaked(keys, several(data["tweaks"], case["tweak_indices"]), case["is_xonly"])
        nonces, message = several(data["pnonces"], case["nonce_indices"]), bytes.fromhex(data["msg"])
        partials = several(data["psigs"], case["psig_indices"])
        for session in (
            MusigSession(aggregate, message, nonces=nonces),
            MusigSession(aggregate, message, aggregate_nonce=bytes.fromhex(case["aggnonce"])),
        ):
            if "error" in case:
                check_error(case, partial(session.signature, partials))
            else:
                assert session.signature(partials).hex() == case["expected"].lower()
                schnorr_verify(aggregate.x_only, message, session.signature(partials))


def test_deterministic_signatures(official_vectors: Vectors) -> None:
    data = load(official_vectors, "det_sign")
    secret = Secret(bytes.fromhex(data["sk"]))
    for case in data["valid_test_cases"] + data["error_test_cases"]:

        def run(case: dict[str, Any] = case) -> None:
            keys = several(data["pubkeys"], case["key_indices"])
            aggregate = tweaked(keys, several(case["tweaks"]), case["is_xonly"])
            made = sign_deterministically(
                secret,
                aggregate,
                bytes.fromhex(data["msgs"][case["msg_index"]]),
                others=bytes.fromhex(case["aggothernonce"]),
                randomness=None if case["rand"] is None else bytes.fromhex(case["rand"]),
            )
            assert [one.hex() for one in made] == [one.lower() for one in case["expected"]]

        if "error" in case:
            check_error(case, run)
        else:
            run()


MESSAGE = bytes(range(32))
SECRETS = [bytes([number]) * 32 for number in (1, 2, 3)]
KEYS = [public_key(secret) for secret in SECRETS]


def open_session(aggregate: AggregateKey) -> tuple[MusigSession, list[SecretNonce]]:
    nonces = [
        generate_nonce(key, secret=Secret(secret), aggregate=aggregate, message=MESSAGE)
        for key, secret in zip(KEYS, SECRETS, strict=True)
    ]
    return MusigSession(aggregate, MESSAGE, nonces=[nonce.public for nonce in nonces]), nonces


@pytest.fixture
def session() -> tuple[MusigSession, list[SecretNonce]]:
    return open_session(AggregateKey.of(KEYS).tweaked(bytes([7]) * 32, x_only=True))


def test_a_nonce_signs_once(session: tuple[MusigSession, list[SecretNonce]]) -> None:
    one, nonces = session
    one.sign(Secret(SECRETS[0]), nonces[0])
    assert nonces[0].used
    with pytest.raises(InvalidInputError, match="was used or wiped"):
        one.sign(Secret(SECRETS[0]), nonces[0])
    nonces[1].wipe()
    with pytest.raises(InvalidInputError, match="was used or wiped"):
        one.sign(Secret(SECRETS[1]), nonces[1])


def test_a_nonce_is_wiped_with_its_use(session: tuple[MusigSession, list[SecretNonce]]) -> None:
    one, nonces = session
    buffer = nonces[0]._scalars[0]
    one.sign(Secret(SECRETS[0]), nonces[0])
    assert bytes(ffi.buffer(buffer)) == bytes(64)


def test_a_nonce_goes_nowhere() -> None:
    nonce = generate_nonce(KEYS[0])
    for act in (
        copy.copy,
        copy.deepcopy,
        pickle.dumps,
        bytes,
        iter,
        hash,
        lambda one: json.dumps(one),
        lambda one: one.__getstate__(),
    ):
        with pytest.raises(TypeError):
            act(nonce)
    assert "redacted" in repr(nonce)
    assert not hasattr(nonce, "__dict__")
    with pytest.raises(TypeError):
        SecretNonce()
    assert nonce != generate_nonce(KEYS[0])


def test_a_nonce_keeps_to_what_it_was_made_for() -> None:
    aggregate = AggregateKey.of(KEYS)
    others = [generate_nonce(key).public for key in KEYS[1:]]
    for bound in ({"message": bytes(32)}, {"aggregate": AggregateKey.of(KEYS[:2])}):
        nonce = generate_nonce(KEYS[0], **bound)
        one = MusigSession(aggregate, MESSAGE, nonces=[nonce.public, *others])
        with pytest.raises(InvalidInputError, match="was made for another"):
            one.sign(Secret(SECRETS[0]), nonce)
        assert not nonce.used
    stranger = generate_nonce(KEYS[0])
    with pytest.raises(InvalidInputError, match="none of this session's"):
        one.sign(Secret(SECRETS[0]), stranger)
    with pytest.raises(InvalidInputError, match="another public key"):
        one.sign(Secret(SECRETS[1]), stranger)


def test_a_forked_process_cannot_use_a_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    nonce = generate_nonce(KEYS[0])
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(InvalidInputError, match="another process"):
        nonce.take()


def test_the_cheating_cosigner_is_named(session: tuple[MusigSession, list[SecretNonce]]) -> None:
    one, nonces = session
    partials = [one.sign(Secret(secret), nonce) for secret, nonce in zip(SECRETS, nonces, strict=True)]
    schnorr_verify(one.aggregate.x_only, MESSAGE, one.signature(partials))
    for cheater in range(3):
        false = list(partials)
        false[cheater] = bytes(31) + b"\1"
        with pytest.raises(InvalidContributionError, match=f"cosigner {cheater + 1} does not verify") as raised:
            one.signature(false)
        assert raised.value.signer == cheater
    with pytest.raises(InvalidContributionError, match="32 bytes"):
        one.verify(b"", signer=0)
    with pytest.raises(InvalidInputError, match="no cosigner 4"):
        one.verify(partials[0], signer=3)
    with pytest.raises(InvalidInputError, match="as many partial"):
        one.signature(partials[:2])
    blind = MusigSession(one.aggregate, MESSAGE, aggregate_nonce=one.aggregate_nonce)
    with pytest.raises(InvalidInputError, match="cannot judge one"):
        blind.verify(partials[0], signer=0)


def test_sessions_are_refused_that_make_no_sense() -> None:
    aggregate = AggregateKey.of(KEYS)
    with pytest.raises(InvalidInputError, match="not both"):
        MusigSession(aggregate, MESSAGE)
    with pytest.raises(InvalidInputError, match="one each"):
        MusigSession(aggregate, MESSAGE, nonces=[generate_nonce(KEYS[0]).public])
    with pytest.raises(InvalidContributionError):
        MusigSession(aggregate, MESSAGE, aggregate_nonce=b"")


def test_libsecp256k1s_own_module_agrees(session: tuple[MusigSession, list[SecretNonce]]) -> None:
    """Its module accepts our parts, and ours its, in one session of both."""
    context = secp256k1.context
    tweak = bytes([7]) * 32
    points = [ffi.new("secp256k1_pubkey *") for _ in KEYS]
    for point, key in zip(points, KEYS, strict=True):
        assert lib.secp256k1_ec_pubkey_parse(context, point, key, 33)
    cache, aggregate = ffi.new("secp256k1_musig_keyagg_cache *"), ffi.new("secp256k1_pubkey *")
    pointers = ffi.new("secp256k1_pubkey *[]", points)
    assert lib.secp256k1_musig_pubkey_agg(context, ffi.NULL, cache, pointers, 3)
    assert lib.secp256k1_musig_pubkey_xonly_tweak_add(context, aggregate, cache, tweak)
    assert secp256k1._serialize(aggregate) == session[0].aggregate.key

    theirs, their_public = ffi.new("secp256k1_musig_secnonce *"), ffi.new("secp256k1_musig_pubnonce *")
    randomness = ffi.new("unsigned char[32]", os.urandom(32))
    assert lib.secp256k1_musig_nonce_gen(
        context, theirs, their_public, randomness, SECRETS[2], points[2], MESSAGE, cache, ffi.NULL
    )
    raw = ffi.new("unsigned char[66]")
    lib.secp256k1_musig_pubnonce_serialize(context, raw, their_public)
    nonces = [*session[1][:2]]
    one = MusigSession(session[0].aggregate, MESSAGE, nonces=[*(n.public for n in nonces), bytes(ffi.buffer(raw))])
    partials = [one.sign(Secret(secret), nonce) for secret, nonce in zip(SECRETS[:2], nonces, strict=True)]

    sum_of_nonces, their_session = ffi.new("secp256k1_musig_aggnonce *"), ffi.new("secp256k1_musig_session *")
    assert lib.secp256k1_musig_aggnonce_parse(context, sum_of_nonces, one.aggregate_nonce)
    assert lib.secp256k1_musig_nonce_process(context, their_session, sum_of_nonces, MESSAGE, cache)
    keypair, part = ffi.new("secp256k1_keypair *"), ffi.new("secp256k1_musig_partial_sig *")
    assert lib.secp256k1_keypair_create(context, keypair, SECRETS[2])
    assert lib.secp256k1_musig_partial_sign(context, part, theirs, keypair, cache, their_session)
    half = ffi.new("unsigned char[32]")
    lib.secp256k1_musig_partial_sig_serialize(context, half, part)
    one.verify(bytes(ffi.buffer(half)), signer=2)

    parts = [ffi.new("secp256k1_musig_partial_sig *") for _ in partials]
    for place, (ours, into) in enumerate(zip(partials, parts, strict=True)):
        assert lib.secp256k1_musig_partial_sig_parse(context, into, ours)
        nonce = ffi.new("secp256k1_musig_pubnonce *")
        assert lib.secp256k1_musig_pubnonce_parse(context, nonce, nonces[place].public)
        assert lib.secp256k1_musig_partial_sig_verify(context, into, nonce, points[place], cache, their_session)
    whole = ffi.new("unsigned char[64]")
    pieces = ffi.new("secp256k1_musig_partial_sig *[]", [*parts, part])
    assert lib.secp256k1_musig_partial_sig_agg(context, whole, their_session, pieces, 3)
    signature = one.signature([*partials, bytes(ffi.buffer(half))])
    assert signature == bytes(ffi.buffer(whole))
    schnorr_verify(one.aggregate.x_only, MESSAGE, signature)


def test_a_key_may_stand_twice_and_alone() -> None:
    for keys in ([KEYS[0], KEYS[0]], [KEYS[1]], [KEYS[1], KEYS[0], KEYS[1]]):
        aggregate = AggregateKey.of(keys)
        secrets = [SECRETS[KEYS.index(key)] for key in keys]
        nonces = [generate_nonce(key) for key in keys]
        one = MusigSession(aggregate, b"any length", nonces=[nonce.public for nonce in nonces])
        one.signature([one.sign(Secret(secret), nonce) for secret, nonce in zip(secrets, nonces, strict=True)])
