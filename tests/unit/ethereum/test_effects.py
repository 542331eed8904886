"""Calls inside calls, written by eth-abi and read here; functions held against web3's decoder of contracts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import decode as peer_decode
from eth_abi.abi import encode as peer_encode
from eth_abi.grammar import parse
from eth_abi.tools._strategies import get_abi_strategy
from eth_utils.abi import function_signature_to_4byte_selector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3 import Web3

from bursar.ethereum.abi import AbiFunction, AbiType, Kind
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.effects.batch_calls import MULTICALLS
from bursar.ethereum.effects.functions import arguments, names, readers
from bursar.ethereum.effects.model import Allowance, Effects, Movement
from bursar.ethereum.effects.unfolding import DEEPEST, MOST_CALLS
from bursar.ethereum.review import effects
from bursar.ethereum.token import Token
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import MAX_UINT256, Wei

Make = Callable[..., UnsignedTransaction]
OWN, PAYEE, COIN, OTHER = (Address(bytes((number,)) * 20) for number in (0xA1, 0xB0, 0xC0, 0xD1))
SAFE, ACCOUNT = Address(b"\x5a" * 20), Address(b"\xac" * 20)
BATCH = Address.from_text("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526")
MULTICALL3 = Address.from_text("0xcA11bde05977b3631167028862bE2a173976CA11")
USDC = Token(1, COIN, "USDC", 6)
CATS = Token(1, OTHER, "CATS", 0, "erc721")
TOKENS = {COIN: USDC, OTHER: CATS}
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
ONE = settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))


def call(signature: str, *values: Any) -> bytes:
    """Calldata by eth-abi and eth-utils alone; addresses as their texts."""
    inside = signature[signature.index("(") :]
    kinds = [part.to_type_str() for part in parse(inside).components] if inside != "()" else []
    return function_signature_to_4byte_selector(signature) + peer_encode(kinds, values)


def read(make: Make, to: Address, data: bytes, value: int = 0, **known: Any) -> Effects:
    return effects(make(to=to, data=data, value=Wei(value)), sender=OWN, tokens={**TOKENS, **known.get("tokens", {})})


def codes(found: Effects) -> set[str]:
    return {one.code for one in found.cautions}


FUNCTIONS = sorted([function for function, _ in readers().values()], key=lambda one: one.signature)


@pytest.mark.parametrize(
    ("signature", "selector"),
    [
        ("transfer(address,uint256)", "a9059cbb"),
        ("safeTransferFrom(address,address,uint256)", "42842e0e"),
        ("safeTransferFrom(address,address,uint256,bytes)", "b88d4fde"),
        ("safeTransferFrom(address,address,uint256,uint256,bytes)", "f242432a"),
        ("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", "2eb2c2d6"),
        ("setApprovalForAll(address,bool)", "a22cb465"),
        ("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", "d505accf"),
        ("permit(address,address,uint256,uint256,bool,uint8,bytes32,bytes32)", "8fcbaf0c"),
        ("multicall(bytes[])", "ac9650d8"),
        ("multicall(uint256,bytes[])", "5ae401dc"),
        ("aggregate3((address,bool,bytes)[])", "82ad56cb"),
        ("aggregate3Value((address,bool,uint256,bytes)[])", "174dea71"),
        ("execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)", "6a761202"),
        ("execute(address,uint256,bytes)", "b61d27f6"),
        ("executeBatch(address[],uint256[],bytes[])", "47e1da2a"),
        ("approve(address,address,uint160,uint48)", "87517c45"),
        ("permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)", "30f28b7a"),
        ("deposit()", "d0e30db0"),
        ("withdraw(uint256)", "2e1a7d4d"),
    ],
)
def test_selectors_everybody_knows(signature: str, selector: str) -> None:
    assert readers()[bytes.fromhex(selector)][0].signature == signature


def test_selectors_are_those_of_eth_utils_and_none_stands_twice() -> None:
    for known in ({key: pair[0] for key, pair in readers().items()}, names()):
        for selector, function in known.items():
            assert function_signature_to_4byte_selector(function.signature) == selector
    assert not readers().keys() & names().keys()
    assert len(readers()) >= 60
    assert len(names()) >= 120


def as_json(function: AbiFunction) -> dict[str, Any]:
    def entry(kind: AbiType, name: str) -> dict[str, Any]:
        arrays = "".join("[]" if level is None else f"[{level}]" for level in kind.levels)
        if kind.kind is Kind.TUPLE:
            parts = [entry(part, f"p{number}") for number, part in enumerate(kind.components)]
            return {"name": name, "type": f"tuple{arrays}", "components": parts}
        return {"name": name, "type": str(kind)}

    inputs = [entry(one.type, f"a{number}") for number, one in enumerate(function.inputs)]
    return {"type": "function", "name": function.name, "inputs": inputs, "outputs": [], "stateMutability": "payable"}


def plain(value: Any) -> Any:
    """What web3 decodes as what is decoded here: tuples, addresses as texts."""
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, dict):
        return tuple(plain(one) for one in value.values())
    if isinstance(value, list | tuple):
        return tuple(plain(one) for one in value)
    return value


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.signature[:60])
def test_arguments_are_what_web3_decodes(function: AbiFunction, make: Make) -> None:
    types = [str(one.type) for one in function.inputs]
    contract = Web3().eth.contract(abi=[as_json(function)])

    @ONE
    @given(st.tuples(*[get_abi_strategy(one) for one in types]))
    def check(values: tuple[Any, ...]) -> None:
        data = function.selector + peer_encode(types, values)
        _, theirs = contract.decode_function_input(data)
        assert plain(arguments(function, data)) == plain(list(theirs.values()))
        found = read(make, COIN, data)
        assert found.calls[0].name in (function.name, None)
        cut = read(make, COIN, data[:-1]) if types else None
        assert cut is None or not cut.decoded
        assert not read(make, COIN, data + b"\0").decoded

    check()


# a tree of calls: each is (to, value, data, movements, ether that the caller spends)
class Tree:
    """One call and what it is known to move, made without the code under test."""

    def __init__(self, to: Address, value: int, data: bytes, moved: list[tuple[Any, ...]]) -> None:
        self.to, self.value, self.data, self.moved = to, value, data, moved

    def paid(self, owner: Address | None) -> list[tuple[Any, ...]]:
        return [(self.to, self.value, None, owner), *self.moved] if self.value else self.moved


parties = st.integers(1, 1 << 100).map(lambda number: Address(number.to_bytes(20, "big")))
amounts = st.integers(0, 1 << 90)


def leaf(caller: Address | None) -> st.SearchStrategy[Tree]:
    def ether(to: Address, value: int) -> Tree:
        return Tree(to, value, b"", [])

    def transfer(to: Address, amount: int) -> Tree:
        return Tree(COIN, 0, call("transfer(address,uint256)", str(to), amount), [(to, amount, COIN, caller)])

    def numbered(to: Address, number: int) -> Tree:
        data = call("safeTransferFrom(address,address,uint256)", str(caller or OWN), str(to), number)
        return Tree(OTHER, 0, data, [(to, 1, OTHER, caller)])

    return st.one_of(*[st.builds(make, parties, amounts) for make in (ether, transfer, numbered)])


def tree(depth: int, caller: Address | None = None) -> st.SearchStrategy[Tree]:
    """A call by ``caller``, ``None`` for the sender."""
    if not depth:
        return leaf(caller)

    def inner(who: Address | None) -> st.SearchStrategy[list[Tree]]:
        return st.lists(tree(depth - 1, who), max_size=3)

    def moved(parts: list[Tree], owner: Address | None) -> list[tuple[Any, ...]]:
        return [one for part in parts for one in part.paid(owner)]

    def multicall3(parts: list[Tree], kept: int) -> Tree:
        rows = [(str(part.to), False, part.value, part.data) for part in parts]
        spent = sum(part.value for part in parts)
        data = call("aggregate3Value((address,bool,uint256,bytes)[])", rows)
        own = [(MULTICALL3, kept, None, caller)] if kept else []
        one = Tree(MULTICALL3, spent + kept, data, [*own, *moved(parts, caller)])
        one.paid = lambda owner: one.moved  # type: ignore[method-assign]
        return one

    def account(parts: list[Tree]) -> Tree:
        lists = ([str(p.to) for p in parts], [p.value for p in parts], [p.data for p in parts])
        return Tree(ACCOUNT, 0, call("executeBatch(address[],uint256[],bytes[])", *lists), moved(parts, ACCOUNT))

    def safe(part: Tree) -> Tree:
        return Tree(SAFE, 0, executed(part.to, part.value, part.data, 0), moved([part], SAFE))

    def batch(parts: list[Tree]) -> Tree:
        packed = b"".join(
            b"\0" + part.to.value + part.value.to_bytes(32, "big") + len(part.data).to_bytes(32, "big") + part.data
            for part in parts
        )
        return Tree(SAFE, 0, executed(BATCH, 0, call("multiSend(bytes)", packed), 1), moved(parts, SAFE))

    return st.one_of(
        leaf(caller),
        st.builds(multicall3, inner(MULTICALL3), amounts).filter(lambda one: caller is None),
        st.builds(account, inner(ACCOUNT)),
        st.builds(safe, tree(depth - 1, SAFE)),
        st.builds(batch, st.lists(tree(depth - 1, SAFE), min_size=1, max_size=3)),
    )


def executed(to: Address, value: int, data: bytes, operation: int) -> bytes:
    nobody = str(ZERO_ADDRESS)
    signature = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
    return call(signature, str(to), value, data, operation, 0, 0, 0, nobody, nobody, b"sig")


@FEW
@given(whole=tree(3))
def test_every_movement_of_a_tree_of_calls_is_found(make: Make, whole: Tree) -> None:
    found = read(make, whole.to, whole.data, whole.value)
    assert found.decoded
    told = [(one.recipient, one.amount, one.contract, one.owner) for one in found.movements]
    expected = whole.paid(None)
    if not whole.data and not whole.value:
        expected = [(whole.to, 0, None, None)]
    assert sorted(told, key=repr) == sorted(expected, key=repr)


@FEW
@given(selector=st.sampled_from(sorted(readers())), rest=st.binary(max_size=300))
def test_garbage_behind_a_known_selector_is_opaque_or_canonical(make: Make, selector: bytes, rest: bytes) -> None:
    found = read(make, COIN, selector + rest)
    if found.decoded:
        function = readers()[selector][0]
        types = [str(one.type) for one in function.inputs]
        assert peer_encode(types, peer_decode(types, rest)) == rest
    else:
        assert codes(found) & {"opaque-call", "delegate-call", "safe-change", "creation", "unknown-token"}


def test_an_nft_and_a_token_share_functions_and_the_registry_tells_them_apart(make: Make) -> None:
    moved = call("transferFrom(address,address,uint256)", str(OWN), str(PAYEE), 7)
    assert read(make, COIN, moved).movements == (Movement(PAYEE, 7, COIN, USDC),)
    assert read(make, OTHER, moved).movements == (Movement(PAYEE, 1, OTHER, CATS, None, 7),)
    unknown = read(make, PAYEE, moved)
    assert unknown.movements == (Movement(PAYEE, 7, PAYEE),)
    assert codes(unknown) >= {"unknown-token", "amount-or-number"}
    allowed = call("approve(address,uint256)", str(PAYEE), 7)
    assert read(make, OTHER, allowed).allowances == (Allowance(PAYEE, 1, OTHER, CATS, False, 7),)
    assert read(make, OTHER, call("approve(address,uint256)", str(ZERO_ADDRESS), 7)).allowances[0].amount == 0
    shelf = Token(1, PAYEE, "SHELF", 0, "erc1155")
    assert not read(make, PAYEE, moved, tokens={PAYEE: shelf}).decoded


def test_a_wrapped_coin_is_one_that_is_registered(make: Make) -> None:
    wrapped = read(make, COIN, call("deposit()"), 5)
    assert wrapped.movements == (Movement(COIN, 5),)
    assert codes(wrapped) == {"wrap", "fee-above-value"}
    back = read(make, COIN, call("withdraw(uint256)", 5))
    assert back.movements == (Movement(COIN, 5, COIN, USDC),)
    assert codes(back) == {"unwrap"}
    for data in (call("deposit()"), call("withdraw(uint256)", 5)):
        assert not read(make, PAYEE, data).decoded


def test_ether_to_a_batch_is_what_it_passes_on_and_what_it_keeps(make: Make) -> None:
    rows = [(str(PAYEE), False, 7, b""), (str(OTHER), False, 3, b"")]
    data = call("aggregate3Value((address,bool,uint256,bytes)[])", rows)
    found = read(make, MULTICALL3, data, 12)
    assert MULTICALL3 in MULTICALLS
    assert found.movements == (Movement(MULTICALL3, 2), Movement(PAYEE, 7), Movement(OTHER, 3))
    short = read(make, MULTICALL3, data, 9)  # it spends what it does not get
    assert short.movements[0] == Movement(MULTICALL3, 9)
    assert {one.owner for one in short.movements[1:]} == {MULTICALL3}


def test_operations_of_smart_accounts_are_unfolded(make: Make) -> None:
    inner = call("execute(address,uint256,bytes)", str(PAYEE), 5, b"")
    halves = (10).to_bytes(16, "big") + (20).to_bytes(16, "big")
    packed = (str(ACCOUNT), 0, b"", inner, halves, 30, (1).to_bytes(16, "big") + (2).to_bytes(16, "big"), b"", b"")
    fields = "(address,uint256,bytes,bytes,bytes32,uint256,bytes32,bytes,bytes)[]"
    found = read(make, OTHER, call(f"handleOps({fields},address)", [packed], str(OWN)))
    assert found.movements == (Movement(OWN, 120, owner=ACCOUNT), Movement(PAYEE, 5, owner=ACCOUNT))
    older = (str(ACCOUNT), 0, b"", inner, 10, 20, 30, 2, 1, b"", b"")
    fields = "(address,uint256,bytes,bytes,uint256,uint256,uint256,uint256,uint256,bytes,bytes)[]"
    found = read(make, OTHER, call(f"handleOps({fields},address)", [older], str(OWN)))
    assert found.movements == (Movement(OWN, 120, owner=ACCOUNT), Movement(PAYEE, 5, owner=ACCOUNT))
    made = (*older[:2], b"\x01", *older[3:])
    assert not read(make, OTHER, call(f"handleOps({fields},address)", [made], str(OWN))).decoded


@pytest.mark.parametrize(
    "data",
    [
        call("executeBatch(address[],bytes[])", [str(PAYEE)], []),
        call("execute(bytes32,bytes)", bytes(32), b"short"),
        call("execute(bytes32,bytes)", b"\x01" + bytes(31), b"no batch"),
        call("execute(bytes32,bytes)", b"\x02" + bytes(31), bytes(64)),
        executed(PAYEE, 1, b"", 2),
        call("execTransactionFromModule(address,uint256,bytes,uint8)", str(PAYEE), 1, b"", 7),
        call("enableModule(address)", str(PAYEE)),  # not by the Safe itself
        call("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", str(OWN), str(PAYEE), [1], [], b""),
    ],
)
def test_arguments_that_contradict_one_another_are_opaque(make: Make, data: bytes) -> None:
    found = read(make, SAFE, data)
    assert not found.decoded
    assert "opaque-call" in codes(found)
    assert not found.calls[0].calls


def test_modes_of_modular_accounts(make: Make) -> None:
    one = PAYEE.value + (5).to_bytes(32, "big")
    single = read(make, OWN, call("execute(bytes32,bytes)", bytes(32), one))
    assert single.movements == (Movement(PAYEE, 5),)
    many = peer_encode(["(address,uint256,bytes)[]"], [[(str(PAYEE), 5, b""), (str(OTHER), 6, b"")]])
    batch = read(make, OWN, call("execute(bytes32,bytes)", b"\x01" + bytes(31), many))
    assert [(move.recipient, move.amount) for move in batch.movements] == [(PAYEE, 5), (OTHER, 6)]


def test_permit2(make: Make) -> None:
    details = (str(COIN), 5, 99, 0)
    one = call("permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)", str(OWN),
               (details, str(PAYEE), 1), b"")  # fmt: skip
    assert read(make, OTHER, one).allowances == (Allowance(PAYEE, 5, COIN, USDC, False, until=99),)
    paid = call("permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)",
                ((str(COIN), 9), 0, 1), (str(PAYEE), 5), str(ACCOUNT), b"")  # fmt: skip
    assert read(make, OTHER, paid).movements == (Movement(PAYEE, 5, COIN, USDC, ACCOUNT),)
    ended = read(make, OTHER, call("lockdown((address,address)[])", [(str(COIN), str(PAYEE))]))
    assert ended.allowances == (Allowance(PAYEE, 0, COIN, USDC, False),)
    assert not codes(ended)


def test_depth_and_number_are_bounded(make: Make) -> None:
    data = call("transfer(address,uint256)", str(PAYEE), 5)
    for _ in range(DEEPEST):
        data = call("multicall(bytes[])", [data])
    assert read(make, COIN, data).decoded
    assert not read(make, COIN, call("multicall(bytes[])", [data])).decoded
    empty = call("transfer(address,uint256)", str(PAYEE), 5)
    half = call("multicall(bytes[])", [empty] * (MOST_CALLS // 2))
    assert read(make, COIN, half).decoded
    found = read(make, COIN, call("multicall(bytes[])", [half, half]))
    assert not found.decoded
    assert len(found.movements) <= MOST_CALLS


def test_the_tree_for_people_names_functions_whose_effects_are_unknown(make: Make) -> None:
    data = call("multicall(uint256,bytes[])", 9, [call("transferOwnership(address)", str(PAYEE)), b"\x01\x02\x03\x04"])
    (whole,) = read(make, COIN, data).calls
    assert (whole.name, whole.arguments, whole.understood) == ("multicall", (("deadline", "9"),), True)
    assert [(one.name, one.understood) for one in whole.calls] == [("transferOwnership", False), (None, False)]
    assert whole.calls[0].arguments == (("newOwner", str(PAYEE)),)


def test_long_arguments_are_cut(make: Make) -> None:
    data = call("setText(bytes32,string,string)", bytes(32), "k" * 1000, "v")
    key = dict(read(make, COIN, data).calls[0].arguments)["key"]
    assert key == "k" * 300 + "…"
    many = call("claimRewards(address[],uint256,address)", [str(PAYEE)] * 100, MAX_UINT256, str(PAYEE))
    assert "(100 in all)" in dict(read(make, COIN, many).calls[0].arguments)["assets"]


def test_tokens_are_read_without_eth_abi() -> None:
    program = (
        "import sys\nsys.modules['eth_abi'] = None\n"
        "from bursar.ethereum.address import Address\nfrom bursar.ethereum.token import encode_approve\n"
        "from bursar.ethereum.effects.call import Call, Scope\nfrom bursar.ethereum.effects.unfolding import unfold\n"
        "one = Address(bytes([1]) * 20)\n"
        "assert unfold([Call(one, 0, encode_approve(one, 5), one, one)], Scope(one)).allowances\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
