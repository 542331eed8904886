"""The signer's checklist before anything is signed; each test carries the number of its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import op_return, p2sh, p2wpkh, p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import COIN, FeeRate, Sats
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import public_key, uncompressed
from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.change import change_outputs, change_paths
from bursar.signing.checks import request_signatures
from bursar.signing.preflight import PreflightLimits, check_psbt

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount

V0 = (Scheme.BIP84, Scheme.BIP49)
WITH_PREVIOUS = (Scheme.BIP44, *V0)


def refused(psbt: Psbt, code: str, **options: Any) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        check_psbt(psbt, **options)
    assert caught.value.code == f"input.psbt.{code}", caught.value.message
    return caught.value


def rebuilt(psbt: Psbt, *, inputs: Sequence[TxIn] | None = None, outputs: Sequence[TxOut] | None = None) -> Psbt:
    """The same fields around another transaction."""
    tx = psbt.tx
    made = Psbt(Transaction(tx.version, inputs or tx.inputs, tx.outputs if outputs is None else outputs, tx.locktime))
    for new, old in zip(made.inputs, psbt.inputs, strict=False):
        new.fields.update(old.fields)
    for output, before in zip(made.outputs, psbt.outputs, strict=False):
        output.fields.update(before.fields)
    return made


def paying(psbt: Psbt, *outputs: tuple[int, bytes]) -> Psbt:
    return rebuilt(psbt, outputs=[TxOut(Sats(value), script) for value, script in outputs])


@pytest.mark.parametrize("scheme", list(Scheme))
def test_a_good_psbt_passes_and_says_what_is_signed(ask: SimpleNamespace, scheme: Scheme) -> None:
    asked = check_psbt(ask.one(scheme))
    assert len(asked) == 1
    assert asked[0] is not None


@pytest.mark.parametrize("scheme", V0)
def test_a1_segwit_v0_without_its_previous_transaction(ask: SimpleNamespace, scheme: Scheme) -> None:
    psbt = ask.one(scheme)
    psbt.inputs[0].non_witness_utxo = None
    refused(psbt, "utxo")
    check_psbt(psbt, limits=PreflightLimits(previous_required=False))


@pytest.mark.parametrize("scheme", WITH_PREVIOUS)
def test_a2_a_previous_transaction_of_another_id(ask: SimpleNamespace, scheme: Scheme) -> None:
    psbt = ask.one(scheme)
    before = psbt.inputs[0].non_witness_utxo
    psbt.inputs[0].non_witness_utxo = Transaction(before.version, before.inputs, before.outputs, before.locktime + 1)
    refused(psbt, "utxo")


@pytest.mark.parametrize("scheme", V0)
def test_a3_a_witness_utxo_that_contradicts(ask: SimpleNamespace, scheme: Scheme) -> None:
    for value, script in ((1, b""), (0, b"\x00")):
        psbt = ask.one(scheme)
        output = psbt.inputs[0].witness_utxo
        psbt.inputs[0].witness_utxo = TxOut(Sats(output.value + value), output.script + script)
        refused(psbt, "utxo")


def test_a4_legacy_without_previous_transaction_or_with_a_witness_utxo(ask: SimpleNamespace) -> None:
    alone, both = ask.one(Scheme.BIP44), ask.one(Scheme.BIP44)
    output = alone.inputs[0].non_witness_utxo.outputs[1]
    alone.inputs[0].non_witness_utxo = None
    alone.inputs[0].witness_utxo = output
    refused(alone, "utxo")
    both.inputs[0].witness_utxo = output
    refused(both, "utxo")


@pytest.mark.parametrize("scheme", WITH_PREVIOUS)
def test_a5_an_output_the_previous_transaction_does_not_have(ask: SimpleNamespace, scheme: Scheme) -> None:
    psbt = ask.one(scheme)
    spending = psbt.tx.inputs[0]
    for vout in (2, 0xFFFFFFFF):
        inputs = [TxIn(OutPoint(spending.outpoint.txid, vout), b"", spending.sequence)]
        refused(rebuilt(psbt, inputs=inputs), "utxo")


def test_a6_taproot_alone_needs_no_previous_transaction_but_its_v0_neighbour_does(ask: SimpleNamespace) -> None:
    psbt = ask.one(Scheme.BIP86)
    psbt.inputs[0].non_witness_utxo = None
    check_psbt(psbt)
    mixed = ask.question([ask.spend(Scheme.BIP86), ask.spend(Scheme.BIP84)])
    mixed.inputs[0].non_witness_utxo = None
    check_psbt(mixed)
    mixed.inputs[1].non_witness_utxo = None
    refused(mixed, "utxo")


def test_a7_more_out_than_in(ask: SimpleNamespace) -> None:
    psbt = ask.one()
    refused(paying(psbt, (100_001, psbt.tx.outputs[0].script)), "fee")
    check_psbt(paying(psbt, (100_000, psbt.tx.outputs[0].script)))


def test_a8_amounts_beyond_all_money(ask: SimpleNamespace) -> None:
    psbt = ask.one()
    script = psbt.tx.outputs[0].script
    refused(paying(psbt, (21_000_000 * COIN, script), (1000, script)), "amount")
    with pytest.raises(InvalidInputError, match="out of range"):
        Psbt.parse(
            psbt.serialize().replace(psbt.tx.outputs[0].serialize()[:8], (21_000_000 * COIN + 1).to_bytes(8, "little"))
        )
    with pytest.raises(InvalidInputError, match="out of range"):
        Psbt.parse(psbt.serialize().replace(psbt.tx.outputs[0].serialize()[:8], b"\xff" * 8))


def test_a9_a_blunder_of_a_fee_has_hard_limits_loosened_per_job(ask: SimpleNamespace) -> None:
    psbt = ask.one(fee=40_000)
    check_psbt(psbt)
    refused(psbt, "fee", limits=PreflightLimits(max_fee=Sats(39_999)))
    check_psbt(psbt, limits=PreflightLimits(max_fee=Sats(40_000)))
    refused(psbt, "fee", limits=PreflightLimits(max_fee_rate=FeeRate(100_000)))


def test_a12_dust_and_burning_are_refused(ask: SimpleNamespace) -> None:
    psbt = ask.one()
    script = psbt.tx.outputs[0].script
    check_psbt(paying(psbt, (294, script), (50_000, script)))
    refused(paying(psbt, (293, script), (50_000, script)), "output")
    refused(paying(psbt, (0, script), (50_000, script)), "output")
    check_psbt(paying(psbt, (0, op_return(b"memo")), (50_000, script)))
    refused(paying(psbt, (1, op_return(b"memo")), (50_000, script)), "output")


@pytest.mark.parametrize("scheme", list(Scheme))
def test_b13_an_output_that_claims_a_key_its_script_does_not_prove(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount], scheme: Scheme
) -> None:
    ours = account(scheme)
    psbt = ask.question([ask.spend(scheme)], change=ours)
    check_psbt(psbt)
    assert change_outputs(psbt, ours) == (1,)
    theirs = ask.stranger(scheme).script(1, 3)
    stolen = paying(psbt, *((out.value, script) for out, script in zip(psbt.tx.outputs, (theirs, theirs), strict=True)))
    refused(stolen, "change")


def test_b13_a_change_address_swapped_together_with_its_key(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount]
) -> None:
    ours, thief = account(), ask.stranger()
    psbt = ask.question([ask.spend()], change=thief)
    output = psbt.outputs[1]
    for key in list(output.bip32_derivations):
        output.bip32_derivations[key] = ours.key_origin(1, 3)
    check_psbt(psbt)  # the key does stand in the script: only the account can tell
    with pytest.raises(InvalidInputError) as caught:
        change_outputs(psbt, ours)
    assert caught.value.code == "input.psbt.change"


@pytest.mark.parametrize("origin", ["00000000/84h/1h/0h/1/3", "01020304/84h/1h/0h/1/3"])
def test_b14_the_right_key_under_a_wrong_fingerprint_is_a_payment(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount], origin: str
) -> None:
    psbt = ask.question([ask.spend()], change=account())
    for key in list(psbt.outputs[1].bip32_derivations):
        psbt.outputs[1].bip32_derivations[key] = KeyOrigin.from_text(origin)
    assert change_outputs(psbt, account()) == ()


def change_at(ask: SimpleNamespace, account: BitcoinAccount, branch: int, index: int) -> Psbt:
    psbt = ask.question([ask.of(account)])
    psbt = paying(psbt, (50_000, psbt.tx.outputs[0].script), (49_000, account.script(branch, index)))
    psbt.outputs[1].bip32_derivations[account.key(branch, index)] = account.key_origin(branch, index)
    return psbt


def test_b15_change_beyond_what_any_wallet_scans_is_ransom(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount]
) -> None:
    ours = account()
    assert change_outputs(change_at(ask, ours, 1, 100_000), ours) == (1,)
    for index in (100_001, 2**31 - 17, 2**31 - 1):
        with pytest.raises(InvalidInputError, match="no wallet would find"):
            change_outputs(change_at(ask, ours, 1, index), ours)
    with pytest.raises(InvalidInputError, match="beyond 20"):
        change_outputs(change_at(ask, ours, 1, 21), ours, most_index=20)


def test_b16_another_branch_or_account_is_a_payment(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount]
) -> None:
    ours = account()
    for branch in (0, 2, 7):
        assert change_outputs(change_at(ask, ours, branch, 3), ours) == ()
    assert change_outputs(change_at(ask, account(number=1), 1, 3), ours) == ()
    other = change_at(ask, account(Scheme.BIP44), 1, 3)
    assert change_outputs(other, ours) == ()


def test_b16_a_path_of_another_depth_is_a_payment(ask: SimpleNamespace, account: Callable[..., BitcoinAccount]) -> None:
    ours = account()
    for path in (ours.origin.path, ours.origin.path / 1, ours.origin.path / 1 / 3 / 0):
        psbt = change_at(ask, ours, 1, 3)
        psbt.outputs[1].bip32_derivations[ours.key(1, 3)] = KeyOrigin(ours.origin.fingerprint, path)
        assert change_outputs(psbt, ours) == ()


def test_b16_the_path_told_is_the_one_that_proves(ask: SimpleNamespace, account: Callable[..., BitcoinAccount]) -> None:
    ours = account(Scheme.BIP86)
    psbt = ask.question([ask.spend(Scheme.BIP86)], change=ours)
    derivations = psbt.outputs[1].tap_bip32_derivations
    proof = dict(derivations.items())
    derivations.clear()
    decoy = KeyOrigin(ours.origin.fingerprint, ours.path(0, 77))
    derivations[public_key(b"\x05" * 32)[1:]] = ((), decoy)
    derivations.update(proof)
    derivations[public_key(b"\x06" * 32)[1:]] = ((), decoy)
    assert change_paths(psbt, ours) == {1: ours.path(1, 3)}


def test_b17_any_number_of_change_outputs_is_told(ask: SimpleNamespace, account: Callable[..., BitcoinAccount]) -> None:
    ours = account()
    psbt = ask.question([ask.spend()])
    psbt = paying(psbt, (1000, psbt.tx.outputs[0].script), *((4000, ours.script(1, index)) for index in range(20)))
    for index in range(20):
        psbt.outputs[1 + index].bip32_derivations[ours.key(1, index)] = ours.key_origin(1, index)
    assert change_outputs(psbt, ours) == tuple(range(1, 21))


def test_b22_the_transaction_approved_is_the_one_signed(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    psbt = ask.one()
    approved = psbt.tx.txid
    request_signatures(signer, psbt, approved=approved)
    changed = paying(psbt, (99_000, psbt.tx.outputs[0].script))
    with pytest.raises(InvalidInputError) as caught:
        request_signatures(signer, changed, approved=approved)
    assert caught.value.code == "input.psbt.changed"


def test_b22_a_psbt_changed_while_the_signer_holds_it_is_not_what_comes_back(
    ask: SimpleNamespace, signer: SoftwareSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    psbt, honest = ask.one(), SoftwareSigner.sign_psbt
    before = psbt.serialize()

    def meddling(self: SoftwareSigner, asked: Psbt) -> Psbt:
        signed = honest(self, asked)
        psbt.inputs[0].unknown[b"\xfc\x01a"] = b"meddled"
        return signed

    monkeypatch.setattr(SoftwareSigner, "sign_psbt", meddling)
    signed = request_signatures(signer, psbt)
    assert b"\xfc\x01a" not in signed.inputs[0].fields
    assert set(signed.inputs[0].fields) > set(Psbt.parse(before).inputs[0].fields)


def spending(psbt: Psbt, script: bytes) -> Psbt:
    """The question, spending ``script`` in place of what input 0 spent."""
    before = psbt.inputs[0].non_witness_utxo
    assert before is not None
    outputs = (before.outputs[0], TxOut(before.outputs[1].value, script))
    changed = Transaction(before.version, before.inputs, outputs, before.locktime)
    made = rebuilt(psbt, inputs=[TxIn(OutPoint(changed.txid, 1), b"", psbt.tx.inputs[0].sequence)])
    made.inputs[0].non_witness_utxo = changed
    made.inputs[0].witness_utxo = changed.outputs[1]
    return made


def test_c24_a_redeem_script_of_another_hash(ask: SimpleNamespace) -> None:
    psbt = ask.one(Scheme.BIP49)
    psbt.inputs[0].redeem_script = p2wpkh(hash160(b"another"))
    refused(psbt, "script")
    psbt.inputs[0].redeem_script = None
    refused(psbt, "script")


def test_c25_a_witness_script_of_another_hash(ask: SimpleNamespace, account: Callable[..., BitcoinAccount]) -> None:
    key = account().key(0, 0)
    script = b"\x51\x21" + key + b"\x51\xae"
    psbt = spending(ask.one(), p2wsh(sha256(script)))
    psbt.inputs[0].witness_script = script
    check_psbt(psbt)
    psbt.inputs[0].witness_script = script + b"\x61"
    refused(psbt, "script")
    psbt.inputs[0].witness_script = None
    refused(psbt, "script")


def test_c26_what_bip174_tells_signers_to_refuse(official_vectors: Callable[[str], Any]) -> None:
    import json

    vectors = json.loads(official_vectors("bip/bip0174.json").read_text())["vectors"]
    failing = [vector for vector in vectors if vector["section"] == "Fails Signer checks"]
    assert len(failing) == 4
    for vector in failing:
        with pytest.raises(InvalidInputError):
            check_psbt(Psbt.from_text(vector["psbt"]), limits=PreflightLimits(previous_required=False))


def test_c27_three_levels_that_must_agree(ask: SimpleNamespace, account: Callable[..., BitcoinAccount]) -> None:
    script = b"\x51\x21" + account().key(0, 0) + b"\x51\xae"
    redeem = p2wsh(sha256(script))
    psbt = spending(ask.one(), p2sh(hash160(redeem)))
    psbt.inputs[0].redeem_script, psbt.inputs[0].witness_script = redeem, script
    check_psbt(psbt)
    for wrong in ((p2wsh(sha256(b"\x51")), script), (redeem, b"\x51"), (p2wpkh(hash160(b"")), script), (None, script)):
        psbt.inputs[0].redeem_script, psbt.inputs[0].witness_script = wrong
        refused(psbt, "script")


@pytest.mark.parametrize("scheme", [Scheme.BIP44, *V0])
def test_c28_a_key_named_that_the_script_does_not_contain(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount], scheme: Scheme
) -> None:
    psbt = ask.one(scheme)
    psbt.inputs[0].bip32_derivations[account(scheme).key(0, 9)] = account(scheme).key_origin(0, 9)
    refused(psbt, "key")


def test_c29_an_internal_key_or_tree_that_does_not_make_the_output(ask: SimpleNamespace) -> None:
    psbt = ask.one(Scheme.BIP86)
    psbt.inputs[0].tap_merkle_root = b"\x01" * 32
    refused(psbt, "key")
    psbt = ask.one(Scheme.BIP86)
    psbt.inputs[0].tap_internal_key = public_key(b"\x01" * 32)[1:]
    refused(psbt, "key")


def test_c31_an_annex(ask: SimpleNamespace) -> None:
    psbt = ask.question([ask.spend(Scheme.BIP86), ask.spend(Scheme.BIP86, index=1)])
    psbt.inputs[0].final_witness = (bytes(64),)
    check_psbt(psbt)
    psbt.inputs[0].final_witness = (b"\x50" + bytes(63),)  # the last of several is an annex, the only one is not
    check_psbt(psbt)
    psbt.inputs[0].final_witness = (bytes(64), b"\x50annex")
    refused(psbt, "annex")


def test_c32_uncompressed_keys_in_segwit(ask: SimpleNamespace) -> None:
    long = uncompressed(public_key(b"\x01" * 32))
    psbt = spending(ask.one(), p2wpkh(hash160(long)))
    psbt.inputs[0].bip32_derivations.clear()
    psbt.inputs[0].bip32_derivations[long] = KeyOrigin(Fingerprint(b"abcd"), DerivationPath())
    refused(psbt, "key")
    script = b"\x51\x41" + long + b"\x51\xae"
    psbt = spending(ask.one(), p2wsh(sha256(script)))
    psbt.inputs[0].bip32_derivations.clear()
    psbt.inputs[0].witness_script = script
    refused(psbt, "key")


@pytest.mark.parametrize("scheme", list(Scheme))
def test_d33_only_all_and_default(ask: SimpleNamespace, scheme: Scheme) -> None:
    for sighash in (0x00, 0x01, 0x02, 0x03, 0x04, 0x41, 0x81, 0x82, 0x83, 0x101, 0xFFFFFFFF):
        psbt = ask.one(scheme)
        psbt.inputs[0].sighash_type = sighash
        if sighash == 1 or (sighash == 0 and scheme is Scheme.BIP86):
            check_psbt(psbt)
        else:
            refused(psbt, "sighash")


@pytest.mark.parametrize("scheme", list(Scheme))
def test_d34_single_without_its_output(ask: SimpleNamespace, scheme: Scheme) -> None:
    psbt = ask.question([ask.spend(scheme, index=index) for index in range(3)])
    psbt.inputs[2].sighash_type = 3
    refused(psbt, "sighash")


@pytest.mark.parametrize("scheme", list(Scheme))
def test_e39_an_outpoint_twice(ask: SimpleNamespace, scheme: Scheme) -> None:
    psbt = ask.question([ask.spend(scheme), ask.spend(scheme, index=1)])
    twice = rebuilt(psbt, inputs=[psbt.tx.inputs[0], psbt.tx.inputs[0]])
    twice.inputs[1].fields.clear()
    twice.inputs[1].fields.update(psbt.inputs[0].fields)
    refused(twice, "duplicate-input")


def test_e40_nothing_in_nothing_out_nothing_of_ours(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    refused(Psbt(Transaction(2, [], [TxOut(Sats(1000), b"\x51")], 0)), "empty")
    coin = TxIn(OutPoint(Txid(bytes(31) + b"\x01"), 0))
    refused(Psbt(Transaction(2, [coin], [], 0)), "empty")
    psbt = ask.question([ask.of(ask.stranger())])
    check_psbt(psbt)
    refused(psbt, "nothing-to-sign", fingerprint=signer.info.fingerprint)
    final = ask.one()
    final.inputs[0].final_witness = (b"\x01",)
    refused(final, "nothing-to-sign")


def test_e40_ours_already_final_beside_an_open_one_of_others(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    psbt = ask.question([ask.spend(), ask.of(ask.stranger())])
    check_psbt(psbt, fingerprint=signer.info.fingerprint)
    psbt.inputs[0].final_witness = (b"\x01",)
    refused(psbt, "nothing-to-sign", fingerprint=signer.info.fingerprint)


def lied_about(psbt: Psbt, number: int, less: int) -> Psbt:
    """The question with input ``number`` made to look final, its amount understated and nothing to prove it."""
    lying = psbt.copy()
    one = lying.inputs[number]
    before = psbt.utxo(number)
    one.non_witness_utxo = None
    one.witness_utxo = TxOut(Sats(before.value - less), before.script)
    one.final_witness = (b"\x30" * 71, b"\x02" * 33)
    return lying


@pytest.mark.parametrize("scheme", WITH_PREVIOUS)
def test_a1_two_sessions_that_each_call_the_others_input_final(ask: SimpleNamespace, scheme: Scheme) -> None:
    """Each would show a fee of 500 sat; the two signatures together pay 50,000 sat."""
    psbt = ask.question([ask.spend(scheme), ask.spend(scheme, index=1)], fee=50_000)
    for number in (0, 1):
        lying = lied_about(psbt, number, 49_500)
        assert lying.fee() == 500
        refused(lying, "utxo")
        check_psbt(lying, limits=PreflightLimits(previous_required=False))
    proven = psbt.copy()
    proven.inputs[0].final_witness = (b"\x30" * 71, b"\x02" * 33)
    check_psbt(proven)


def test_a6_a_final_taproot_input_needs_no_previous_transaction(ask: SimpleNamespace) -> None:
    psbt = ask.question([ask.spend(Scheme.BIP86), ask.spend(Scheme.BIP84)])
    psbt.inputs[0].non_witness_utxo = None
    psbt.inputs[0].final_witness = (bytes(64),)
    check_psbt(psbt)


def test_e39_many_outpoints_are_compared_at_once(ask: SimpleNamespace) -> None:
    from time import perf_counter

    spending = [TxIn(OutPoint(Txid(number.to_bytes(32, "big")), 0)) for number in range(30_000)]
    psbt = Psbt(Transaction(2, [*spending, spending[-1]], ask.one().tx.outputs, 0))
    start = perf_counter()
    refused(psbt, "duplicate-input")
    assert perf_counter() - start < 5
