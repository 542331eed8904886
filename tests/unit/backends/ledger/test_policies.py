"""Multisig policies: registered, checked again, used, retired; and the file that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.device import Lie
from bursar_devices.ledger import LedgerSimulator

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.policies import FilePolicyStore, MultisigPolicy, Registration
from bursar.backends.ledger.signer import LedgerBitcoinSigner
from bursar.bitcoin.network import Network
from bursar.bitcoin.parts import OutPoint, Txid, TxIn, TxOut
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import Sats
from bursar.errors import (
    CorruptStoreError,
    InvalidInputError,
    SignerError,
    SignerMisbehavedError,
    StoreError,
    UnsupportedError,
    UserCancelledError,
)
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of, question

HOME = DerivationPath.from_text("m/48h/1h/0h/2h")


def cosigner(number: int) -> tuple[KeyOrigin, Any]:
    with (
        ExtendedPrivateKey.from_seed(b"cosigner %02d of this test" % number, testnet=True) as root,
        root.derive(HOME) as key,
    ):
        return KeyOrigin(root.fingerprint, HOME), key.public()


@pytest.fixture
def simulator() -> Iterator[LedgerSimulator]:
    with LedgerSimulator(app="Bitcoin Test", human=humans.approve()) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> FilePolicyStore:
    return FilePolicyStore(tmp_path / "ledger" / "policies.json")


@pytest.fixture
def signer(
    simulator: LedgerSimulator, store: FilePolicyStore, tmp_path: Path, human: Any
) -> Iterator[LedgerBitcoinSigner]:
    with opened(simulator, store, tmp_path, human) as one:
        yield one


def opened(
    simulator: LedgerSimulator, store: FilePolicyStore | None, tmp_path: Path, human: Any
) -> LedgerBitcoinSigner:
    backend = LedgerBackend(locks=tmp_path / "locks", human_seconds=20, device_seconds=5, policies=store)
    info = backend.locate(simulator.location)
    assert info is not None
    one = backend.open(info, human)
    assert isinstance(one, LedgerBitcoinSigner)
    return one


def policy_of(signer: LedgerBitcoinSigner, *, sorted_keys: bool = True, threshold: int = 2) -> MultisigPolicy:
    assert signer.info.fingerprint is not None
    own = (KeyOrigin(signer.info.fingerprint, HOME), signer.xpub(HOME))
    return MultisigPolicy("Vault", threshold, (cosigner(1), own, cosigner(2)), sorted_keys)


def spending(policy: MultisigPolicy, places: list[tuple[int, int]], *, change: bool = True) -> Psbt:
    previous = [
        Transaction(
            2,
            (TxIn(OutPoint(Txid(bytes((number,)) * 32), 0), b"", 0xFFFFFFFF),),
            (TxOut(Sats(90_000), policy.script(*place)),),
        )
        for number, place in enumerate(places, 1)
    ]
    inputs = tuple(TxIn(OutPoint(before.txid, 0), b"", 0xFFFFFFFD) for before in previous)
    rest = 90_000 * len(places) - 51_000
    outputs = (TxOut(Sats(50_000), b"\0\x14" + bytes(20)), TxOut(Sats(rest), policy.script(1, 4)))
    psbt = Psbt(Transaction(2, inputs, outputs if change else outputs[:1]))
    for one, place, before in zip(psbt.inputs, places, previous, strict=True):
        one.non_witness_utxo, one.witness_utxo = before, before.outputs[0]
        one.witness_script = policy.witness_script(*place)
        for origin, xpub in policy.keys:
            there = KeyOrigin(origin.fingerprint, origin.path / place[0] / place[1])
            one.bip32_derivations[xpub.derive(place).key] = there
    if change:
        psbt.outputs[1].witness_script = policy.witness_script(1, 4)
        for origin, xpub in policy.keys:
            psbt.outputs[1].bip32_derivations[xpub.derive((1, 4)).key] = KeyOrigin(
                origin.fingerprint, origin.path / 1 / 4
            )
    return psbt


@pytest.mark.parametrize("sorted_keys", [True, False])
def test_registered_once_it_signs_in_every_session(
    simulator: LedgerSimulator, store: FilePolicyStore, tmp_path: Path, human: Any, sorted_keys: bool
) -> None:
    with opened(simulator, store, tmp_path, human) as signer:
        policy = policy_of(signer, sorted_keys=sorted_keys)
        registration = signer.register_policy(policy)
        assert human.kinds == ["confirm"]
        assert store.registrations(registration.fingerprint) == (registration,)
        assert "hmac" not in repr(registration)
    with opened(simulator, store, tmp_path, human) as signer:
        signed = request_signatures(signer, spending(policy, [(0, 0), (1, 3)]))
        own = policy.keys[1][1]
        assert [list(one.partial_sigs) for one in signed.inputs] == [[own.derive((0, 0)).key], [own.derive((1, 3)).key]]
        assert human.kinds == ["confirm", "confirm"]
        assert signer.display_policy_address(registration, 0, 5).startswith("tb1")


def test_a_policy_and_a_single_key_in_one_transaction(signer: LedgerBitcoinSigner, human: Any) -> None:
    policy = policy_of(signer)
    signer.register_policy(policy)
    single = question([Spend(account_of(signer, Profile(network=Network.TESTNET), Scheme.BIP84))])
    both = spending(policy, [(0, 2)])
    merged = Psbt(
        Transaction(
            2,
            (*both.tx.inputs, *single.tx.inputs),
            (*both.tx.outputs, TxOut(Sats(99_000), single.tx.outputs[0].script)),
        )
    )
    merged.inputs[0].fields.update(both.inputs[0].fields)
    merged.inputs[1].fields.update(single.inputs[0].fields)
    signed = request_signatures(signer, merged)
    assert all(len(one.partial_sigs) == 1 for one in signed.inputs)


def test_without_registration_it_is_refused(signer: LedgerBitcoinSigner) -> None:
    with pytest.raises(UnsupportedError, match=r"psbt input 0 .* none is registered"):
        signer.sign_psbt(spending(policy_of(signer), [(0, 0)]))


def test_without_a_store_it_is_refused(simulator: LedgerSimulator, tmp_path: Path, human: Any) -> None:
    with opened(simulator, None, tmp_path, human) as signer:
        policy = policy_of(signer)
        with pytest.raises(UnsupportedError, match="registered policy only"):
            signer.sign_psbt(spending(policy, [(0, 0)]))
        with pytest.raises(UnsupportedError, match="without a store"):
            signer.register_policy(policy)


def test_a_retired_policy_is_refused(signer: LedgerBitcoinSigner, store: FilePolicyStore) -> None:
    policy = policy_of(signer)
    registration = signer.register_policy(policy)
    store.retire(registration.identity)
    with pytest.raises(SignerError, match="was retired") as caught:
        signer.sign_psbt(spending(policy, [(0, 0)]))
    assert caught.value.code == "signer.registration"
    (retired,) = store.registrations(registration.fingerprint)
    with pytest.raises(SignerError, match="was retired"):
        signer.display_policy_address(retired, 0, 0)
    signer.register_policy(policy)
    assert signer.sign_psbt(spending(policy, [(0, 0)]))


def test_a_proof_that_is_not_the_devices_is_refused(signer: LedgerBitcoinSigner, store: FilePolicyStore) -> None:
    policy = policy_of(signer)
    assert signer.info.fingerprint is not None
    store.add(Registration(policy, signer.info.fingerprint, bytes(32), b"\1" * 32))
    with pytest.raises(SignerError, match="register the policy again") as caught:
        signer.sign_psbt(spending(policy, [(0, 0)]))
    assert caught.value.code == "signer.registration"


def test_a_policy_must_have_a_key_of_the_device(signer: LedgerBitcoinSigner, human: Any) -> None:
    theirs = MultisigPolicy("Theirs", 2, (cosigner(1), cosigner(2)))
    with pytest.raises(InvalidInputError, match="no key of this ledger"):
        signer.register_policy(theirs)
    assert signer.info.fingerprint is not None
    claimed = (KeyOrigin(signer.info.fingerprint, HOME), cosigner(3)[1])
    with pytest.raises(InvalidInputError, match="no key of this ledger"):
        signer.register_policy(MultisigPolicy("Claimed", 1, (cosigner(1), claimed)))
    assert human.events == []


def test_a_human_may_refuse_it(signer: LedgerBitcoinSigner, simulator: LedgerSimulator, store: FilePolicyStore) -> None:
    simulator.human = humans.reject()
    policy = policy_of(signer)
    with pytest.raises(UserCancelledError):
        signer.register_policy(policy)
    assert signer.info.fingerprint is not None
    assert store.registrations(signer.info.fingerprint) == ()


def test_a_device_that_derives_other_addresses_is_not_registered(
    signer: LedgerBitcoinSigner, simulator: LedgerSimulator, store: FilePolicyStore
) -> None:
    policy = policy_of(signer)
    simulator.lies.add(Lie.WRONG_ADDRESS)
    with pytest.raises(SignerMisbehavedError):
        signer.register_policy(policy)
    assert signer.info.fingerprint is not None
    assert store.registrations(signer.info.fingerprint) == ()


@pytest.mark.parametrize("change", ["script", "branch", "key"])
def test_inputs_that_only_look_like_the_policy_are_refused(signer: LedgerBitcoinSigner, change: str) -> None:
    policy = policy_of(signer)
    signer.register_policy(policy)
    asked = spending(policy, [(0, 0)])
    origin, xpub = policy.keys[1]
    own = xpub.derive((0, 0)).key
    if change == "script":
        asked.inputs[0].witness_script = policy.witness_script(0, 1)
    elif change == "branch":
        asked.inputs[0].bip32_derivations[own] = KeyOrigin(origin.fingerprint, origin.path / 0 / 1)
    else:
        del asked.inputs[0].bip32_derivations[own]
        asked.inputs[0].bip32_derivations[xpub.derive((0, 9)).key] = KeyOrigin(origin.fingerprint, origin.path / 0 / 0)
    with pytest.raises(UnsupportedError, match="none is registered"):
        signer.sign_psbt(asked)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda policy: replace(policy, name=""),
        lambda policy: replace(policy, name="x" * 65),
        lambda policy: replace(policy, name=" Vault"),
        lambda policy: replace(policy, name="Tr\xe9sor"),
        lambda policy: replace(policy, name="Va\nult"),
        lambda policy: replace(policy, threshold=0),
        lambda policy: replace(policy, threshold=4),
        lambda policy: replace(policy, keys=(*policy.keys, policy.keys[0])),
        lambda policy: replace(policy, keys=tuple(cosigner(number) for number in range(16))),
        lambda policy: replace(
            policy, keys=(policy.keys[0], (policy.keys[1][0], replace(policy.keys[1][1], testnet=False)))
        ),
    ],
)
def test_policies_that_cannot_be(spoil: Callable[[MultisigPolicy], MultisigPolicy]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        spoil(MultisigPolicy("Vault", 2, (cosigner(1), cosigner(2), cosigner(3))))
    assert caught.value.code == "input.policy"


def registration() -> Registration:
    policy = MultisigPolicy("Vault", 2, (cosigner(1), cosigner(2)), sorted_keys=False)
    return Registration(policy, cosigner(1)[0].fingerprint, bytes(range(32)), b"\7" * 32)


def test_the_file_is_its_owners_alone(store: FilePolicyStore, tmp_path: Path) -> None:
    one = registration()
    assert store.registrations(one.fingerprint) == ()
    store.add(one)
    store.add(one)
    path = tmp_path / "ledger" / "policies.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert store.registrations(one.fingerprint) == (one,)
    assert store.registrations(Fingerprint(b"1234")) == ()
    store.retire(one.identity)
    assert store.registrations(one.fingerprint) == (replace(one, retired=True),)
    with pytest.raises(InvalidInputError, match="no policy"):
        store.retire(b"\1" * 32)
    path.chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        store.registrations(one.fingerprint)
    path.unlink()
    path.symlink_to("/dev/null")
    with pytest.raises(StoreError, match="cannot be read"):
        store.registrations(one.fingerprint)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: "[]",
        lambda text: "[" * 5000,
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"hmac": "07', '"hmac": "'),
        lambda text: text.replace("Vault", ""),
        lambda text: text.replace('"threshold": 2', '"threshold": "2"'),
    ],
)
def test_a_damaged_file_is_said_to_be(store: FilePolicyStore, tmp_path: Path, damage: Callable[[str], str]) -> None:
    store.add(registration())
    path = tmp_path / "ledger" / "policies.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(CorruptStoreError, match="damaged"):
        store.registrations(registration().fingerprint)
