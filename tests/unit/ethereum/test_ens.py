"""ENS names: normal forms, hashes and resolution, against the ens package of web3 and its resolver in a real EVM."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import eth_abi.abi as eth_abi
import pytest
from ens import contract_data
from ens import utils as peer
from hypothesis import given
from hypothesis import strategies as st

from bursar.chain.names import EnsResolver
from bursar.errors import ChainError, InvalidInputError
from bursar.ethereum.address import Address
from bursar.ethereum.ens import REGISTRY, EnsName
from bursar.ethereum.ens.names import looks_like_name
from bursar.ethereum.safe.words import selector, word
from bursar.nodes.sandbox.ethereum.chain import EvmChain, Message
from bursar.nodes.sandbox.ethereum.store import ChainStore

RICH = b"\x11" * 20
PAYEE = Address(b"\x35" * 20)
ELSEWHERE = Address(b"\x36" * 20)
HOME = 1
BASE = 8453
peer.raw_name_to_hash("example.eth")  # what it imports at its first use changes the limit of recursion


# names


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("Pay.Example.ETH", "pay.example.eth"),
        ("ｅｘample.eth", "example.eth"),
        ("bücher.eth", "bücher.eth"),
        ("1\u20e3.eth", "1\u20e3.eth"),
        ("🚀️.eth", "🚀.eth"),
    ],
)
def test_what_is_typed_gets_one_normal_form(typed: str, normal: str) -> None:
    assert EnsName.from_text(typed).text == normal


@pytest.mark.parametrize(
    "typed",
    [
        "pаy.eth",  # a Cyrillic letter among Latin ones
        "pa\u200dy.eth",  # a joiner nobody sees
        "pay\u202e.eth",
        "pay..eth",
        ".eth",
        "eth",
        "",
        " pay.eth",
        "pay.eth ",
        "pa_y.eth",
        "xn--pay.eth",
        "pay\n.eth",
        "a" * 256,
        "a" * 252 + ".eth",
    ],
)
def test_A7_names_that_look_like_others_or_like_nothing_are_refused(typed: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        EnsName.from_text(typed)
    assert caught.value.code == "input.ens-name"
    assert caught.value.message.isascii()


@given(st.text(max_size=40))
def test_a_normal_form_stays_what_it_is(text: str) -> None:
    try:
        name = EnsName.from_text(text)
    except InvalidInputError:
        return
    assert EnsName.from_text(name.text) == name
    assert name.node == bytes(peer.raw_name_to_hash(name.text))


@pytest.mark.parametrize("text", ["example.eth", "a.b.c.d.example.eth", "bücher.eth", "🚀.eth"])
def test_hash_and_wire_form_are_those_of_the_peer(text: str) -> None:
    name = EnsName.from_text(text)
    assert name.node == bytes(peer.raw_name_to_hash(text))
    assert name.wire == bytes(peer.dns_encode_name(text))


def test_the_hash_printed_in_the_standard() -> None:
    """ERC-137: namehash('foo.eth')."""
    printed = "de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f"
    assert EnsName.from_text("foo.eth").node.hex() == printed


def test_characters_outside_ascii_are_spelled() -> None:
    name = EnsName.from_text("bücher.eth")
    assert not name.plain
    assert name.spelled() == "U+00FC LATIN SMALL LETTER U WITH DIAERESIS"
    assert EnsName.from_text("pay.eth").plain
    assert EnsName.from_text("pay.eth").spelled() == ""


def test_a_name_is_told_from_an_address() -> None:
    assert looks_like_name("pay.eth")
    assert not looks_like_name("0x35.eth"[:4])
    assert not looks_like_name(str(PAYEE))


def test_the_cases_of_ensip_15() -> None:
    """``BURSAR_ENS_TESTS`` names web3.py's ``normalization_tests.json``, the cases the standard publishes."""
    path = os.environ.get("BURSAR_ENS_TESTS")
    if not path:
        pytest.skip("BURSAR_ENS_TESTS names no file of ENSIP-15's cases")
    cases = json.loads(Path(path).read_text(encoding="utf-8"))
    assert [case for case in cases[1:] if not _agrees(case)] == []


def _agrees(case: dict[str, Any]) -> bool:
    """Whether we say of one case what it says, apart from names we refuse for their form: short, long or empty."""
    text, wanted = str(case["name"]), str(case.get("norm", case["name"]))
    if "." not in text:
        text, wanted = text + ".e", wanted + ".e"
    bad = bool(case.get("error")) or wanted == ".e" or any(len(one.encode()) > 255 for one in wanted.split("."))
    try:
        return EnsName.from_text(text).text == wanted and not bad
    except InvalidInputError:
        return bad or len(text) > 255


