"""Spend plans: weights against transactions that the consensus library takes, and the choice of the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bursar.bitcoin.descriptors import Assets, Descriptor, LeafSpend, Spending, SpendPlan
from bursar.bitcoin.descriptors.taproot import leaf_hash
from bursar.bitcoin.miniscript import Context, Materials, Miniscript, satisfy
from bursar.bitcoin.script import ScriptType, classify, p2pkh, push
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.bitcoin.weight import input_weight
from bursar.crypto.hashes import hash160, sha256
from bursar.crypto.secp256k1 import (
    ecdsa_sign_der,
    public_key,
    schnorr_sign,
    taproot_tweak_secret,
    uncompressed,
)
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey

ROOT = ExtendedPrivateKey.from_seed(bytes(32), testnet=True)
SECRETS = [bytes((number,)) * 32 for number in range(1, 10)]
KEYS = [public_key(secret) for secret in SECRETS]
HEX = [key.hex() for key in KEYS]
LONG = [uncompressed(key).hex() for key in KEYS]
NUMS = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0"
PREIMAGE = b"\x07" * 32
XPUB = f"[{ROOT.fingerprint}]{ROOT.public()}"
RANGED = ROOT.derive((0, 5)).secret().expose()
BY_KEY = dict(zip(KEYS, SECRETS, strict=True)) | {public_key(RANGED): RANGED}
BY_KEY |= {uncompressed(key): secret for key, secret in BY_KEY.items()}
BY_KEY |= {key[1:33]: secret for key, secret in BY_KEY.items() if len(key) == 33}
LATE = Assets(preimages=frozenset((sha256(PREIMAGE),)), age=50, height=900, time=600_000_000, seconds=512 * 50)


class Spent:
    """A coin of a descriptor at index 5 of branch 0, spent by a plan with signatures of the plan's keys."""

    def __init__(self, descriptor: Descriptor, plan: SpendPlan) -> None:
        self._plan = plan
        self._spending: Spending = descriptor.spending(0, 5)
        self.output = TxOut(Sats(100_000), self._spending.script)
        sequence = 0xFFFFFFFD if plan.sequence is None else plan.sequence
        one = TxIn(OutPoint(Txid(bytes(32)), 1), b"", sequence, ())
        self._bare = Transaction(2, [one], [TxOut(Sats(90_000), b"\x51")], plan.locktime or 0)
        self._cache = SighashCache(self._bare, [self.output])
        script_sig, witness = self._proof()
        signed = TxIn(one.outpoint, script_sig, sequence, witness)
        self.transaction = Transaction(2, [signed], self._bare.outputs, self._bare.locktime)

    @property
    def weight(self) -> int:
        """Of the input alone, as a plan counts it."""
        frame = 4 * (8 + 1 + 1 + 8 + 1 + 1)
        segwit = bool(self.transaction.inputs[0].witness)
        return self.transaction.weight - frame - (2 if segwit else 0)

    def _proof(self) -> tuple[bytes, tuple[bytes, ...]]:
        found = self._spending
        if classify(found.script) is ScriptType.P2TR:
            return b"", self._taproot(found)
        script = found.redeem_script or found.script
        redeem = b"" if found.redeem_script is None else push(found.redeem_script)
        if found.witness_script is not None:
            digest = self._cache.segwit_v0(0, found.witness_script, 100_000)
            return redeem, (*self._stack(found.witness_script, Context.P2WSH, digest), found.witness_script)
        if classify(script) is ScriptType.P2WPKH:
            digest = self._cache.segwit_v0(0, p2pkh(script[2:]), 100_000)
            return redeem, (self._ecdsa(self._plan.keys[0], digest), self._plan.keys[0])
        digest = self._cache.legacy(0, script)
        signatures = [self._ecdsa(key, digest) for key in self._plan.keys]
        if classify(script) is ScriptType.MULTISIG:
            return b"\0" + b"".join([push(one) for one in signatures]) + redeem, ()
        behind = push(self._plan.keys[0]) if classify(script) is ScriptType.P2PKH else b""
        return push(signatures[0]) + behind + redeem, ()

    def _ecdsa(self, key: bytes, digest: bytes) -> bytes:
        return ecdsa_sign_der(BY_KEY[key], digest) + b"\x01"

    def _taproot(self, found: Spending) -> tuple[bytes, ...]:
        leaf: LeafSpend | None = self._plan.leaf
        if leaf is None:
            raw = found.merkle_root is None
            secret = BY_KEY[self._plan.keys[0]]
            secret = secret if raw else taproot_tweak_secret(secret, found.merkle_root or b"")
            return (schnorr_sign(secret, self._cache.taproot(0), bytes(32)),)
        assert leaf in found.leaves
        digest = self._cache.tapscript(0, leaf_hash(leaf.script))
        return (*self._stack(leaf.script, Context.TAPSCRIPT, digest), leaf.script, leaf.control_block)

    def _stack(self, script: bytes, context: Context, digest: bytes) -> tuple[bytes, ...]:
        signatures = {
            key: schnorr_sign(BY_KEY[key], digest, bytes(32)) if context.tapscript else self._ecdsa(key, digest)
            for key in self._plan.keys
        }
        hidden = [key[-context.key_size :] for key in KEYS]
        ms = Miniscript.from_script(script, context, hidden)
        preimages = dict.fromkeys(self._plan.preimages, PREIMAGE)
        one = self._bare.inputs[0]
        return satisfy(ms, Materials(signatures, preimages, one.sequence, self._bare.locktime)).stack


