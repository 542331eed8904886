"""Checklist H, accounts of several keys set up and registered (rows 69 to 76), a simulated Ledger among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bursar.bitcoin.accounts import account_of_descriptor
from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.miniscript import Context, Materials, Miniscript, satisfy
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.bitcoin.network import Network
from bursar.bitcoin.setup_file import DescriptorRecord, KeyRecord
from bursar.bitcoin.setup_token import SetupToken
from bursar.bitcoin.wallet_policy import WalletPolicy
from bursar.crypto.secp256k1 import public_key
from bursar.errors import BursarError, InvalidInputError, InvalidSignatureError, SignerError, UnsupportedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import confirm_address, request_signatures
from bursar.signing.policies import register_policy, registrations

HOME = DerivationPath.from_text("m/48h/1h/0h/2h")
TEMPLATE = "wsh(sortedmulti(2,@0/**,@1/**,@2/**))"


def cosigner(number: int) -> tuple[KeyOrigin, Any]:
    with (
        ExtendedPrivateKey.from_seed(b"a cosigner of this test: %02d" % number, testnet=True) as root,
        root.derive(HOME) as key,
    ):
        return KeyOrigin(root.fingerprint, HOME), key.public()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A simulated Ledger, its signer, the pages its human saw, and the store of its registrations."""
    pytest.importorskip("bursar_devices.ledger", reason="the package bursar-devices is not installed")
    from bursar_devices import humans
    from bursar_devices.ledger import LedgerSimulator
    from bursar_devices.prompting import BenchPrompt

    from bursar.backends.ledger import LedgerBackend, link
    from bursar.backends.ledger.policies import FilePolicyStore
    from bursar.backends.ledger.transport import drained

    monkeypatch.setattr(link, "drained", lambda transport, *, seconds: drained(transport, seconds=min(seconds, 0.005)))
    store = FilePolicyStore(tmp_path / "policies.json")
    with LedgerSimulator(app="Bitcoin Test", human=humans.approve()) as simulator:
        backend = LedgerBackend(locks=tmp_path / "locks", human_seconds=20, device_seconds=5, policies=store)
        info = backend.locate(simulator.location)
        assert info is not None
        signer = backend.open(info, BenchPrompt({}))
        own = (KeyOrigin(signer.info.fingerprint, HOME), signer.xpub(HOME))
        keys = (cosigner(1), own, cosigner(2))
        account = MultisigAccount(Network.TESTNET, MultisigKind.WSH, 2, keys)
        yield SimpleNamespace(signer=signer, store=store, account=account, keys=keys, pages=simulator.pages, own=own)
        signer.close()


def test_row_69_an_account_without_the_signers_key_is_not_registered(ledger: SimpleNamespace) -> None:
    seen = len(ledger.pages)
    theirs = MultisigAccount(Network.TESTNET, MultisigKind.WSH, 2, (cosigner(1), cosigner(2), cosigner(3)))
    with pytest.raises(InvalidInputError) as caught:
        register_policy(ledger.signer, theirs, "Theirs")
    assert caught.value.code == "input.signer.other"
    # the right fingerprint before a key that is not the device's
    claimed = (KeyOrigin(ledger.own[0].fingerprint, HOME), cosigner(3)[1])
    lying = MultisigAccount(Network.TESTNET, MultisigKind.WSH, 2, (cosigner(1), claimed, cosigner(2)))
    with pytest.raises(BursarError):
        register_policy(ledger.signer, lying, "Claimed")
    with pytest.raises(InvalidInputError):
        lying.check_own_key(ledger.own[0].fingerprint, ledger.own[1])
    assert len(ledger.pages) == seen, "the human was asked"
    assert registrations(ledger.signer) == ()


def test_row_69_a_wallet_takes_no_signature_of_a_stranger(wallet: Any, bitcoin: Any, party: Any, policy: Any) -> None:
    account = party.account("wsh(sortedmulti(2,@A,@B,@C))")
    plan = planned(wallet, bitcoin, account, policy)
    with pytest.raises(InvalidInputError) as caught:
        wallet.add_signatures(plan.id, signer=party.signers["X"], policy=policy)
    assert caught.value.code == "input.signer.other"


def planned(wallet: Any, bitcoin: Any, account: Any, policy: Any) -> Any:
    from bursar.wallet import PaymentOrder, Transfer

    wallet.add_account("vault", account)
    bitcoin.pay(account.script(0, 0), 1_000_000)
    bitcoin.mine()
    wallet.sync("vault", bitcoin)
    payee = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
    plan = wallet.plan(Transfer(account="vault", payments=(PaymentOrder(payee, 400_000, "BTC"),)), bitcoin)
    wallet.approve(plan, policy)
    return plan


