"""Witnesses for miniscript: Bitcoin Core's consensus library takes each, and takes none that was changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from bursar.bitcoin.descriptors.taproot import leaf_hash
from bursar.bitcoin.miniscript import Context, Materials, Miniscript, Satisfaction, satisfy
from bursar.bitcoin.miniscript.building import Builder
from bursar.bitcoin.miniscript.fragments import ARITIES, Fragment
from bursar.bitcoin.miniscript.properties import Mistyped, letters
from bursar.bitcoin.miniscript.satisfaction import missing
from bursar.bitcoin.script import p2tr, p2wsh
from bursar.bitcoin.sighash import SighashCache
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.hashes import hash160, ripemd160, sha256, sha256d
from bursar.crypto.secp256k1 import ecdsa_sign_der, public_key, schnorr_sign, taproot_output_key
from bursar.errors import InvalidInputError

NUMS = bytes.fromhex("50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0")
SECRETS = {public_key(bytes((number,)) * 32): bytes((number,)) * 32 for number in range(1, 60)}
PUBLIC = list(SECRETS)
BY_X_ONLY = {key[1:]: secret for key, secret in SECRETS.items()}
HASHES = {"sha256": sha256, "hash256": sha256d, "ripemd160": ripemd160, "hash160": hash160}
PREIMAGES = [bytes((number,)) * 32 for number in range(4)]
OLDER = (1, 5, 20, 0x400003, 0x400009)
AFTER = (10, 100, 500_000_010, 500_000_100)
SEQUENCES = (0xFFFFFFFD, 0xFFFFFFFF, 0, *OLDER)
Program = list[Fragment[int]]


class Spender:
    """One input that spends an output of a miniscript, and whoever judges it."""

    def __init__(self, ms: Miniscript[bytes], sequence: int, locktime: int, verify: Callable[..., None]) -> None:
        self._ms, self._sequence, self._locktime, self._verify = ms, sequence, locktime, verify
        script = ms.script
        self._tail: tuple[bytes, ...] = (script,)
        if ms.context.tapscript:
            output, parity = taproot_output_key(NUMS, leaf_hash(script))
            self._tail = (script, bytes((0xC0 + parity,)) + NUMS)
            self._spent = TxOut(Sats(100_000), p2tr(output))
        else:
            self._spent = TxOut(Sats(100_000), p2wsh(sha256(script)))

    def _transaction(self, witness: tuple[bytes, ...] = ()) -> Transaction:
        one = TxIn(OutPoint(Txid(bytes(32)), 1), b"", self._sequence, witness)
        return Transaction(2, [one], [TxOut(Sats(90_000), b"\x51")], self._locktime)

    def signatures(self) -> dict[bytes, bytes]:
        cache = SighashCache(self._transaction(), [self._spent])
        if self._ms.context.tapscript:
            digest = cache.tapscript(0, leaf_hash(self._ms.script))
            return {key: schnorr_sign(BY_X_ONLY[key], digest, bytes(32)) for key in self._ms.keys}
        digest = cache.segwit_v0(0, self._ms.script, 100_000)
        return {key: ecdsa_sign_der(SECRETS[key], digest) + b"\x01" for key in self._ms.keys}

    def accepted(self, stack: tuple[bytes, ...]) -> bool:
        import pbk

        try:
            self._verify(self._transaction((*stack, *self._tail)), [self._spent])
        except (pbk.ScriptVerifyException, AssertionError):
            return False
        return True


def leaf(rng: random.Random, keys: Iterator[int], *, tapscript: bool) -> Program:
    kind = rng.choice(("pk_k", "pk_k", "pk_k", "pk_h", "pk_h", "older", "after", "hash", "0", "1", "multi", "multi"))
    if kind.startswith("pk"):
        return [Fragment(kind, keys=(next(keys),))]
    if kind in ("older", "after"):
        return [Fragment(kind, number=rng.choice(OLDER if kind == "older" else AFTER))]
    if kind == "hash":
        name = rng.choice(sorted(HASHES))
        return [Fragment(name, data=HASHES[name](rng.choice(PREIMAGES)))]
    if kind == "multi":
        size = rng.randrange(1, 4)
        names = tuple([next(keys) for _ in range(size)])
        return [Fragment("multi_a" if tapscript else "multi", number=rng.randrange(1, size + 1), keys=names)]
    return [Fragment(kind)]


def grown(rng: random.Random, context: Context, rounds: int = 110) -> Miniscript[bytes] | None:
    """A random expression, grown from random parts that fit each other."""
    keys = count()

    def kind_of(program: Program) -> str:
        builder: Builder[int] = Builder(context)
        for one in program:
            builder.add(one)
        return letters(builder.open[0])

    def again() -> Program:  # a part over keys of its own
        part = rng.choice(parts)[0]
        return [
            Fragment(one.name, one.arity, one.number, one.data, tuple([next(keys) for _ in one.keys])) for one in part
        ]

    parts = [(part, kind_of(part)) for part in [leaf(rng, keys, tapscript=context.tapscript) for _ in range(14)]]
    for _ in range(rounds):
        name = rng.choice((*sorted(ARITIES), *"cvjtlu", "andor", "thresh", "thresh"))
        if name in "tlu":
            zero: Program = [Fragment("1" if name == "t" else "0")]
            program = [*zero, *again()] if name == "l" else [*again(), *zero]
            program.append(Fragment("and_v" if name == "t" else "or_i", 2))
        else:
            size = rng.randrange(1, 5) if name == "thresh" else ARITIES[name]
            program = [one for _ in range(size) for one in again()]
            program.append(Fragment(name, size, rng.randrange(1, size + 1) if name == "thresh" else 0))
        if len(program) <= 40:
            try:
                parts.append((program, kind_of(program)))
            except Mistyped:
                continue
    whole = [program for program, kind in parts if kind[0] == "B" and len(program) > 3]
    return named(rng.choice(whole), context) if whole else None


def named(program: Program, context: Context) -> Miniscript[bytes] | None:
    numbers = list(dict.fromkeys([key for one in program for key in one.keys]))
    if len(numbers) > len(PUBLIC):
        return None
    builder: Builder[bytes] = Builder(context)
    for one in program:
        keys = tuple([PUBLIC[numbers.index(key)][-context.key_size :] for key in one.keys])
        builder.add(Fragment(one.name, one.arity, one.number, one.data, keys))
    return Miniscript.of(builder.finish())


def met(ms: Miniscript[bytes], materials: Materials) -> bool:
    """Whether the conditions are met, by their plain meaning."""
    stack: list[bool] = []
    for one in ms.fragments:
        of = stack[len(stack) - one.arity :]
        del stack[len(stack) - one.arity :]
        if one.keys:
            found = sum(key in materials.signatures for key in one.keys) >= (one.number or 1)
        elif one.name in HASHES:
            found = one.data in materials.preimages
        elif one.name in ("older", "after"):
            found = materials.older(one.number) if one.name == "older" else materials.after(one.number)
        elif one.name == "andor":
            found = (of[0] and of[1]) or of[2]
        elif one.name == "thresh":
            found = sum(of) >= one.number
        else:
            found = any(of) if one.name.startswith("or") else all(of) if of else one.name == "1"
        stack.append(found)
    return stack[0]


def changed(stack: tuple[bytes, ...], *, tapscript: bool) -> Iterator[tuple[bytes, ...]]:
    """What a third party may try under the rules of consensus: without an element, with another one in its place."""
    for place, one in enumerate(stack):
        yield stack[:place] + stack[place + 1 :]
        others: list[bytes] = []
        if len(one) > 1:
            others = [b"", one[:-2] + bytes((one[-2] ^ 1,)) + one[-1:]]
        elif tapscript:
            others = [b"" if one else b"\x01"]
        for other in others:
            yield (*stack[:place], other, *stack[place + 1 :])


@pytest.mark.parametrize("seed", range(4))
def test_the_consensus_library_takes_every_witness_and_no_changed_one(
    seed: int, kernel_verify: Callable[..., None]
) -> None:
    rng = random.Random(seed)
    satisfied = unsatisfied = refused = 0
    while satisfied < 120 or unsatisfied < 10:
        context = rng.choice(list(Context))
        ms = grown(rng, context)
        if ms is None or not ms.sane:
            continue
        read = Miniscript.from_script(ms.script, context, ms.keys)
        assert (read.script, read.type) == (ms.script, ms.type)
        assert Miniscript.parse(ms.text, context) == ms
        for _ in range(5):
            sequence, locktime = rng.choice(SEQUENCES), rng.choice((0, *AFTER))
            spender = Spender(ms, sequence, locktime, kernel_verify)
            odds = rng.choice((0.3, 0.7, 1.0))
            signatures = {key: one for key, one in spender.signatures().items() if rng.random() < odds}
            known = {hashed(one): one for hashed in HASHES.values() for one in PREIMAGES if rng.random() < odds}
            materials = Materials(signatures, known, sequence, locktime)
            try:
                found = satisfy(read, materials)
            except InvalidInputError as error:
                code, message = error.code, error.message
            else:
                code = message = ""
            if code:
                assert code == "input.miniscript.unsatisfied"
                assert not met(ms, materials), ms.text
                assert missing(ms, materials) or "nothing ever does" in message
                unsatisfied += 1
                continue
            satisfied += 1
            assert met(ms, materials), ms.text
            assert spender.accepted(found.stack), (ms.text, materials)
            assert ms.limits.witness is not None
            assert sum([1 + len(one) for one in found.stack]) <= ms.limits.witness
            if satisfied % 4 == 0:
                for other in changed(found.stack, tapscript=context.tapscript):
                    refused += 1
                    assert not spender.accepted(other), (ms.text, found, other)
    assert refused > 50


A, B, C = [key.hex() for key in PUBLIC[:3]]
KEY = {name: bytes.fromhex(name) for name in (A, B, C)}
SIGNATURE = {name: bytes((place,)) * 71 for place, name in enumerate((A, B, C), 1)}
SECRET = bytes(32)


def witness(text: str, signing: str = "", **rest: int | bool) -> tuple[bytes, ...]:
    given = {A: "a" in signing, B: "b" in signing, C: "c" in signing}
    malleable = bool(rest.pop("malleable", False))
    preimages = {sha256(SECRET): SECRET} if rest.pop("preimage", False) else {}
    materials = Materials(
        {KEY[name]: SIGNATURE[name] for name, one in given.items() if one},
        preimages,
        **rest,  # type: ignore[arg-type]
    )
    return satisfy(Miniscript.parse(text, Context.P2WSH), materials, malleable=malleable).stack


def test_the_cheapest_way_is_taken() -> None:
    text = f"andor(pk({A}),older(10),and_v(v:pkh({B}),pk({C})))"
    assert witness(text, "abc", sequence=10) == (SIGNATURE[A],)
    assert witness(text, "abc", sequence=9) == (SIGNATURE[C], SIGNATURE[B], KEY[B], b"")
    text = f"thresh(2,pk({A}),s:pk({B}),sln:older(10))"
    assert sorted(witness(text, "ab", sequence=10), key=len)[:2] == [b"", b""]
    assert witness(text, "ab", sequence=9) == (b"\x01", SIGNATURE[B], SIGNATURE[A])


def test_a_preimage_anyone_can_show_is_not_replaced_by_a_signature() -> None:
    # with both at hand, a third party who knows the preimage could replace the signature of B
    text = f"and_v(v:pk({A}),or_i(sha256({sha256(SECRET).hex()}),pk({B})))"
    assert witness(text, "ab", preimage=True) == (SECRET, b"\x01", SIGNATURE[A])
    assert witness(text, "ab") == (SIGNATURE[B], b"", SIGNATURE[A])


@pytest.mark.parametrize(
    ("text", "signing", "lacks"),
    [
        (f"and_v(v:pk({A}),pk({B}))", "a", f"a signature of the key {B}"),
        (f"and_v(v:pk({A}),older(10))", "a", "an input sequence of 10 blocks"),
        (f"and_v(v:pk({A}),older(4194307))", "a", "an input sequence of 3 units of 512 seconds"),
        (f"and_v(v:pk({A}),after(10))", "a", "a locktime of 10 blocks"),
        (f"and_v(v:pk({A}),after(500000010))", "a", "a locktime of 500000010 seconds"),
        (f"and_v(v:pk({A}),sha256({sha256(SECRET).hex()}))", "a", f"the preimage of {sha256(SECRET).hex()}"),
        (f"multi(2,{A},{B},{C})", "", "a signature of the key"),
        (f"and_v(v:pk({A}),0)", "a", "nothing ever does"),
    ],
)
def test_what_lacks_is_named(text: str, signing: str, lacks: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        witness(text, signing)
    assert caught.value.code == "input.miniscript.unsatisfied"
    assert lacks in caught.value.message


def test_a_hashed_key_lacks_by_its_hash() -> None:
    script = Miniscript.parse(f"pkh({A})", Context.P2WSH).script
    found = Miniscript.from_script(script, Context.P2WSH)
    assert missing(found, Materials()) == (f"a signature of the key with the hash {hash160(KEY[A]).hex()}",)
    assert satisfy(found, Materials({KEY[A]: SIGNATURE[A]})) == Satisfaction((SIGNATURE[A], KEY[A]))
    dissatisfied = Miniscript.from_script(
        Miniscript.parse(f"or_d(pkh({A}),pk({B}))", Context.P2WSH).script, Context.P2WSH
    )
    with pytest.raises(InvalidInputError, match=f"lacks the public key with the hash {hash160(KEY[A]).hex()}"):
        satisfy(dissatisfied, Materials({KEY[B]: SIGNATURE[B]}))
    known = Materials({KEY[B]: SIGNATURE[B]}, keys=frozenset((KEY[A],)))
    assert satisfy(dissatisfied, known).stack == (SIGNATURE[B], b"", KEY[A])


def test_malleable_witnesses_only_on_request() -> None:
    for text in (f"or_i(pk({A}),older(10))", f"or_b(sha256({sha256(SECRET).hex()}),s:pk({A}))", "older(10)"):
        with pytest.raises(InvalidInputError, match="others could change"):
            witness(text, "a" if "or_b" in text else "", sequence=10)
        assert witness(text, "a" if "or_b" in text else "", sequence=10, malleable=True) is not None


@pytest.mark.parametrize(
    ("lock", "sequence", "version", "opens"),
    [
        (10, 10, 2, True),
        (10, 9, 2, False),
        (10, 11, 2, True),
        (10, 10, 1, False),
        (10, 0x40000A, 2, False),
        (0x40000A, 0x40000B, 2, True),
        (10, 0x8000000A, 2, False),
        (10, 0xFFFFFFFF, 2, False),
        (65536, 0, 2, True),
        (10, 0x3F00000A, 2, True),
    ],
)
def test_relative_locks_open_by_bip_112(lock: int, sequence: int, version: int, opens: bool) -> None:
    assert Materials(sequence=sequence, version=version).older(lock) is opens


def test_absolute_locks_open_by_bip_65() -> None:
    assert Materials(sequence=0, locktime=10).after(10)
    assert not Materials(sequence=0, locktime=9).after(10)
    assert not Materials(sequence=0xFFFFFFFF, locktime=10).after(10)
    assert not Materials(sequence=0, locktime=500_000_000).after(10)
    assert not Materials(sequence=0, locktime=499_999_999).after(500_000_000)