HASH = sha256(PREIMAGE).hex()
FORMS = [
    "pk({0})",
    "pk({L0})",
    "pkh({0})",
    "pkh({L0})",
    "wpkh({0})",
    "wpkh({X}/0/*)",
    "multi(2,{0},{L1},{2})",
    "sh(pk({0}))",
    "sh(pkh({0}))",
    "sh(wpkh({0}))",
    "sh(multi(2,{0},{1},{2}))",
    "sh(sortedmulti(1,{L0},{1}))",
    "sh(multi(3,{0},{1},{2},{3},{4},{5},{6},{7},{8}))",
    "wsh(pk({0}))",
    "wsh(pkh({0}))",
    "wsh(sortedmulti(2,{0},{1},{2},{3},{4},{5},{6},{7},{8}))",
    "sh(wsh(multi(2,{0},{1})))",
    "tr({0})",
    "rawtr({0})",
    "tr({X}/0/*,pk({1}))",
    "tr({N},pk({0}))",
    "tr({N},{{pkh({0}),multi_a(2,{1},{2},{3})}})",
    "tr({N},{{sortedmulti_a(1,{0},{1}),{{pk({2}),and_v(v:pk({X}/0/*),older(10))}}}})",
    "wsh(and_v(v:pk({0}),older(10)))",
    "wsh(and_v(v:pk({0}),after(500)))",
    "wsh(and_v(v:pkh({0}),after(500000500)))",
    "wsh(and_v(v:pk({0}),older(4194314)))",
    "wsh(andor(pk({0}),sha256({H}),and_v(v:pkh({1}),older(10))))",
    "sh(wsh(thresh(3,pk({0}),s:pk({1}),s:pk({2}),sln:older(10))))",
    "wsh(or_d(multi(2,{0},{1}),and_v(v:thresh(1,pkh({2}),a:pkh({3})),older(10))))",
    "wsh(t:or_c(pk({0}),v:multi(1,{1},{2})))",
    "tr({N},thresh(2,dv:older(10),s:pk({0}),s:pk({1})))",
    "tr({N},and_v(v:multi_a(2,{0},{1}),hash160({R})))",
]


def parsed(form: str) -> Descriptor:
    long = {f"L{place}": key for place, key in enumerate(LONG)}
    return Descriptor.parse(form.format(*HEX, X=XPUB, N=NUMS, H=HASH, R=hash160(PREIMAGE).hex(), **long))


ALL_HASHES = replace(LATE, preimages=frozenset((sha256(PREIMAGE), hash160(PREIMAGE))))


@pytest.mark.parametrize("form", FORMS)
def test_weights_are_those_of_transactions(form: str, kernel_verify: Callable[..., None]) -> None:
    descriptor = parsed(form)
    plan = descriptor.plan(0, 5, ALL_HASHES)
    spent = Spent(descriptor, plan)
    kernel_verify(spent.transaction, [spent.output])
    # a signature of an even chance is one byte shorter than the longest there can be
    scale = 1 if spent.transaction.inputs[0].witness else 4
    signatures = 0 if form.startswith(("tr", "rawtr")) else len(plan.keys)
    assert 0 <= plan.input_weight - spent.weight <= scale * 2 * signatures
    assert plan.input_weight <= descriptor.max_input_weight(0, 5)


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("pkh({0})", ScriptType.P2PKH),
        ("wpkh({0})", ScriptType.P2WPKH),
        ("sh(wpkh({0}))", ScriptType.P2SH_P2WPKH),
        ("tr({0})", ScriptType.P2TR),
    ],
)
def test_single_keys_weigh_what_the_weight_table_says(form: str, kind: ScriptType) -> None:
    assert parsed(form).plan().input_weight == parsed(form).max_input_weight() == input_weight(kind)