def test_row_70_72_a_swapped_cosigner_is_another_policy_and_a_retired_one_is_refused(ledger: SimpleNamespace) -> None:
    made = register_policy(ledger.signer, ledger.account, "Vault")
    assert confirm_address(ledger.signer, ledger.account, 3) == ledger.account.address(0, 3)
    swapped = replace(ledger.account, cosigners=(cosigner(3), *ledger.account.cosigners[1:]))
    with pytest.raises(UnsupportedError) as caught:
        confirm_address(ledger.signer, swapped, 3)
    assert caught.value.code == "signer.registration"
    # its proof put before the swapped policy: the device knows better
    other = WalletPolicy("Vault", made.policy.template, (cosigner(3), *made.policy.keys[1:]))
    ledger.store.add(replace(made, policy=other, identity=bytes(32)))
    seen = len(ledger.pages)
    with pytest.raises((SignerError, UnsupportedError)):
        confirm_address(ledger.signer, swapped, 3)
    assert len(ledger.pages) == seen
    # 72: the proof stays good on the device for ever; here it is refused once it is retired
    ledger.store.retire(made.identity)
    assert [one.retired for one in registrations(ledger.signer) if one.identity == made.identity] == [True]
    with pytest.raises((SignerError, UnsupportedError)) as refused:
        confirm_address(ledger.signer, ledger.account, 3)
    assert "retired" in refused.value.message
    assert len(ledger.pages) == seen
    again = register_policy(ledger.signer, ledger.account, "Vault")
    assert again.hmac == made.hmac
    assert confirm_address(ledger.signer, ledger.account, 3) == ledger.account.address(0, 3)


def as_policy(text: str) -> WalletPolicy:
    written = account_of_descriptor(text, Network.REGTEST).descriptor()
    return WalletPolicy.from_descriptor("x", Descriptor.parse(written))


def test_row_71_keys_and_branches_that_stand_twice(party: Any, line: Any) -> None:
    a, b, c = (party.names[name] for name in "ABC")
    for text in (
        f"wsh(sortedmulti(2,{a},{a},{b}))",
        f"wsh(sortedmulti(2,{a},{a.split(']')[1]},{b}))",
        f"wsh(multi(2,{a},{b},{b.replace('<0;1>', '<1;2>')}))",
        f"wsh(or_d(pk({a}),and_v(v:pk({a}),older(9))))",
        f"tr({a},{{pk({b}),pk({b})}})",
    ):
        with pytest.raises(InvalidInputError):
            as_policy(text)
    keys = (cosigner(1), cosigner(2))
    for template in (
        "wsh(multi(2,@0/**,@0/**))",
        "wsh(multi(2,@0/**,@1/<0;1>/*,@1/<1;2>/*))",
        "wsh(multi(2,@0/**,@1/<1;1>/*))",
    ):
        with pytest.raises(InvalidInputError):
            WalletPolicy("x", template, keys)
    with pytest.raises(InvalidInputError, match="twice"):
        WalletPolicy("x", "wsh(multi(2,@0/**,@1/**))", (cosigner(1), cosigner(1)))
    with pytest.raises(InvalidInputError):
        MultisigAccount(Network.REGTEST, MultisigKind.WSH, 2, (cosigner(1), cosigner(1), cosigner(2)))
    key = a.removesuffix("/<0;1>/*")
    result = line.run("multisig", "create", "board", "2", key, key)
    assert isinstance(result.exception, InvalidInputError)
    assert "stands in it twice" in result.exception.message
    assert c not in result.output


LOOK_ALIKES = (
    "",
    " ",
    "Vault ",
    " Vault",
    "Va  ult",
    "V\u0430ult",
    "Vault\u200b",
    "Vault\n",
    "Va\tult",
    "é",
    "x" * 65,
    "\x1b[2J",
)


def test_row_73_names_that_could_be_mistaken() -> None:
    for name in (*LOOK_ALIKES, "x" * 65, "\x1b[2J"):
        with pytest.raises(InvalidInputError) as caught:
            WalletPolicy(name, "wsh(multi(2,@0/**,@1/**))", (cosigner(1), cosigner(2)))
        assert caught.value.message.isprintable()
    for name in ("V", "x" * 64, "Board of 2026 (cold)"):
        WalletPolicy(name, "wsh(multi(2,@0/**,@1/**))", (cosigner(1), cosigner(2)))