# resolution, in a real EVM with the resolver ENS deployed


class Chain:
    """A chain with a registry of our own and the public resolver; what a contract refuses raises as a node does."""

    chain_id = HOME

    def __init__(self) -> None:
        store = ChainStore(None)
        self._chain = EvmChain(store, chain_id=31337, genesis_time=1_700_000_000, alloc={RICH: 10**24})
        self._machine = self._chain._free_machine(None)
        self.registry = self.create(_registry())
        code = bytes.fromhex(contract_data.resolver_bytecode.removeprefix("0x"))
        self.resolver = self.create(code + word(self.registry))
        self.scripted: dict[Address, Any] = {}
        self.asked: list[Address] = []

    def create(self, code: bytes) -> Address:
        return Address(bytes(self.send(None, code).msg.storage_address))

    def send(self, to: Address | None, data: bytes) -> Any:
        done = self._chain._result(Message(RICH, None if to is None else to.value, data, 0, 15_000_000), self._machine)
        assert done.is_success, done.error
        self._machine.state.lock_changes()
        return done

    def code(self, address: Address) -> bytes:
        return bytes(self._machine.state.get_code(address.value))

    def call(self, to: Address, data: bytes, *, sender: Address | None = None) -> bytes:
        del sender
        self.asked.append(to)
        if to in self.scripted:
            return bytes(self.scripted[to](data))
        done = self._chain._result(Message(RICH, to.value, data, 0, 15_000_000), self._machine)
        if not done.is_success:
            raise ChainError("the contract refuses this call", code="chain.reverted")
        return bytes(done.output)

    def register(self, name: str, resolver: Address | None = None) -> None:
        chosen = self.resolver if resolver is None else resolver
        self.send(self.registry, selector("setResolver(bytes32,address)") + node_of(name) + word(chosen))

    def set_address(self, name: str, address: Address) -> None:
        self.send(self.resolver, selector("setAddr(bytes32,address)") + node_of(name) + word(address))

    def set_address_on(self, name: str, coin: int, address: bytes) -> None:
        data = eth_abi.encode(["bytes32", "uint256", "bytes"], [node_of(name), coin, address])
        self.send(self.resolver, selector("setAddr(bytes32,uint256,bytes)") + data)

    def set_name(self, address: Address, text: str) -> None:
        node = node_of(f"{bytes(address).hex()}.addr.reverse")
        self.send(self.registry, selector("setResolver(bytes32,address)") + node + word(self.resolver))
        self.send(
            self.resolver, selector("setName(bytes32,string)") + eth_abi.encode(["bytes32", "string"], [node, text])
        )


def node_of(name: str) -> bytes:
    return bytes(peer.raw_name_to_hash(name))


def _registry() -> bytes:
    """Init code of a registry: one owner for all, ``resolver(node)`` and ``setResolver(node, address)``."""
    choose = bytes.fromhex("60003560e01c806302571be31460285780630178b8bf14604657631896f70a1460535760006000fd")
    owner = bytes.fromhex("5b73") + RICH + bytes.fromhex("60005260206000f3")
    resolver, set_resolver = bytes.fromhex("5b6004355460005260206000f3"), bytes.fromhex("5b6024356004355500")
    body = choose + owner + resolver + set_resolver
    return bytes.fromhex("605c80600b6000396000f3") + body


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain()


def names(chain: Chain, registry: Address | None = None) -> EnsResolver:
    backend: Any = chain
    return EnsResolver(backend, registry=registry or chain.registry)


def answer(chain: Chain, name: str, chain_id: int = HOME) -> Address:
    return names(chain).resolve(name, chain_id=chain_id).address


def test_a_name_stands_for_the_address_set(chain: Chain) -> None:
    chain.register("pay.eth")
    chain.set_address("pay.eth", PAYEE)
    found = names(chain).resolve("PAY.eth", chain_id=HOME)
    assert (found.address, found.resolver, found.wildcard) == (PAYEE, chain.resolver, False)
    assert found.name.text == "pay.eth"


