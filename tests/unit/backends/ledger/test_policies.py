"""Wallet policies: registered, checked again, used, retired; and the file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bursar_devices import humans
from bursar_devices.device import Lie
from bursar_devices.ledger import LedgerSimulator

from bursar.backends.ledger import LedgerBackend
from bursar.backends.ledger.bitcoin_spends import Other
from bursar.backends.ledger.policies import FilePolicyStore, Registration
from bursar.backends.ledger.policy_scripts import features
from bursar.backends.ledger.signer import LedgerBitcoinSigner
from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.parts import OutPoint, Txid, TxIn, TxOut
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction
from bursar.bitcoin.units import Sats
from bursar.bitcoin.wallet_policy import WalletPolicy
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
from bursar.signing.checks import confirm_address, request_signatures
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of, question
from bursar.signing.policies import register_policy, registrations

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


def policy_of(
    signer: LedgerBitcoinSigner, template: str = "wsh(sortedmulti(2,@0/**,@1/**,@2/**))", *, name: str = "Vault"
) -> WalletPolicy:
    """Of two strangers' keys and the device's, which is @1 where there are several."""
    assert signer.info.fingerprint is not None
    own = (KeyOrigin(signer.info.fingerprint, HOME), signer.xpub(HOME))
    count = 1 + max(number for number in range(3) if f"@{number}/" in template)
    keys = (cosigner(1), own, cosigner(2))[:count] if count > 1 else (own,)
    return WalletPolicy(name, template, keys)


def account(policy: WalletPolicy) -> DescriptorAccount:
    return DescriptorAccount(Network.TESTNET, policy.descriptor())


def spending(policy: WalletPolicy, places: list[tuple[int, int]], *, change: bool = True) -> Psbt:
    home = account(policy)
    previous = [
        Transaction(
            2,
            (TxIn(OutPoint(Txid(bytes((number,)) * 32), 0), b"", 0xFFFFFFFF),),
            (TxOut(Sats(90_000), home.script(*place)),),
        )
        for number, place in enumerate(places, 1)
    ]
    inputs = tuple(TxIn(OutPoint(before.txid, 0), b"", 0xFFFFFFFD) for before in previous)
    rest = 90_000 * len(places) - 51_000
    outputs = (TxOut(Sats(50_000), b"\0\x14" + bytes(20)), TxOut(Sats(rest), home.script(1, 4)))
    psbt = Psbt(Transaction(2, inputs, outputs if change else outputs[:1]))
    for one, place, before in zip(psbt.inputs, places, previous, strict=True):
        one.non_witness_utxo = before
        if not policy.template.startswith(("sh(multi", "sh(sortedmulti")):
            one.witness_utxo = before.outputs[0]
        home.spending(*place).describe_input(one)
    if change:
        home.spending(1, 4).describe_output(psbt.outputs[1])
    return psbt


TEMPLATES = [
    "wsh(multi(2,@0/**,@1/**,@2/**))",
    "sh(sortedmulti(2,@0/**,@1/**,@2/**))",
    "sh(wsh(sortedmulti(2,@0/**,@1/**,@2/**)))",
    "sh(wsh(multi(1,@0/**,@1/**)))",
    "wpkh(@0/<2;3>/*)",
    "wsh(or_d(pk(@0/**),and_v(v:pkh(@1/**),older(144))))",
    "wsh(thresh(2,pk(@0/**),s:pk(@1/**),sln:older(12960)))",
    "wsh(multi(2,@0/**,@1/**,@1/<2;3>/*))",
    "tr(@0/**,pk(@1/**))",
    "tr(@0/<4;5>/*,{pk(@1/<2;3>/*),{multi_a(2,@1/**,@2/**),and_v(v:pk(@2/<2;3>/*),older(5))}})",
    "tr(@0/**,sortedmulti_a(2,@1/**,@2/**))",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_kind_of_policy_is_registered_shown_and_signed_for(
    signer: LedgerBitcoinSigner, simulator: LedgerSimulator, template: str
) -> None:
    """The signatures are verified by ``request_signatures``; the change is not shown, the payee is."""
    policy = policy_of(signer, template)
    home = account(policy)
    assert register_policy(signer, home, policy.name).policy == policy
    assert [one.policy.template for one in registrations(signer)] == [template]
    assert confirm_address(signer, home, 7) == home.address(0, 7)
    before = len(simulator.pages)
    signed = request_signatures(signer, spending(policy, [(0, 0), (1, 3)]), account=home)
    for one in signed.inputs:
        assert len(one.partial_sigs) + len(one.tap_script_sigs) == (2 if template.count("@1/") == 2 else 1)
    shown = "".join(line for page in simulator.pages[before:] for line in page.lines)
    assert home.address(1, 4).text not in shown
    if template.startswith("tr(@0/<4;5>"):
        finalized = finalize(signed)
        assert len(extract(finalized).inputs[0].witness) == 3


def test_the_key_path_of_a_tree_is_signed_too(signer: LedgerBitcoinSigner) -> None:
    assert signer.info.fingerprint is not None
    own = (KeyOrigin(signer.info.fingerprint, HOME), signer.xpub(HOME))
    policy = WalletPolicy("Tree", "tr(@0/**,{pk(@1/**),pk(@0/<2;3>/*)})", (own, cosigner(1)))
    register_policy(signer, account(policy), "Tree")
    asked = spending(policy, [(0, 5)])
    signed = request_signatures(signer, asked, account=account(policy))
    (one,) = signed.inputs
    assert one.tap_key_sig is not None
    assert len(one.tap_script_sigs) == 1
    named = asked.copy()
    (leafless,) = (key for key, (leaves, _) in named.inputs[0].tap_bip32_derivations.pairs() if leaves == ())
    del named.inputs[0].tap_bip32_derivations[leafless]
    (one,) = signer.sign_psbt(named).inputs
    assert one.tap_key_sig is None, "a key that the psbt does not name is not signed with"
    assert len(one.tap_script_sigs) == 1


def test_registered_once_it_signs_in_every_session(
    simulator: LedgerSimulator, store: FilePolicyStore, tmp_path: Path, human: Any
) -> None:
    with opened(simulator, store, tmp_path, human) as signer:
        policy = policy_of(signer)
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
    with pytest.raises(UnsupportedError, match=r"psbt input 0 .* none is registered") as caught:
        signer.sign_psbt(spending(policy_of(signer), [(0, 0)]))
    assert caught.value.code == "signer.registration"
    home = account(policy_of(signer))
    with pytest.raises(UnsupportedError, match="bursar device register") as caught:
        confirm_address(signer, home, 0)
    assert caught.value.code == "signer.registration"


def test_an_account_is_known_by_its_scripts(signer: LedgerBitcoinSigner) -> None:
    """Cosigners in another order, sorted in each script, are the same account; one swapped is not."""
    policy = policy_of(signer)
    register_policy(signer, account(policy), "Vault")
    keys = tuple((origin, xpub) for origin, xpub in policy.keys if origin is not None)
    turned = MultisigAccount(Network.REGTEST, MultisigKind.WSH, 2, keys[::-1])
    assert confirm_address(signer, turned, 3).script == account(policy).script(0, 3)
    swapped = MultisigAccount(Network.REGTEST, MultisigKind.WSH, 2, (*keys[:2], cosigner(3)))
    with pytest.raises(UnsupportedError, match="not registered"):
        confirm_address(signer, swapped, 0)


def test_an_input_that_two_policies_could_own_goes_with_the_others(signer: LedgerBitcoinSigner) -> None:
    """Keys in order stand by chance as sorted ones do: where they do, the rest of the transaction decides."""
    in_order = policy_of(signer, "wsh(multi(2,@0/**,@1/**))", name="In order")
    in_turn = policy_of(signer, "wsh(sortedmulti(2,@0/**,@1/**))", name="Sorted")
    same = [index for index in range(20) if account(in_order).script(0, index) == account(in_turn).script(0, index)]
    for policy in (in_turn, in_order):
        register_policy(signer, account(policy), policy.name)
    for policy in (in_order, in_turn):
        asked = spending(policy, [(0, same[0]), (0, next(at for at in range(20) if at not in same))])
        (spend,) = signer._policies.spends(asked, [Other(0, "is"), Other(1, "is")], model="")  # type: ignore[union-attr]
        assert (spend.policy.name, len(spend.inputs)) == (policy.name, 2)


def test_without_a_store_it_is_refused(simulator: LedgerSimulator, tmp_path: Path, human: Any) -> None:
    with opened(simulator, None, tmp_path, human) as signer:
        policy = policy_of(signer)
        with pytest.raises(UnsupportedError, match="without a store"):
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
    with pytest.raises(UnsupportedError, match="was retired"):
        confirm_address(signer, account(policy), 0)
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
    keys = (cosigner(1), cosigner(2))
    template = "wsh(multi(2,@0/**,@1/**))"
    with pytest.raises(InvalidInputError, match="no key of this ledger"):
        signer.register_policy(WalletPolicy("Theirs", template, keys))
    with pytest.raises(InvalidInputError, match="the keys of") as caught:
        register_policy(signer, account(WalletPolicy("Theirs", template, keys)), "Theirs")
    assert caught.value.code == "input.signer.other"
    assert signer.info.fingerprint is not None
    claimed = (KeyOrigin(signer.info.fingerprint, HOME), cosigner(3)[1])
    with pytest.raises(InvalidInputError, match="no key of this ledger"):
        signer.register_policy(WalletPolicy("Claimed", template, (cosigner(1), claimed)))
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
    assert origin is not None
    own = xpub.derive((0, 0)).key
    if change == "script":
        asked.inputs[0].witness_script = account(policy).spending(0, 1).witness_script
    elif change == "branch":
        asked.inputs[0].bip32_derivations[own] = KeyOrigin(origin.fingerprint, origin.path / 0 / 1)
    else:
        del asked.inputs[0].bip32_derivations[own]
        asked.inputs[0].bip32_derivations[xpub.derive((0, 9)).key] = KeyOrigin(origin.fingerprint, origin.path / 0 / 0)
    with pytest.raises(UnsupportedError, match="none is registered"):
        signer.sign_psbt(asked)


def test_what_no_ledger_registers_is_refused_here(signer: LedgerBitcoinSigner, human: Any) -> None:
    own = policy_of(signer).keys[1]
    many = (own, *(cosigner(number) for number in range(15)))
    template = f"wsh(sortedmulti(2,{','.join(f'@{number}/**' for number in range(16))}))"
    for policy, reason in (
        (WalletPolicy("Many", template, many), "16 keys"),
        (WalletPolicy("Together", "tr(musig(@0,@1)/**)", (own, cosigner(1))), "musig"),
    ):
        with pytest.raises(UnsupportedError, match=reason):
            signer.register_policy(policy)
    assert human.events == []


FEATURES = {
    "wsh(sortedmulti(2,@0/**,@1/**))": (),
    "sh(wsh(multi(2,@0/<2;3>/*,@1/**)))": (),
    "tr(@0/**)": (),
    "wsh(pk(@0/**))": (),
    "wsh(and_v(v:pk(@0/**),pk(@1/**)))": ("miniscript",),
    "wsh(and_b(pk(@0/**),a:pk(@1/**)))": ("miniscript", "miniscript-a"),
    "wsh(and_v(v:thresh(1,pk(@0/**)),pk(@1/**)))": ("miniscript", "miniscript-thresh-1"),
    "wsh(thresh(1,pk(@0/**),s:pk(@1/**)))": ("miniscript",),
    "wsh(and_v(v:pk(@0/**),older(5)))": ("miniscript", "miniscript-older"),
    "tr(@0/**,pk(@1/**))": ("taproot-scripts",),
    "tr(@0/**,{multi_a(1,@1/**),sortedmulti_a(1,@2/**)})": ("taproot-scripts",),
    "tr(@0/<2;3>/*,pk(@1/**))": ("taproot-scripts", "taproot-scripts-other-branches"),
    "tr(@0/**,and_v(v:pk(@1/**),older(5)))": (
        "taproot-scripts",
        "taproot-miniscript",
        "miniscript",
        "miniscript-older",
    ),
    "tr(musig(@0,@1)/**)": ("musig",),
    "tr(musig(@0,@1)/**,pk(@2/**))": ("taproot-scripts", "musig"),
}


@pytest.mark.parametrize("template", FEATURES)
def test_what_versions_may_get_wrong_about_a_policy(template: str) -> None:
    keys = tuple(cosigner(number) for number in range(1 + max(n for n in range(3) if f"@{n}" in template)))
    assert features(WalletPolicy("x", template, keys)) == FEATURES[template]


@pytest.mark.parametrize(
    ("version", "template"),
    [
        ("2.1.1", "wsh(and_b(pk(@0/**),a:pk(@1/**)))"),
        ("2.1.1", "tr(@0/**,pk(@1/**))"),
        ("2.1.3", "tr(@0/**,and_v(v:pk(@1/**),older(5)))"),
        ("2.2.0", "tr(@0/**,pk(@1/<2;3>/*))"),
    ],
)
def test_a_version_that_gets_it_wrong_is_refused(
    tmp_path: Path, human: Any, store: FilePolicyStore, version: str, template: str
) -> None:
    with (
        LedgerSimulator(app="Bitcoin Test", version=version, human=humans.approve()) as old,
        opened(old, store, tmp_path, human) as signer,
    ):
        with pytest.raises(SignerError, match="update the app") as caught:
            signer.register_policy(policy_of(signer, template))
        assert caught.value.code == "signer.firmware"


def test_a_version_that_takes_anything_is_told_of(tmp_path: Path, human: Any, store: FilePolicyStore) -> None:
    with (
        LedgerSimulator(app="Bitcoin Test", version="2.4.5", human=humans.approve()) as old,
        opened(old, store, tmp_path, human) as signer,
    ):
        del human.events[:]
        signer.register_policy(policy_of(signer, "wsh(and_v(v:pk(@0/**),and_v(v:pk(@1/**),older(5))))"))
        assert any("no meaning to the network" in event.text for event in human.events)


def registration() -> Registration:
    policy = WalletPolicy("Vault", "wsh(multi(2,@0/**,@1/**))", (cosigner(1), cosigner(2)))
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
        lambda text: text.replace('"version": 2', '"version": 3'),
        lambda text: text.replace('"hmac": "07', '"hmac": "'),
        lambda text: text.replace("Vault", ""),
        lambda text: text.replace("multi(2", "multi(3@"),
    ],
)
def test_a_damaged_file_is_said_to_be(store: FilePolicyStore, tmp_path: Path, damage: Callable[[str], str]) -> None:
    store.add(registration())
    path = tmp_path / "ledger" / "policies.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(CorruptStoreError, match="damaged"):
        store.registrations(registration().fingerprint)


def test_the_file_of_before_is_read(store: FilePolicyStore, tmp_path: Path) -> None:
    one = registration()
    keys = [[str(origin), str(xpub)] for origin, xpub in one.policy.keys]
    old = {"name": "Vault", "threshold": 2, "sorted": False, "keys": keys, "fingerprint": str(one.fingerprint)}
    old |= {"identity": one.identity.hex(), "hmac": one.hmac.hex(), "retired": False}
    path = tmp_path / "ledger" / "policies.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"version": 1, "registrations": [old]}))
    path.chmod(0o600)
    assert store.registrations(one.fingerprint) == (one,)
    store.retire(one.identity)
    assert '"version": 2' in path.read_text()
    assert store.registrations(one.fingerprint) == (replace(one, retired=True),)