VAULT = "wsh(or_d(multi(2,{0},{1},{2}),and_v(v:pkh({3}),older(100))))"


def only(*places: int) -> frozenset[bytes]:
    return frozenset(KEYS[place] for place in places)


def test_the_way_depends_on_what_is_at_hand() -> None:
    descriptor = parsed(VAULT)
    now = descriptor.plan(0, 0, Assets(keys=only(0, 2, 3)))
    assert (now.keys, now.sequence) == ((KEYS[0], KEYS[2]), None)
    late = descriptor.plan(0, 0, Assets(keys=only(0, 3), age=100))
    assert (late.keys, late.sequence, late.locktime) == ((KEYS[3],), 100, None)
    for lacking in (Assets(keys=only(0, 3), age=99), Assets(keys=only(0, 3)), Assets(keys=frozenset())):
        with pytest.raises(InvalidInputError) as caught:
            descriptor.plan(0, 0, lacking)
        assert caught.value.code == "input.descriptor.plan"


def test_keys_are_known_by_bytes_or_by_their_masters_fingerprint() -> None:
    descriptor = parsed("wsh(and_v(v:pk({X}/0/*),pk({1})))")
    for keys in (
        {ROOT.fingerprint, KEYS[1]},
        {public_key(RANGED), KEYS[1]},
        {ROOT.fingerprint, hash160(KEYS[1])[:4]},
    ):
        assert descriptor.plan(0, 5, Assets(keys=frozenset(keys))).keys == (public_key(RANGED), KEYS[1])
    with pytest.raises(InvalidInputError):
        descriptor.plan(0, 5, Assets(keys=frozenset((bytes(ROOT.fingerprint),))))
    taproot = parsed("tr({0},pk({1}))")
    assert taproot.plan(0, 0, Assets(keys=frozenset((KEYS[1][1:],)))).leaf is not None


def test_musig_needs_every_participant() -> None:
    descriptor = parsed("tr(musig({0},{1}),and_v(v:pk({0}),older(10)))")
    assert descriptor.plan().leaf is None
    assert descriptor.plan(0, 0, Assets(keys=only(0, 1))).leaf is None
    assert descriptor.plan(0, 0, Assets(keys=only(0), age=10)).leaf is not None


def test_the_key_of_nobody_signs_nothing() -> None:
    descriptor = parsed("tr({N},{{pk({0}),multi_a(2,{1},{2})}})")
    plan = descriptor.plan()
    assert plan.leaf is not None
    assert plan.leaf.script == b"\x20" + KEYS[0][1:] + b"\xac"
    with pytest.raises(InvalidInputError):
        parsed("tr({N})").plan()


@pytest.mark.parametrize(
    ("lock", "assets", "opens"),
    [
        ("older(10)", Assets(age=10), True),
        ("older(10)", Assets(age=9), False),
        ("older(10)", Assets(), False),
        ("older(4194306)", Assets(seconds=1024), True),
        ("older(4194306)", Assets(seconds=1023, age=99), False),
        ("after(500)", Assets(height=500), True),
        ("after(500)", Assets(height=499), False),
        ("after(500000500)", Assets(time=500000501), True),
        ("after(500000500)", Assets(time=500000500, height=900), False),
        ("older(65536)", Assets(), True),  # consensus looks at the low 16 bits only
    ],
)
def test_locks_open_for_the_next_block(lock: str, assets: Assets, opens: bool) -> None:
    descriptor = parsed("wsh(and_v(v:pk({0})," + lock + "))")
    if opens:
        assert descriptor.plan(0, 0, assets).keys == (KEYS[0],)
    else:
        with pytest.raises(InvalidInputError):
            descriptor.plan(0, 0, assets)


def test_several_locks_on_one_way_give_the_latest() -> None:
    descriptor = parsed("wsh(and_v(v:pk({0}),and_v(v:older(7),and_v(v:older(3),and_v(v:after(20),after(10))))))")
    plan = descriptor.plan(0, 0, LATE)
    assert (plan.sequence, plan.locktime) == (7, 20)


@pytest.mark.parametrize("text", ["raw(51)", "addr(bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4)", "combo({0})"])
def test_scripts_that_tell_nothing_are_not_planned(text: str) -> None:
    for call in (parsed(text).plan, parsed(text).max_input_weight):
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert caught.value.code == "input.descriptor.plan"


def test_plans_reject_places_that_are_none() -> None:
    with pytest.raises(InvalidInputError):
        parsed("wpkh({X}/0/*)").plan(1, 0)
    with pytest.raises(InvalidInputError):
        parsed("wpkh({X}/0/*)").max_input_weight(0, -1)