def test_every_chain_has_an_address_of_its_own(chain: Chain) -> None:
    """ENSIP-11: the address of the name's own chain is never taken for that of another."""
    chain.register("layers.eth")
    chain.set_address("layers.eth", PAYEE)
    with pytest.raises(ChainError, match="no address on chain 8453") as caught:
        answer(chain, "layers.eth", BASE)
    assert caught.value.code == "chain.name"
    chain.set_address_on("layers.eth", 0x80000000 | BASE, bytes(ELSEWHERE))
    assert answer(chain, "layers.eth", BASE) == ELSEWHERE
    assert answer(chain, "layers.eth") == PAYEE
    chain.set_address_on("layers.eth", 0x80000000 | 10, b"\x01\x02")
    with pytest.raises(ChainError, match="2 bytes"):
        answer(chain, "layers.eth", 10)


@pytest.mark.parametrize("name", ["nobody.eth", "sub.nobody.eth"])
def test_a_name_nobody_answers_for_is_refused(chain: Chain, name: str) -> None:
    with pytest.raises(ChainError, match="no resolver is set"):
        answer(chain, name)


def test_a_name_without_an_address_is_refused(chain: Chain) -> None:
    chain.register("empty.eth")
    with pytest.raises(ChainError, match="has no address on chain 1"):
        answer(chain, "empty.eth")


def test_a_domain_that_does_not_answer_for_its_names_is_not_believed_to(chain: Chain) -> None:
    chain.register("plain.eth")
    chain.set_address("plain.eth", PAYEE)
    with pytest.raises(ChainError, match="not registered"):
        answer(chain, "unknown.plain.eth")


class Extended:
    """A resolver of ENSIP-10 that knows one address for every name below its own."""

    def __init__(self, reply: bytes | Exception) -> None:
        self.reply = reply
        self.names: list[bytes] = []

    def __call__(self, data: bytes) -> bytes:
        if data[:4] == selector("supportsInterface(bytes4)"):
            return word(1 if data[4:8].hex() == "9061b923" else 0)
        assert data[:4] == selector("resolve(bytes,bytes)")
        name, _ = eth_abi.decode(["bytes", "bytes"], data[4:])
        self.names.append(name)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


def test_a_domain_may_answer_for_all_its_names(chain: Chain) -> None:
    where = Address(b"\x71" * 20)
    chain.scripted[where] = extended = Extended(eth_abi.encode(["bytes"], [word(PAYEE)]))
    chain.register("wild.eth", where)
    found = names(chain).resolve("any.thing.wild.eth", chain_id=HOME)
    assert (found.address, found.wildcard) == (PAYEE, True)
    assert extended.names == [bytes(peer.dns_encode_name("any.thing.wild.eth"))]


def test_R5_a_resolver_that_sends_its_asker_to_a_server_is_not_followed(chain: Chain) -> None:
    """ERC-3668's OffchainLookup is a revert; nothing else is asked after it."""
    where = Address(b"\x72" * 20)
    chain.scripted[where] = Extended(ChainError("execution reverted: 0x556f1830", code="chain.reverted"))
    chain.register("gateway.eth", where)
    with pytest.raises(ChainError, match="on the chain itself"):
        answer(chain, "gateway.eth")
    assert chain.asked[-1] == where


@pytest.mark.parametrize("reply", [b"", b"\x01", word(PAYEE)[:31], b"\xff" * 32, word(1 << 200)])
def test_a_resolver_that_answers_nonsense_is_refused(chain: Chain, reply: bytes) -> None:
    where = Address(b"\x73" * 20)
    chain.scripted[where] = lambda data: word(0) if data[:4] == selector("supportsInterface(bytes4)") else reply
    chain.register("nonsense.eth", where)
    with pytest.raises(ChainError) as caught:
        answer(chain, "nonsense.eth")
    assert caught.value.code == "chain.name"


def test_a_chain_without_a_registry_says_so(chain: Chain) -> None:
    with pytest.raises(ChainError, match="no registry"):
        names(chain, REGISTRY).resolve("pay.eth", chain_id=HOME)


def test_an_address_goes_by_a_name_only_if_the_name_agrees(chain: Chain) -> None:
    assert names(chain).name_of(ELSEWHERE) is None
    chain.register("mine.eth")
    chain.set_address("mine.eth", PAYEE)
    chain.set_name(PAYEE, "mine.eth")
    assert str(names(chain).name_of(PAYEE)) == "mine.eth"
    chain.set_name(ELSEWHERE, "mine.eth")  # a liar: the name stands for another address
    assert names(chain).name_of(ELSEWHERE) is None
    for other in ("MINE.eth", "m\u0456ne.eth", "nobody.eth", ""):
        chain.set_name(PAYEE, other)
        assert names(chain).name_of(PAYEE) is None