def test_row_74_thresholds_counts_and_sizes_out_of_range(party: Any, line: Any) -> None:
    keys = tuple(cosigner(number) for number in range(21))

    def account(kind: MultisigKind, threshold: int, count: int) -> MultisigAccount:
        return MultisigAccount(Network.REGTEST, kind, threshold, keys[:count])

    for kind, threshold, count in (
        (MultisigKind.WSH, 3, 2),
        (MultisigKind.WSH, 0, 2),
        (MultisigKind.WSH, 1, 0),
        (MultisigKind.WSH, 2, 21),
        (MultisigKind.SH_WSH, 2, 21),
        (MultisigKind.SH, 2, 16),
    ):
        with pytest.raises(InvalidInputError):
            account(kind, threshold, count)
    assert len(account(MultisigKind.WSH, 20, 20).script(0, 0)) == 34
    assert len(account(MultisigKind.SH, 15, 15).script(0, 0)) == 23
    texts = [party.names["A"].replace("<0;1>/*", str(number)) for number in range(21)]
    for text in (
        f"wsh(multi(4,{','.join(texts[:3])}))",
        f"wsh(multi(1,{','.join(texts)}))",
        f"sh(multi(1,{','.join(texts[:16])}))",
        f"multi(1,{','.join(texts[:4])})",
        f"wsh(pk(musig({texts[0]},{texts[1]})))",
        f"sh(musig({texts[0]},{texts[1]}))",
        f"wpkh(musig({texts[0]},{texts[1]}))",
        f"tr(musig(musig({texts[0]},{texts[1]}),{texts[2]}))",
        f"tr({texts[0]},multi(1,{texts[1]}))",
        f"wsh(multi_a(1,{texts[1]}))",
        "wsh(" * 2 + f"pk({texts[0]})" + ")" * 2,
    ):
        with pytest.raises(InvalidInputError):
            Descriptor.parse(text)
    for huge in ("wsh(" + "a:" * 700_000 + "1)", "tr(" + "{" * 1_100_000, "x" * 1_100_000, "wsh(multi(1," * 100_000):
        with pytest.raises(InvalidInputError):
            Descriptor.parse(huge)
        with pytest.raises(InvalidInputError):
            WalletPolicy("x", huge, (cosigner(1),))
    result = line.run(
        "multisig", "create", "board", "3", *(party.names[name].removesuffix("/<0;1>/*") for name in "AB")
    )
    assert isinstance(result.exception, InvalidInputError)


def test_row_75_the_ceremony_and_whatever_was_changed_on_the_way(party: Any, line: Any, tmp_path: Path) -> None:
    """Signed, encrypted key records; every cosigner finds its own key and compares the first address by itself."""
    session, foreign = SetupToken.generate(), SetupToken.generate()
    secrets = {name: ExtendedPrivateKey.from_seed(b"safety" + name.encode() * 26, testnet=True) for name in "ABC"}
    records = {}
    for name, root in secrets.items():
        text = party.names[name].removesuffix("/<0;1>/*")
        key = Descriptor.parse(f"pkh({text})").keys[0]
        secret = root.derive(HOME).secret().expose()
        records[name] = KeyRecord.of(session, key, name).signed(sign_with(secret))
        sealed = session.encrypt(str(records[name]))
        assert KeyRecord.parse(session.decrypt(sealed), token=session) == records[name]
        with pytest.raises(InvalidInputError):
            foreign.decrypt(sealed)
        with pytest.raises(InvalidInputError):
            session.decrypt(sealed[:-2] + ("00" if sealed[-2:] != "00" else "01"))
        changed = str(records[name]).replace(f"\n{name}\n", "\nMallory\n")
        with pytest.raises(InvalidSignatureError):
            KeyRecord.parse(changed)
    agreed = DescriptorRecord(Network.REGTEST, Descriptor.parse(party.text("wsh(sortedmulti(2,@A,@B,@C))")))
    agreed.check_key_records(tuple(records.values()))
    seen = {str(DescriptorRecord.parse(str(agreed), network=Network.REGTEST).first_address) for _ in records}
    assert seen == {str(party.account("wsh(sortedmulti(2,@A,@B,@C))").address(0, 0))}
    swapped = DescriptorRecord(Network.REGTEST, Descriptor.parse(party.text("wsh(sortedmulti(2,@A,@B,@X))")))
    with pytest.raises(InvalidInputError):
        swapped.positions(records["C"].key)
    with pytest.raises(InvalidInputError):
        swapped.check_key_records(tuple(records.values()))
    lines = str(swapped).split("\n")
    with pytest.raises(InvalidInputError) as caught:
        DescriptorRecord.parse("\n".join([*lines[:3], str(agreed.first_address)]), network=Network.REGTEST)
    assert caught.value.code == "input.setup-file.address"
    files = []
    for name, record in records.items():
        files.append(tmp_path / f"{name}.key")
        text = str(record) if name != "B" else str(record).replace(str(record.key.key)[:20], "tpub" + "D" * 16)
        files[-1].write_text(text)
    token = tmp_path / "session.token"
    token.write_text(session.hex())
    result = line.run("multisig", "create", "board", "2", *map(str, files), "--token", str(token))
    assert isinstance(result.exception, (InvalidInputError, InvalidSignatureError))


