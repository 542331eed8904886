"""Rows of the signer's checklist for scripts of several keys: multisig, miniscript, script trees, by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.bitcoin.finalize import finalize
from bursar.bitcoin.multisig import MultisigAccount
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.psbt.points import check_points
from bursar.bitcoin.psbt.script_keys import key_stands_in, pushes
from bursar.bitcoin.psbt.taproot import tree_root
from bursar.bitcoin.script import p2sh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import ecdsa_sign_der, public_key, schnorr_sign, uncompressed
from bursar.errors import InvalidInputError, SignerMisbehavedError, UnsupportedError
from bursar.keys.origin import UNKNOWN, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.adoption import adopt_signatures
from bursar.signing.change import change_outputs
from bursar.signing.checks import confirm_address, request_signatures
from bursar.signing.preflight import PreflightLimits, check_psbt
from bursar.signing.spending import check_inputs

if TYPE_CHECKING:
    from bursar.backends.software import SoftwareSigner

    from .conftest import Party

HOME = DerivationPath.from_text("m/48h/1h/0h/2h")
NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
TEMPLATES = [
    "wsh(sortedmulti(2,@A,@B,@C))",
    "sh(sortedmulti(2,@A,@B,@C))",
    "sh(wsh(multi(2,@A,@B,@C)))",
    "wsh(or_d(multi(2,@A,@B),and_v(v:pkh(@C),older(100))))",
    "tr(@C,{and_v(v:pk(@A),older(9)),pk(@B)})",
    f"tr({NUMS},multi_a(2,@A,@B,@C))",
]


def refused(code: str, check: Callable[..., object], *args: Any, **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check(*args, **options)
    assert caught.value.code == f"input.psbt.{code}", caught.value.message
    return caught.value.message


def claims(psbt: Psbt, number: int, origin: KeyOrigin) -> None:
    """Has the output say that its first key comes from ``origin``."""
    output = psbt.outputs[number]
    for key in [*output.bip32_derivations][:1]:
        output.bip32_derivations[key] = origin
    for key, (leaves, _) in [*output.tap_bip32_derivations.pairs()][:1]:
        output.tap_bip32_derivations[key] = (leaves, origin)


# 16, 18: change is what the account's own keys make


@pytest.mark.parametrize("template", TEMPLATES)
def test_row_16_18_change_is_recognised_and_signed(template: str, party: Party) -> None:
    account = party.account(template)
    psbt = party.question(account)
    check_psbt(psbt)
    assert change_outputs(psbt, account) == (1,)
    signed = request_signatures(party.signers["B"], psbt, account=account, approved=psbt.tx.txid)
    assert signed != psbt


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(sortedmulti(1,@A,@B,@C))"),  # another threshold
        ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(sortedmulti(2,@A,@B,@X))"),  # a cosigner replaced
        ("wsh(sortedmulti(2,@A,@B,@C))", "wsh(sortedmulti(2,@A,@B))"),  # a cosigner left out
        ("wsh(multi(2,@A,@B,@C))", "wsh(multi(2,@C,@B,@A))"),  # another order
        ("wsh(sortedmulti(2,@A,@B,@C))", "sh(wsh(sortedmulti(2,@A,@B,@C)))"),  # another way to pay to it
        ("wsh(or_d(pk(@A),and_v(v:pk(@B),older(100))))", "wsh(or_d(pk(@A),and_v(v:pk(@B),older(10))))"),
        ("wsh(or_d(pk(@A),and_v(v:pk(@B),older(100))))", "wsh(pk(@A))"),
        ("tr(@C,{pk(@A),pk(@B)})", "tr(@C,{pk(@A),pk(@X)})"),
        ("tr(@C,{pk(@A),pk(@B)})", "tr(@C)"),
        ("tr(@C,{pk(@A),pk(@B)})", "tr(@A,{pk(@C),pk(@B)})"),
    ],
)
def test_row_13_18_19_change_of_other_terms_is_a_fraud(ours: str, theirs: str, party: Party) -> None:
    """Each pays to keys of ours, at a path of ours, on terms that are not ours."""
    account = party.account(ours)
    psbt = party.question(account, change=party.account(theirs))
    check_psbt(psbt)
    assert "its script is not that of" in refused("change", change_outputs, psbt, account)
    refused("change", request_signatures, party.signers["A"], psbt, account=account)


def test_row_19_a_multisig_in_which_one_key_repeats(party: Party) -> None:
    account = party.account("wsh(multi(2,@A,@B,@C))")
    psbt = party.question(account)
    keys = [*account.spending(1, 3).origins]
    script = b"\x52" + b"".join(b"\x21" + key for key in (keys[0], keys[0], keys[1])) + b"\x53\xae"
    outputs = (psbt.tx.outputs[0], TxOut(psbt.tx.outputs[1].value, p2wsh(sha256(script))))
    made = Psbt(Transaction(2, psbt.tx.inputs, outputs, 0))
    for new, old in zip((*made.inputs, *made.outputs), (*psbt.inputs, *psbt.outputs), strict=True):
        new.fields.update(old.fields)
    made.outputs[1].witness_script = script
    del made.outputs[1].bip32_derivations[keys[2]]
    check_psbt(made)
    refused("change", change_outputs, made, account)


def test_row_13_an_output_that_claims_keys_its_script_does_not_hold(party: Party) -> None:
    account = party.account(TEMPLATES[0])
    psbt = party.question(account)
    psbt.outputs[0].bip32_derivations.update(dict(psbt.outputs[1].bip32_derivations))
    refused("change", check_psbt, psbt)
    tree = party.account("tr(@C,{pk(@A),pk(@B)})")
    lying = party.question(tree)
    lying.outputs[1].tap_tree = bytes.fromhex("00c00151")
    refused("change", check_psbt, lying)
    right = party.question(tree).outputs[1]
    assert right.tap_tree is not None
    assert tree_root(right.tap_tree) == tree.spending(1, 3).merkle_root


@pytest.mark.parametrize("template", TEMPLATES)
def test_row_15_change_nobody_would_find(template: str, party: Party) -> None:
    account = party.account(template)
    psbt = party.question(account, index=100_001)
    assert "beyond 100000" in refused("change", change_outputs, psbt, account)
    assert change_outputs(psbt, account, most_index=100_001) == (1,)


def test_row_14_16_67_other_paths_branches_and_unknown_masters_are_payments(party: Party) -> None:
    account = party.account(TEMPLATES[0])
    origin = next(iter(account.spending(1, 3).origins.values()))
    elsewhere = [
        KeyOrigin(UNKNOWN, origin.path),
        KeyOrigin(origin.fingerprint, DerivationPath.from_text("m/48h/1h/1h/2h/1/3")),
        KeyOrigin(origin.fingerprint, HOME / 0 / 3),
        KeyOrigin(origin.fingerprint, HOME / 2 / 3),
        KeyOrigin(origin.fingerprint, HOME / 1),
    ]
    for claimed in elsewhere:
        psbt = party.question(account)
        output = psbt.outputs[1]
        for key in output.bip32_derivations:
            output.bip32_derivations[key] = claimed
        assert change_outputs(psbt, account) == ()


# 24, 25, 27: scripts hash to what they are spent from


@pytest.mark.parametrize("template", TEMPLATES[:3])
def test_row_24_25_27_scripts_that_do_not_hash_to_the_output(template: str, party: Party) -> None:
    account = party.account(template)
    for name in ("redeem_script", "witness_script"):
        psbt = party.question(account)
        one = psbt.inputs[0]
        if getattr(one, name) is None:
            setattr(one, name, b"\x51")
            refused("script", check_psbt, psbt)
            continue
        right = getattr(one, name)
        for wrong in (None, b"\x51", right + b"\x61", right[:-1]):
            setattr(one, name, wrong)
            refused("script", check_psbt, psbt)
            refused("script", party.signers["A"].sign_psbt, psbt)


# 28, 32: only keys of the script, compressed in segwit


def test_row_28_pushes_are_read_as_the_script_reads_them() -> None:
    key = public_key(b"\x05" * 32)
    inside = b"\x4c\x23" + b"\x21" + key + b"\x75"  # pushed as data: no key of the script
    assert not key_stands_in(inside + b"\x51", key)
    assert key_stands_in(b"\x4c\x21" + key + b"\xac\x51", key)
    assert key_stands_in(b"\xa9\x14" + hash160(key) + b"\x88\x51", key)
    assert list(pushes(b"\x4d\x02\x00ab\x4e\x01\x00\x00\x00c\x00\x02d")) == [b"ab", b"c", b""]


def test_row_32_an_uncompressed_key_in_a_witness_script(party: Party) -> None:
    psbt = party.question(party.account("wsh(multi(1,@A,@B))"))
    long = uncompressed(public_key(b"\x07" * 32))
    script = b"\x51\x41" + long + b"\x51\xae"
    coin = Transaction(2, [TxIn(OutPoint(Txid(bytes(32)), 0))], [TxOut(Sats(50_000), p2wsh(sha256(script)))])
    made = Psbt(Transaction(2, [TxIn(OutPoint(coin.txid, 0))], [psbt.tx.outputs[0]]))
    one = made.inputs[0]
    one.non_witness_utxo, one.witness_utxo, one.witness_script = coin, coin.outputs[0], script
    assert "uncompressed" in refused("key", check_psbt, made)
    digest = InputDigests(made).digest(0).digest
    one.partial_sigs[long] = ecdsa_sign_der(b"\x07" * 32, digest) + b"\x01"
    with pytest.raises(InvalidInputError):
        finalize(made)


# 30: the key path only where somebody holds its key


def test_row_30_no_key_path_where_nobody_holds_the_key(party: Party) -> None:
    account = party.account(f"tr({NUMS},multi_a(2,@A,@B,@C))")
    signed = request_signatures(party.signers["A"], party.question(account), account=account)
    assert all(one.tap_key_sig is None and len(one.tap_script_sigs) == 1 for one in signed.inputs)
    held = party.account("tr(@A,multi_a(2,@B,@C))")
    signed = request_signatures(party.signers["A"], party.question(held), account=held)
    assert all(one.tap_key_sig is not None and not one.tap_script_sigs for one in signed.inputs)


# 33: every hash type but ALL is refused for scripts as for keys


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("sighash", [0x02, 0x03, 0x81, 0x83, 0x04])
def test_row_33_38_hash_types_that_leave_something_open(template: str, sighash: int, party: Party) -> None:
    psbt = party.question(party.account(template))
    psbt.inputs[1].sighash_type = sighash
    refused("sighash", check_psbt, psbt)
    refused("sighash", party.signers["B"].sign_psbt, psbt)


# 41, 42: coins of other accounts and of strangers


@pytest.mark.parametrize("template", TEMPLATES)
def test_row_41_42_coins_of_another_account_and_ours_in_disguise(template: str, party: Party) -> None:
    account = party.account(template)
    psbt = party.question(account)
    check_inputs(psbt, account)
    other = party.account("wsh(sortedmulti(2,@A,@B))")
    assert "another one" in refused("account", check_inputs, psbt, other)
    for number in (0, 1):
        nameless = psbt.copy()
        nameless.inputs[number].bip32_derivations.clear()
        nameless.inputs[number].tap_bip32_derivations.clear()
        refused("hidden", check_inputs, nameless, account, window=2)
        refused("hidden", check_inputs, nameless, account, window=2, external=True)
        refused("external", check_inputs, nameless, party.account("wsh(pk(@X))"), window=2)
    wrong = psbt.copy()
    claims_input(wrong, 0, account.spending(0, 1))
    refused("account", check_inputs, wrong, account)


def claims_input(psbt: Psbt, number: int, spending: Any) -> None:
    one = psbt.inputs[number]
    one.bip32_derivations.clear()
    one.tap_bip32_derivations.clear()
    one.bip32_derivations.update(spending.origins)
    one.tap_bip32_derivations.update(spending.tap_origins)


# 50: keys that are no points


def test_row_50_a_key_that_is_no_point_is_refused_before_anybody_is_asked(party: Party) -> None:
    psbt = party.question(party.account(TEMPLATES[0]))
    psbt.inputs[0].bip32_derivations[b"\x02" + b"\xff" * 32] = KeyOrigin.from_text("01020304/1")
    refused("key", check_points, psbt)
    assert "no public key of the curve" in refused("key", request_signatures, party.signers["A"], psbt)


# 56, 57: what may come back


def answering(signer: SoftwareSigner, change: Callable[[Psbt, Psbt], None]) -> Any:
    def sign(psbt: Psbt) -> Psbt:
        reply = signer.sign_psbt(psbt)
        change(reply, psbt)
        return reply

    return SimpleNamespace(info=signer.info, sign_psbt=sign)


def leaf_signature(reply: Psbt) -> tuple[bytes, bytes]:
    return next(iter(reply.inputs[0].tap_script_sigs.pairs()))


def other_key(reply: Psbt, party: Party) -> None:
    """A valid signature by a key that stands in no leaf."""
    key, _ = leaf_signature(reply)
    digests = InputDigests(reply)
    (leaf,) = digests.leaves(0)
    secret = b"\x09" * 32
    signature = schnorr_sign(secret, digests.leaf(0, leaf).digest)
    reply.inputs[0].tap_script_sigs[public_key(secret)[1:] + key[32:]] = signature


def another_cosigners(reply: Psbt, party: Party) -> None:
    """A good signature, of a cosigner the signer is not."""
    other = party.signers["C"].sign_psbt(reply)
    reply.inputs[0].fields.update(other.inputs[0].fields)


def swapped(reply: Psbt, party: Party) -> None:
    one, two = reply.inputs
    (key, first), (place, second) = leaf_signature(reply), next(iter(two.tap_script_sigs.pairs()))
    one.tap_script_sigs[key], two.tap_script_sigs[place] = second, first


def typed(reply: Psbt, party: Party) -> None:
    key, value = leaf_signature(reply)
    reply.inputs[0].tap_script_sigs[key] = value + b"\x01"


def other_leaf(reply: Psbt, party: Party) -> None:
    key, value = leaf_signature(reply)
    reply.inputs[0].tap_script_sigs[key[:32] + bytes(32)] = value


LIES = [
    other_key,
    another_cosigners,
    swapped,
    typed,
    other_leaf,
    lambda reply, party: reply.inputs[0].fields.update({b"\x13": bytes(64)}),
    lambda reply, party: reply.inputs[0].fields.update({b"\x02" + public_key(b"\x01" * 32): b"\x30" * 70 + b"\x01"}),
    lambda reply, party: reply.inputs[0].tap_leaf_scripts.clear(),
    lambda reply, party: reply.inputs[0].sha256_preimages.update({sha256(b"x"): b"x"}),
    lambda reply, party: reply.outputs[1].fields.clear(),
    lambda reply, party: reply.inputs[0].musig2_nonces.update({public_key(b"\x01" * 32) * 2: bytes(66)}),
]


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("version", [0, 2])
def test_row_57_a_leafs_signatures_are_held_to_the_question(
    lie: Callable[[Psbt, Party], None], version: int, party: Party
) -> None:
    account = party.account(f"tr({NUMS},multi_a(2,@A,@B,@C))")
    psbt = party.question(account).to_version(version)
    honest = answering(party.signers["A"], lambda reply, asked: None)
    assert len(request_signatures(honest, psbt, account=account).inputs[1].tap_script_sigs) == 1
    with pytest.raises(SignerMisbehavedError):
        request_signatures(answering(party.signers["A"], lambda reply, asked: lie(reply, party)), psbt)


@pytest.mark.parametrize("flags", [b"\x00", b"\x03", b"\x01", b"\x04", b"\x08", None])
def test_row_53_57_the_flags_a_signer_may_change(flags: bytes | None, party: Party) -> None:
    """From "all is open" to what its signatures end, or not at all; the question is settled here either way."""
    psbt = party.question(party.account(TEMPLATES[0])).to_version(2)
    psbt.fields[b"\x06"] = b"\x03"

    def lie(reply: Psbt, _asked: Psbt) -> None:
        reply.fields.pop(b"\x06")
        if flags is not None:
            reply.fields[b"\x06"] = flags

    signer = answering(party.signers["A"], lie)
    if flags in (b"\x00", b"\x03"):
        assert request_signatures(signer, psbt).fields[b"\x06"] == b"\x00"
    else:
        with pytest.raises(SignerMisbehavedError):
            request_signatures(signer, psbt)


def test_row_57_an_answer_in_the_other_version(party: Party) -> None:
    psbt = party.question(party.account(TEMPLATES[0]))
    signer = party.signers["A"]
    other = SimpleNamespace(info=signer.info, sign_psbt=lambda asked: signer.sign_psbt(asked).to_version(2))
    with pytest.raises(SignerMisbehavedError, match="version 2"):
        request_signatures(other, psbt)  # type: ignore[arg-type]


def test_row_56_a_cosigner_adds_to_what_is_there_and_nothing_twice(party: Party) -> None:
    account = party.account(TEMPLATES[0])
    one = request_signatures(party.signers["A"], party.question(account), account=account)
    two = request_signatures(party.signers["B"], one, account=account)
    assert [len(each.partial_sigs) for each in two.inputs] == [2, 2]
    refused("nothing-to-sign", request_signatures, party.signers["A"], two, account=account)
    echo = SimpleNamespace(info=party.signers["C"].info, sign_psbt=lambda asked: Psbt.parse(asked.serialize()))
    with pytest.raises(SignerMisbehavedError, match="added no signature"):
        request_signatures(echo, two, account=account)  # type: ignore[arg-type]


def test_row_01_06_the_rule_for_previous_transactions_holds_for_scripts(party: Party) -> None:
    for template in TEMPLATES:
        psbt = party.question(party.account(template))
        for one in psbt.inputs:
            if not template.startswith("sh(sorted"):
                one.non_witness_utxo = None
        if template.startswith("tr("):
            check_psbt(psbt)
        elif not template.startswith("sh(sorted"):
            refused("utxo", check_psbt, psbt)
            check_psbt(psbt, limits=PreflightLimits(previous_required=False))


def test_row_04_a_legacy_script_with_a_witness_utxo(party: Party) -> None:
    psbt = party.question(party.account("sh(sortedmulti(2,@A,@B,@C))"))
    psbt.inputs[0].witness_utxo = psbt.utxo(0)
    refused("utxo", check_psbt, psbt)
    assert psbt.utxo(0).script == p2sh(hash160(psbt.inputs[0].redeem_script or b""))


def test_accounts_of_these_tests_are_of_all_kinds(party: Party) -> None:
    kinds = {type(party.account(template)).__name__ for template in TEMPLATES}
    assert kinds == {"MultisigAccount", "DescriptorAccount"}
    multisig = party.account(TEMPLATES[0])
    assert isinstance(multisig, MultisigAccount)
    assert replace(multisig, threshold=1).script(0, 0) != multisig.script(0, 0)


def test_signatures_in_leaves_are_taken_over_from_other_programs(party: Party) -> None:
    """Another program gives back its own fields in its own order; only the signatures are adopted."""
    account = party.account(f"tr({NUMS},multi_a(2,@A,@B,@C))")
    psbt = party.question(account)
    signed = party.signers["A"].sign_psbt(psbt)
    foreign = Psbt(psbt.tx)
    for one, theirs in zip(foreign.inputs, signed.inputs, strict=True):
        one.tap_script_sigs.update(dict(theirs.tap_script_sigs))
        one.unknown[b"\xfcforeign"] = b"dropped"
    assert adopt_signatures(psbt, foreign) == signed


def test_row_20_75_an_address_of_several_keys_is_compared_with_what_a_device_shows(party: Party) -> None:
    account = party.account(TEMPLATES[0])
    info = party.signers["A"].info
    right = str(account.address(0, 5))
    for shown in (right, str(account.address(0, 6)), "", 7):
        device = SimpleNamespace(
            info=info, xpub=None, close=None, display_script_address=lambda *_place, shown=shown: shown
        )
        if shown == right:
            assert str(confirm_address(device, account, 5)) == right  # type: ignore[arg-type]
        else:
            with pytest.raises(SignerMisbehavedError):
                confirm_address(device, account, 5)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError):
        confirm_address(SimpleNamespace(info=info, xpub=None, close=None), account, 5)  # type: ignore[arg-type]
    for other in (party.signers["X"].info, replace(info, fingerprint=UNKNOWN)):
        stranger = SimpleNamespace(info=other, xpub=None, close=None, display_script_address=lambda *_place: right)
        with pytest.raises(InvalidInputError) as caught:
            confirm_address(stranger, account, 5)  # type: ignore[arg-type]
        assert caught.value.code == "input.signer.other"
