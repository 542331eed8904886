"""Every kind of script, signed in software, finalised, and judged by libbitcoinkernel: the whole way of a PSBT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.finalize import combine, extract, finalize
from bursar.bitcoin.psbt import Psbt, add_input, add_output, create, update_input, update_output
from bursar.bitcoin.psbt.taproot import TapLeaf, leaf_hash
from bursar.bitcoin.script import p2wpkh
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, ripemd160, sha256, sha256d
from bursar.errors import InvalidInputError, InvalidSignatureError, UnsupportedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_signatures

Verify = Callable[[Transaction, Sequence[TxOut]], None]
HOME = DerivationPath.from_text("m/48h/1h/0h/2h")
SECRET = b"a preimage of thirty-two bytes.."
NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"


@pytest.fixture(scope="module")
def kernel() -> Verify:
    pbk = pytest.importorskip("pbk", reason="py-bitcoinkernel is not installed")

    def verify(tx: Transaction, spent: Sequence[TxOut]) -> None:
        outputs = [pbk.TransactionOutput(pbk.ScriptPubkey(one.script), int(one.value)) for one in spent]
        transaction = pbk.Transaction(tx.serialize())
        shared = pbk.script.PrecomputedTransactionData(transaction, outputs)
        for place, one in enumerate(spent):
            assert pbk.ScriptPubkey(one.script).verify(
                int(one.value), transaction, shared, place, pbk.ScriptVerificationFlags.ALL
            )

    return verify


class Cosigners:
    """Three signers and their keys as descriptors write them: ``A``, ``B``, ``C``, on branches 0 and 1."""

    def __init__(self) -> None:
        self.signers: dict[str, SoftwareSigner] = {}
        self.names: dict[str, str] = {}
        for name in "ABC":
            root = ExtendedPrivateKey.from_seed(name.encode() * 32, testnet=True)
            signer = self.signers[name] = SoftwareSigner(root)
            home = f"[{root.fingerprint}{HOME.suffix()}]{signer.xpub(HOME)}"
            self.names[name] = f"{home}/<0;1>/*"
            self.names[name.lower()] = f"{home}/<2;3>/*"

    def descriptor(self, template: str) -> Descriptor:
        hashes = {"H": sha256(SECRET), "D": sha256d(SECRET), "R": ripemd160(SECRET), "S": hash160(SECRET)}
        text = template
        for name, key in self.names.items():
            text = text.replace(f"@{name}", key)
        for name, hashed in hashes.items():
            text = text.replace(f"#{name}", hashed.hex())
        return Descriptor.parse(text.replace("NUMS", NUMS))


@pytest.fixture(scope="module")
def cosigners() -> Cosigners:
    return Cosigners()


def previous(script: bytes, salt: int) -> Transaction:
    spent = TxIn(OutPoint(Txid(sha256(b"%d" % salt)), 1), witness=(b"proof",))
    return Transaction(2, [spent], [TxOut(Sats(1000), b"\x51"), TxOut(Sats(90_000), script)], 0)


def question(
    descriptor: Descriptor, *, version: int = 0, inputs: int = 1, sequence: int = 0xFFFFFFFD, locktime: int = 0
) -> Psbt:
    """A PSBT that spends coins of ``descriptor`` and pays change back to it, made by the roles one after another."""
    coins = [previous(descriptor.script(0, index), index) for index in range(inputs)]
    pays = [TxOut(Sats(20_000), p2wpkh(bytes(20))), TxOut(Sats(90_000 * inputs - 21_000), descriptor.script(1, 4))]
    psbt = create(locktime=locktime, modifiable_inputs=True, modifiable_outputs=True)
    for coin in coins:
        add_input(psbt, OutPoint(coin.txid, 1), sequence=sequence)
    for output in pays:
        add_output(psbt, output)
    psbt = psbt.to_version(version)
    for index, coin in enumerate(coins):
        update_input(psbt, index, previous=coin, spending=descriptor.spending(0, index))
    update_output(psbt, 1, descriptor.spending(1, 4))
    return Psbt.parse(psbt.serialize())


@dataclass(frozen=True)
class Case:
    """A descriptor, who signs, what else is there, and what the witness is made of (``None``: not looked at)."""

    template: str
    signers: str
    options: dict[str, Any] = field(default_factory=dict)
    preimages: str = ""
    leaf: int | None = None  # the leaf that runs, by its number


OLDER = {"sequence": 10}
CASES = [
    Case("pkh(@A)", "A"),
    Case("wpkh(@A)", "A"),
    Case("sh(wpkh(@A))", "A"),
    Case("sh(pkh(@A))", "A"),
    Case("sh(pk(@A))", "A"),
    Case("pk(@A)", "A"),
    Case("multi(2,@A,@B)", "AB"),
    Case("sh(multi(2,@A,@B,@C))", "CA"),
    Case("sh(sortedmulti(2,@A,@B,@C))", "BC"),
    Case("wsh(multi(2,@A,@B,@C))", "AC"),
    Case("wsh(sortedmulti(3,@A,@B,@C))", "CAB"),
    Case("sh(wsh(sortedmulti(2,@A,@B,@C)))", "BA"),
    Case("wsh(pk(@A))", "A"),
    Case("wsh(pkh(@A))", "A"),
    Case("sh(wsh(pkh(@A)))", "A"),
    Case("wsh(and_v(v:pk(@A),older(10)))", "A", OLDER),
    Case("wsh(and_v(v:pk(@A),after(700000)))", "A", {"locktime": 700_000}),
    Case("wsh(or_d(pk(@A),and_v(v:pkh(@B),older(10))))", "B", OLDER),
    Case("wsh(or_d(pk(@A),and_v(v:pkh(@B),older(10))))", "A"),
    Case("wsh(andor(pk(@A),older(10),pk(@B)))", "B"),
    Case("wsh(or_i(and_v(v:pkh(@A),after(700000)),pk(@B)))", "A", {"locktime": 700_001}),
    Case("wsh(thresh(2,pk(@A),s:pk(@B),sln:older(10)))", "B", OLDER),
    Case("wsh(thresh(2,pk(@A),s:pk(@B),s:pk(@C)))", "CA"),
    Case("wsh(and_v(v:pk(@A),sha256(#H)))", "A", preimages="H"),
    Case("wsh(and_v(v:pk(@A),hash256(#D)))", "A", preimages="D"),
    Case("wsh(and_v(v:pk(@A),ripemd160(#R)))", "A", preimages="R"),
    Case("sh(wsh(and_v(v:pk(@A),hash160(#S))))", "A", preimages="S"),
    Case("tr(@A)", "A"),
    Case("rawtr(@A)", "A"),
    Case("tr(@A,pk(@B))", "A"),
    Case("tr(@A,pk(@B))", "B", leaf=0),
    Case("tr(NUMS,pk(@A))", "A", leaf=0),
    Case("tr(NUMS,{pk(@A),{pk(@B),pk(@C)}})", "C", leaf=2),
    Case("tr(NUMS,{and_v(v:pk(@B),pk(@A)),{pk(@b),pk(@C)}})", "AB", leaf=1),
    Case("tr(@C,{and_v(v:pk(@A),older(10)),pkh(@B)})", "A", OLDER, leaf=0),
    Case("tr(@C,{and_v(v:pk(@A),older(10)),pkh(@B)})", "B", OLDER, leaf=1),
    Case("tr(NUMS,multi_a(2,@A,@B,@C))", "AC", leaf=0),
    Case("tr(NUMS,sortedmulti_a(2,@A,@B,@C))", "BC", leaf=0),
    Case("tr(NUMS,and_v(v:pk(@A),sha256(#H)))", "A", preimages="H", leaf=0),
    Case("tr(NUMS,and_v(v:pk(@A),after(1700000000)))", "A", {"locktime": 1_700_000_000}, leaf=0),
]


def prepared(case: Case, cosigners: Cosigners, version: int) -> tuple[Descriptor, Psbt]:
    descriptor = cosigners.descriptor(case.template)
    psbt = question(descriptor, version=version, **case.options)
    one = psbt.inputs[0]
    for kind in case.preimages:
        mapping = {
            "H": one.sha256_preimages,
            "D": one.hash256_preimages,
            "R": one.ripemd160_preimages,
            "S": one.hash160_preimages,
        }[kind]
        mapping[{"H": sha256, "D": sha256d, "R": ripemd160, "S": hash160}[kind](SECRET)] = SECRET
    return descriptor, psbt


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.template}:{case.signers}")
def test_a_script_is_spent(case: Case, cosigners: Cosigners, kernel: Verify) -> None:
    version = 2 * (CASES.index(case) % 2)
    descriptor, psbt = prepared(case, cosigners, version)
    if len(case.signers) > 1:
        with pytest.raises(InvalidInputError) as caught:
            finalize(request_signatures(cosigners.signers[case.signers[0]], psbt))
        assert caught.value.code == "input.psbt.unsigned"
    parts = [request_signatures(cosigners.signers[name], psbt) for name in case.signers]
    whole = combine(parts)
    done = finalize(whole)
    assert Psbt.parse(done.serialize()) == done
    tx = extract(done)
    spent = [psbt.utxo(0)]
    kernel(tx, spent)
    kept = {key[0] for key in done.inputs[0].fields}
    assert kept <= {0x00, 0x01, 0x07, 0x08} | set(range(0x0E, 0x13))
    if case.leaf is not None:
        leaf = descriptor.spending(0, 0).leaves[case.leaf]
        assert tx.inputs[0].witness[-2:] == (leaf.script, leaf.control_block)
    for places in parts[0].inputs[0].partial_sigs, parts[0].inputs[0].tap_script_sigs:
        for key, signature in places.pairs():
            spoiled = whole.copy()
            one = spoiled.inputs[0]
            changed = signature[:40] + bytes((signature[40] ^ 1,)) + signature[41:]
            (one.partial_sigs if len(key) in (33, 65) else one.tap_script_sigs)[key] = changed
            with pytest.raises(InvalidSignatureError):
                finalize(spoiled)


@pytest.mark.parametrize(
    ("template", "signers", "options", "lacking"),
    [
        ("wsh(and_v(v:pk(@A),older(10)))", "A", {"sequence": 9}, "10 blocks"),
        ("wsh(and_v(v:pk(@A),after(700000)))", "A", {"locktime": 699_999}, "700000"),
        ("wsh(and_v(v:pk(@A),sha256(#H)))", "A", {}, "preimage"),
        ("wsh(and_v(v:pk(@A),pkh(@B)))", "A", {}, "signature"),
        ("wsh(multi(2,@A,@B,@C))", "A", {}, "1 of 2 signatures"),
        ("tr(NUMS,{multi_a(2,@A,@B),and_v(v:pk(@a),older(10))})", "A", {"sequence": 9}, "leaf 2"),
    ],
)
def test_row_55_what_lacks_is_named(
    template: str, signers: str, options: dict[str, int], lacking: str, cosigners: Cosigners
) -> None:
    psbt = question(cosigners.descriptor(template), **options)
    for name in signers:
        psbt = request_signatures(cosigners.signers[name], psbt)
    with pytest.raises(InvalidInputError, match=lacking) as caught:
        finalize(psbt)
    assert caught.value.code == "input.psbt.unsigned"


def test_the_cheapest_leaf_is_taken(cosigners: Cosigners, kernel: Verify) -> None:
    """Three leaves can be spent; the one nearest the root and shortest is."""
    descriptor = cosigners.descriptor("tr(NUMS,{{pk(@A),multi_a(1,@A,@B)},and_v(v:pk(@a),pk(@b))})")
    psbt = question(descriptor)
    for name in "AB":
        psbt = request_signatures(cosigners.signers[name], psbt)
    assert len(psbt.inputs[0].tap_script_sigs) == 5
    tx = extract(finalize(psbt))
    kernel(tx, [psbt.utxo(0)])
    assert tx.inputs[0].witness[-2] == descriptor.spending(0, 0).leaves[0].script


def test_row_53_signing_ends_what_may_be_added(cosigners: Cosigners) -> None:
    for template in ("wsh(multi(1,@A,@B))", "tr(@A)", "tr(NUMS,pk(@A))"):
        psbt = question(cosigners.descriptor(template), version=2)
        assert psbt.fields[b"\x06"] == b"\x03"
        for signed in (cosigners.signers["A"].sign_psbt(psbt), request_signatures(cosigners.signers["A"], psbt)):
            assert signed.fields[b"\x06"] == b"\x00"
            with pytest.raises(InvalidInputError) as caught:
                add_output(signed, TxOut(Sats(1000), b"\x51"))
            assert caught.value.code == "input.psbt.construction"


def moved(psbt: Psbt, script: bytes) -> Psbt:
    """The question about a coin of another script."""
    coin = previous(script, 77)
    spent = TxIn(OutPoint(coin.txid, 1), b"", psbt.tx.inputs[0].sequence)
    made = Psbt(Transaction(2, [spent], psbt.tx.outputs, psbt.tx.locktime))
    made.inputs[0].fields.update({key: value for key, value in psbt.inputs[0].fields.items() if key[0] > 1})
    made.inputs[0].non_witness_utxo = coin
    return made


def test_row_28_only_keys_that_stand_in_the_script_sign(cosigners: Cosigners) -> None:
    """A key named for a script that holds it only inside another push, and a leaf that does not hold it."""
    signer = cosigners.signers["A"]
    for template in ("wsh(multi(1,@B,@C))", "wsh(and_v(v:pk(@B),older(10)))", "sh(multi(1,@B))", "tr(NUMS,pk(@B))"):
        psbt = question(cosigners.descriptor(template))
        ours = cosigners.descriptor("wsh(pk(@A))").spending(0, 0)
        ((key, origin),) = ours.origins.items()
        one = psbt.inputs[0]
        if template.startswith("tr"):
            ((_, leaf),) = one.tap_leaf_scripts.pairs()
            one.tap_bip32_derivations[key[1:]] = ((leaf_hash(leaf[:-1]),), origin)
        else:
            one.bip32_derivations[key] = origin
        for ask in (signer.sign_psbt, lambda asked: request_signatures(signer, asked)):
            with pytest.raises(InvalidInputError) as caught:
                ask(psbt)
            assert caught.value.code == "input.psbt.key"


@pytest.mark.parametrize("inner", ["61", "ab", "5175"])
def test_a_script_nobody_can_analyse_is_not_signed(inner: str, cosigners: Cosigners) -> None:
    descriptor = cosigners.descriptor("wsh(pk(@A))")
    psbt = question(descriptor)
    script = bytes.fromhex(inner) + (psbt.inputs[0].witness_script or b"")
    made = moved(psbt, b"\x00\x20" + sha256(script))
    made.inputs[0].witness_script = script
    made.inputs[0].witness_utxo = made.utxo(0)
    with pytest.raises(UnsupportedError, match="no miniscript"):
        cosigners.signers["A"].sign_psbt(made)


def test_row_29_leaves_and_roots_that_the_output_does_not_commit_to(cosigners: Cosigners) -> None:
    signer = cosigners.signers["A"]
    psbt = question(cosigners.descriptor("tr(NUMS,{pk(@A),pk(@B)})"))
    other = cosigners.descriptor("tr(NUMS,{pk(@A),pk(@C)})").spending(0, 0)
    lied = psbt.copy()
    lied.inputs[0].tap_leaf_scripts[other.leaves[0].control_block] = other.leaves[0].script + b"\xc0"
    keyed = question(cosigners.descriptor("tr(@A,pk(@B))"))
    keyed.inputs[0].tap_merkle_root = bytes(32)
    for wrong in (lied, keyed):
        for ask in (signer.sign_psbt, lambda asked: request_signatures(signer, asked)):
            with pytest.raises(InvalidInputError) as caught:
                ask(wrong)
            assert caught.value.code in ("input.psbt.script", "input.psbt.key")
    with pytest.raises(InvalidInputError):
        finalize(lied)


def test_a_leaf_version_nobody_knows_is_neither_signed_nor_run(cosigners: Cosigners) -> None:
    from bursar.bitcoin.psbt import InputDigests

    psbt = question(cosigners.descriptor("tr(NUMS,pk(@A))"))
    digests = InputDigests(psbt)
    (leaf,) = digests.leaves(0)
    with pytest.raises(InvalidInputError, match="0xc2"):
        digests.leaf(0, TapLeaf(leaf.hash, leaf.script, 0xC2, leaf.control))


def test_row_56_the_second_cosigner_adds_to_the_first(cosigners: Cosigners) -> None:
    """One after another or side by side is the same; the one who signed already adds nothing more."""
    psbt = question(cosigners.descriptor("tr(NUMS,multi_a(2,@A,@B,@C))"), inputs=2, version=2)
    first = request_signatures(cosigners.signers["A"], psbt)
    both = request_signatures(cosigners.signers["B"], first)
    assert combine([request_signatures(cosigners.signers["B"], psbt), first]).serialize() != b""
    assert {*both.inputs[0].tap_script_sigs} >= {*first.inputs[0].tap_script_sigs}
    with pytest.raises(InvalidInputError) as caught:
        request_signatures(cosigners.signers["A"], first)
    assert caught.value.code == "input.psbt.nothing-to-sign"