def sign_with(secret: bytes) -> Callable[[bytes], str]:
    from bursar.bitcoin.message import encode_signature, message_digest
    from bursar.bitcoin.script import ScriptType
    from bursar.crypto.secp256k1 import ecdsa_sign_recoverable

    return lambda message: encode_signature(ecdsa_sign_recoverable(secret, message_digest(message)), ScriptType.P2PKH)


A, B = (public_key(bytes([number]) * 32).hex() for number in (1, 2))
INSANE = [
    ("older(1)", "nobody signs"),
    (f"or_d(pk({A}),older(9))", "nobody signs one branch"),
    (f"or_b(sha256({'00' * 32}),s:pk({A}))", "malleable"),
    (f"and_v(v:pk({A}),and_b(after(1),a:after(1000000000)))", "two kinds of lock"),
    (f"and_v(v:pk({A}),and_b(older(1),a:older(4194305)))", "two kinds of relative lock"),
    (f"and_v(v:pk({A}),pk({A}))", "a key twice"),
    (f"and_v(v:pk({A}),0)", "nothing satisfies it"),
    (f"and_v(v:pk({A}),older(0))", "a lock of nothing"),
    (f"and_v(v:pk({A}),older(2147483648))", "a lock beyond its bits"),
    (f"and_v(v:pk({A}),after(2147483648))", "a lock beyond its bits"),
    (f"and_v(v:pk({A}),after(0))", "a lock of nothing"),
]


@pytest.mark.parametrize(("text", "why"), INSANE, ids=[why for _, why in INSANE])
def test_row_76_scripts_that_are_not_sane(text: str, why: str, line: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Descriptor.parse(f"wsh({text})")
    assert caught.value.code.startswith("input.descriptor")
    leaf = text.replace(A, A[2:]).replace(B, B[2:])
    with pytest.raises(InvalidInputError):
        Descriptor.parse(f"tr({B[2:]},{leaf})")
    result = line.run("account", "add", "odd", "--descriptor", f"wsh({text})")
    assert isinstance(result.exception, InvalidInputError)


@pytest.mark.parametrize(
    ("lock", "sequence", "version", "opens"),
    [
        (144, 144, 2, True),
        (144, 143, 2, False),
        (144, 145, 2, True),
        (144, 144, 1, False),
        (144, 0x8000_0090, 2, False),
        (144, 0x0040_0090, 2, False),
        (0x0040_0010, 0x0040_0010, 2, True),
        (0x0040_0010, 0x0000_0010, 2, False),
        (0x0040_0010, 0x0040_000F, 2, False),
        (65_535, 65_535, 2, True),
        (65_537, 1, 2, True),  # only the low 16 bits count: such a lock is far shorter than it looks
    ],
)
def test_row_76_relative_locks_mean_blocks_or_units_of_512_seconds(
    lock: int, sequence: int, version: int, opens: bool
) -> None:
    key = public_key(b"\x01" * 32)
    ms = Miniscript.parse(f"and_v(v:pk({key.hex()}),older({lock}))", Context.P2WSH)
    materials = Materials(signatures={key: b"\x30" * 71}, preimages={}, sequence=sequence, locktime=0, version=version)
    if opens:
        assert satisfy(ms, materials).stack
    else:
        with pytest.raises(InvalidInputError):
            satisfy(ms, materials)


def test_row_76_a_lock_that_has_not_run_is_not_final(party: Any, refused: Any) -> None:
    from bursar.bitcoin.finalize import finalize

    account = party.account("wsh(or_d(pk(@A),and_v(v:pk(@B),older(100))))")
    psbt = party.question(account)
    signed = request_signatures(party.signers["B"], psbt, account=account)
    with pytest.raises(InvalidInputError) as caught:
        finalize(signed)
    assert caught.value.code == "input.psbt.unsigned"
    assert finalize(request_signatures(party.signers["A"], psbt, account=account))
