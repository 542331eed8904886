"""The vendor's definitions: envelopes signed by keys of the test's own (trezorlib signs), relayed if they verify."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trezorlib")

from hypothesis import given, settings
from hypothesis import strategies as st
from trezorlib import cosi, messages

from bursar.backends.trezor import TrezorBackend
from bursar.backends.trezor.abilities import Firmware
from bursar.backends.trezor.conversation import Patience
from bursar.backends.trezor.definition_files import DefinitionFolder
from bursar.backends.trezor.definitions import (
    MOST_BYTES,
    VENDOR,
    Envelope,
    Network,
    Relay,
    Signers,
    Token,
    network_of,
    oldest_of,
    token_of,
)
from bursar.backends.trezor.encoding import encode
from bursar.errors import InvalidInputError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.address import Address
from bursar.ethereum.token import encode_transfer
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_transaction

SEEDS = (b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
OURS = Signers(tuple(cosi.pubkey_from_privkey(seed) for seed in SEEDS), 2)
# The keys of debug firmware: the seeds stand in the vendor's own tests.
DEVELOPMENT_SEEDS = (b"\xdd" * 32, b"\xde" * 32, b"\xdf" * 32)
DEVELOPMENT = Signers(tuple(cosi.pubkey_from_privkey(seed) for seed in DEVELOPMENT_SEEDS), 2)

CHAIN = 424242
CONTRACT = Address(bytes(range(20)))
SOMEBODY = Address(b"\x77" * 20)
NEW = 1_900_000_000
NETWORK_INFO = messages.EthereumNetworkInfo(chain_id=CHAIN, symbol="NETX", slip44=60, name="Net X")
TOKEN_INFO = messages.EthereumTokenInfo(
    address=CONTRACT.value, chain_id=CHAIN, symbol="TOKX", decimals=3, name="Token ☃"
)
NEIGHBOURS = (b"\x00" * 32, b"\xff" * 32, hashlib.sha256(b"neighbour").digest())
MODERN = Firmware("T3T1", (2, 8, 9))
HOME = DerivationPath.from_text("m/44h/60h/0h")


def leaf(payload: bytes, kind: int, version: int = NEW, magic: bytes = b"trzd1") -> bytes:
    return magic + struct.pack("<BIH", kind, version, len(payload)) + payload


def sealed(
    body: bytes,
    *,
    signers: tuple[int, ...] = (0, 1),
    mask: int | None = None,
    proof: tuple[bytes, ...] = NEIGHBOURS,
    seeds: tuple[bytes, ...] = SEEDS,
) -> bytes:
    root = hashlib.sha256(b"\x00" + body).digest()
    for other in proof:
        root = hashlib.sha256(b"\x01" + b"".join(sorted((root, other)))).digest()
    signature = cosi.sign_with_privkeys(root, [seeds[one] for one in signers])
    bits = sum(1 << one for one in signers) if mask is None else mask
    return body + bytes([len(proof)]) + b"".join(proof) + bytes([bits]) + signature


def network(info: Any = NETWORK_INFO, *, version: int = NEW, **options: Any) -> bytes:
    return sealed(leaf(info if isinstance(info, bytes) else encode(info), 0, version), **options)


def token(info: Any = TOKEN_INFO, *, version: int = NEW, **options: Any) -> bytes:
    return sealed(leaf(info if isinstance(info, bytes) else encode(info), 1, version), **options)


NETWORK_FILE, TOKEN_FILE = network(), token()


def refused(match: str) -> Any:
    return pytest.raises(InvalidInputError, match=match)


@pytest.mark.parametrize("signers", [(0, 1), (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("proof", [(), NEIGHBOURS, NEIGHBOURS * 85])
def test_round_trip(signers: tuple[int, ...], proof: tuple[bytes, ...]) -> None:
    found = network_of(network(signers=signers, proof=proof), CHAIN, signers=OURS, oldest=NEW)
    assert found == Network(CHAIN, "NETX", 60, "Net X")
    one = token_of(token(signers=signers, proof=proof), CHAIN, CONTRACT, signers=OURS, oldest=NEW)
    assert one == Token(CONTRACT, CHAIN, "TOKX", 3, "Token ☃")


def test_the_largest_is_read() -> None:
    known = encode(NETWORK_INFO)
    size = 65535 - len(known) - 4
    filler = b"\x7a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + bytes(size)  # field 15
    data = network(known + filler, proof=(bytes(32),) * 255)
    assert len(data) == MOST_BYTES
    assert network_of(data, CHAIN, signers=OURS).symbol == "NETX"


def test_unknown_fields_are_skipped() -> None:
    more = encode(NETWORK_INFO) + b"\x78\x05" + b"\x82\x01\x02hi"
    assert network_of(network(more), CHAIN, signers=OURS).symbol == "NETX"


@pytest.mark.parametrize("at", range(len(TOKEN_FILE)))
def test_truncated_or_changed_anywhere(at: int) -> None:
    with refused("is not used"):
        token_of(TOKEN_FILE[:at], CHAIN, CONTRACT, signers=OURS)
    with refused("is not used"):
        token_of(TOKEN_FILE[:at] + bytes([TOKEN_FILE[at] ^ 1]) + TOKEN_FILE[at + 1 :], CHAIN, CONTRACT, signers=OURS)


def test_errors_have_their_code() -> None:
    with pytest.raises(InvalidInputError) as caught:
        network_of(b"", CHAIN)
    assert caught.value.code == "input.definition"


def test_something_follows() -> None:
    with refused("something follows"):
        network_of(NETWORK_FILE + b"\0", CHAIN, signers=OURS)


def test_another_format() -> None:
    with refused("trzd1"):
        network_of(sealed(leaf(encode(NETWORK_INFO), 0, magic=b"trzd2")), CHAIN, signers=OURS)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mask": 0b101}, "not the vendor's"),
        ({"mask": 0b111}, "not the vendor's"),
        ({"mask": 0b1011}, "signers that there are not"),
        ({"mask": 0x83}, "signers that there are not"),
        ({"mask": 0}, "0 signed it where 2"),
        ({"signers": (1,)}, "1 signed it where 2"),
        ({"signers": (0,), "mask": 0b011}, "not the vendor's"),
        ({"seeds": DEVELOPMENT_SEEDS}, "not the vendor's"),
    ],
)
def test_wrong_signers(options: dict[str, Any], match: str) -> None:
    with refused(match):
        network_of(network(**options), CHAIN, signers=OURS)


def test_our_keys_and_those_of_debug_firmware_are_not_the_vendors() -> None:
    assert DEVELOPMENT.keys[0].hex().startswith("68460ebe")
    assert DEVELOPMENT.keys[2].hex().startswith("97f7135a")
    debug = network(seeds=DEVELOPMENT_SEEDS)
    for data in (NETWORK_FILE, debug):
        with refused("not the vendor's"):
            network_of(data, CHAIN)
    assert network_of(debug, CHAIN, signers=DEVELOPMENT).chain_id == CHAIN


@pytest.mark.parametrize(
    ("keys", "threshold"), [((), 0), ((), 1), (OURS.keys, 0), (OURS.keys, 4), ((OURS.keys[0],) * 2, 1)]
)
def test_signers_that_would_prove_nothing(keys: tuple[bytes, ...], threshold: int) -> None:
    with refused("threshold"):
        Signers(keys, threshold)


def test_keys_that_are_none_or_cancel_out() -> None:
    negative = OURS.keys[0][:31] + bytes([OURS.keys[0][31] ^ 0x80])
    for other in (bytes(32), bytes(31), negative):
        with pytest.raises(InvalidInputError) as caught:
            network_of(NETWORK_FILE, CHAIN, signers=Signers((OURS.keys[0], other), 2))
        assert caught.value.code == "input.definition"


def test_the_proof_is_of_the_whole_leaf() -> None:
    other = network(messages.EthereumNetworkInfo(chain_id=CHAIN, symbol="EVIL", slip44=60, name="Net X"))
    body = len(leaf(encode(NETWORK_INFO), 0))
    with refused("not the vendor's"):
        network_of(other[:body] + NETWORK_FILE[body:], CHAIN, signers=OURS)


def test_of_something_else() -> None:
    with refused("of chain 424242, not 1"):
        network_of(NETWORK_FILE, 1, signers=OURS)
    with refused("on chain 424242, not of"):
        token_of(TOKEN_FILE, 1, CONTRACT, signers=OURS)
    with refused("on chain 424242, not of"):
        token_of(TOKEN_FILE, CHAIN, SOMEBODY, signers=OURS)
    with refused("of type 1"):
        network_of(TOKEN_FILE, CHAIN, signers=OURS)
    with refused("of type 0"):
        token_of(NETWORK_FILE, CHAIN, CONTRACT, signers=OURS)
    with refused("of type 3"):
        token_of(sealed(leaf(encode(TOKEN_INFO), 3)), CHAIN, CONTRACT, signers=OURS)


def test_outdated() -> None:
    data = network(version=NEW - 1)
    assert network_of(data, CHAIN, signers=OURS, oldest=NEW - 1).chain_id == CHAIN
    with refused("outdated"):
        network_of(data, CHAIN, signers=OURS, oldest=NEW)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        encode(NETWORK_INFO)[:-1],
        encode(NETWORK_INFO)[:-7],
        encode(NETWORK_INFO) + b"\x08\x01",  # the chain id twice
        encode(NETWORK_INFO) + b"\x00\x01",  # field 0
        encode(NETWORK_INFO) + b"\x7d\x00\x00\x00\x00",  # 32 bits
        encode(NETWORK_INFO) + b"\x78" + b"\xff" * 10 + b"\x01",
        encode(NETWORK_INFO) + b"\x78" + b"\xff" * 9 + b"\x02",  # more than 64 bits
        b"\x0a\x01\x01" + encode(NETWORK_INFO)[4:],
        encode(NETWORK_INFO).replace(b"NETX", b"\xff\xfe\xfd\xfc"),
        encode(NETWORK_INFO).replace(b"\x18\x3c", b"\x18\x80\x80\x80\x80\x10"),  # coin type 2^32
    ],
)
def test_a_signed_payload_that_is_none(payload: bytes) -> None:
    with refused("is not used"):
        network_of(network(payload), CHAIN, signers=OURS)


@pytest.mark.parametrize("size", [0, 19, 21])
def test_a_token_without_an_address(size: int) -> None:
    info = messages.EthereumTokenInfo(address=bytes(size), chain_id=CHAIN, symbol="T", decimals=0, name="T")
    with refused(f"{size} bytes"):
        token_of(token(info), CHAIN, CONTRACT, signers=OURS)


@given(st.binary(max_size=300))
def test_garbage(data: bytes) -> None:
    for prefix in (b"", b"trzd1\x00", TOKEN_FILE[:12]):
        with refused("is not used"):
            token_of(prefix + data, CHAIN, CONTRACT, signers=OURS)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60))
def test_signed_garbage(payload: bytes) -> None:
    assert Envelope.parse(network(payload)).payload == payload
    with refused("is not used"):
        network_of(network(payload), CHAIN, signers=OURS)


@settings(max_examples=40, deadline=None)
@given(
    chain=st.integers(1, 2**64 - 1),
    coin=st.integers(0, 2**32 - 1),
    symbol=st.text(max_size=20),
    name=st.text(max_size=20),
    version=st.integers(0, 2**32 - 1),
)
def test_any_network(chain: int, coin: int, symbol: str, name: str, version: int) -> None:
    info = messages.EthereumNetworkInfo(chain_id=chain, symbol=symbol, slip44=coin, name=name)
    data = network(info, version=version)
    assert network_of(data, chain, signers=OURS, oldest=version) == Network(chain, symbol, coin, name)


# --- what firmware takes ---


def test_the_age_a_firmware_takes() -> None:
    assert oldest_of(Firmware("T1B1", (1, 12, 1))) is None
    assert oldest_of(Firmware("T2T1", (2, 5, 3))) is None
    assert oldest_of(Firmware("T1B1", (1, 13, 0))) == 1736423322
    assert oldest_of(Firmware("T1B1", (1, 99, 0))) == 1768042093
    assert oldest_of(Firmware("T3T1", (2, 8, 7))) == 1725628031
    assert oldest_of(Firmware("T3W1", (2, 12, 3))) == 1780391762
    assert oldest_of(Firmware("T3T1", (3, 0, 0))) == 1783520408


def transfer(**fields: Any) -> UnsignedTransaction:
    known: dict[str, Any] = {
        "type": 2,
        "chain_id": CHAIN,
        "nonce": 0,
        "to": CONTRACT,
        "value": Wei(0),
        "data": encode_transfer(SOMEBODY, 12_345),
        "gas_limit": 100_000,
        "max_fee_per_gas": Wei(3 * 10**9),
        "max_priority_fee_per_gas": Wei(10**9),
    }
    return UnsignedTransaction(**{**known, **fields})


def both(chain_id: int, contract: Address | None) -> bytes | None:
    return NETWORK_FILE if contract is None else TOKEN_FILE


def test_what_is_asked_for() -> None:
    asked: list[Any] = []
    relay = Relay(lambda *what: asked.append(what), OURS)
    assert relay.for_transaction(transfer(), MODERN) is None
    assert relay.for_transaction(transfer(data=b""), MODERN) is None
    assert relay.for_transaction(transfer(to=None), MODERN) is None
    assert relay.for_transaction(transfer(), Firmware("T2T1", (2, 5, 3))) is None
    assert asked == [(CHAIN, None), (CHAIN, CONTRACT), (CHAIN, None), (CHAIN, None)]


def test_each_is_relayed_as_it_is() -> None:
    found = Relay(both, OURS).for_transaction(transfer(), MODERN)
    assert found is not None
    assert (found.network, found.token) == (NETWORK_FILE, TOKEN_FILE)
    only = Relay(lambda _, contract: TOKEN_FILE if contract else None, OURS).for_transaction(transfer(), MODERN)
    assert only is not None
    assert (only.network, only.token) == (None, TOKEN_FILE)


def test_outdated_for_this_firmware() -> None:
    relay = Relay(lambda _, contract: None if contract else network(version=1738953547), OURS)
    assert relay.for_transaction(transfer(), Firmware("T3T1", (2, 8, 8))) is not None
    with refused("outdated"):
        relay.for_transaction(transfer(), MODERN)


def test_too_long_for_a_trezor_one() -> None:
    relay = Relay(lambda _, contract: None if contract else network(proof=NEIGHBOURS * 10), OURS)
    assert relay.for_transaction(transfer(), MODERN) is not None
    with refused("reads 1024"):
        relay.for_transaction(transfer(), Firmware("T1B1", (1, 14, 1)))


# --- folders ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    where = tmp_path / "definitions" / "eth" / "chain-id" / str(CHAIN)
    where.mkdir(parents=True)
    (where / "network.dat").write_bytes(NETWORK_FILE)
    (where / f"token-{CONTRACT.value.hex()}.dat").write_bytes(TOKEN_FILE)
    return tmp_path / "definitions"


def test_a_folder(folder: Path) -> None:
    source = DefinitionFolder(folder)
    assert source(CHAIN, None) == NETWORK_FILE
    assert source(CHAIN, CONTRACT) == TOKEN_FILE
    assert source(CHAIN, SOMEBODY) is None
    assert source(1, None) is None


def test_a_folder_that_is_none(folder: Path) -> None:
    with refused("no folder"):
        DefinitionFolder(folder / "absent")(CHAIN, None)
    where = folder / "eth" / "chain-id" / str(CHAIN) / "network.dat"
    where.write_bytes(bytes(MOST_BYTES + 1))
    with refused("larger than any"):
        DefinitionFolder(folder)(CHAIN, None)
    where.unlink()
    where.mkdir()
    with refused("no file"):
        DefinitionFolder(folder)(CHAIN, None)


# --- simulated devices, which verify by trezorlib ---


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    pytest.importorskip("bursar_devices.trezor")
    from bursar_devices.humans import approve
    from bursar_devices.prompting import BenchPrompt
    from bursar_devices.trezor import TrezorSimulator
    from bursar_devices.trezor.ether import definitions

    monkeypatch.setattr(definitions, "_KEYS", OURS.keys)
    opened: list[Any] = []

    def make(model: str, given: Any) -> SimpleNamespace:
        simulator = TrezorSimulator(model=model, human=approve()).start()
        opened.append(simulator)
        patience = Patience(device=5, human=5, whole=60)
        backend = TrezorBackend(locks=tmp_path / "locks", patience=patience, definitions=given)
        found = backend.locate(simulator.location)
        assert found is not None
        signer = backend.open(found, BenchPrompt())
        opened.append(signer)
        account = EthereumAccount(CHAIN, KeyOrigin(signer.info.fingerprint, HOME), signer.xpub(HOME))
        return SimpleNamespace(signer=signer, simulator=simulator, account=account)

    yield make
    for one in reversed(opened):
        one.close()


def sign(one: Any) -> str:
    """What the device showed."""
    before = len(one.simulator.pages)
    request_transaction(one.signer, one.account.path(0), transfer(), sender=one.account.address(0))
    return "\n".join("\n".join((page.title, *page.lines)) for page in one.simulator.pages[before:])


@pytest.mark.parametrize("model", ["T1B1", "T2T1", "T3T1"])
def test_the_device_shows_what_was_relayed(device: Callable[..., Any], model: str) -> None:
    assert "TOKX" not in sign(device(model, None))
    shown = sign(device(model, Relay(both, OURS)))
    assert "12.345 TOKX" in " ".join(shown.split())
    assert "NETX" in shown


@pytest.mark.parametrize("model", ["T1B1", "T3T1"])
@pytest.mark.parametrize("bad", [TOKEN_FILE[:-1], token(mask=0b110), token(signers=(0,)), NETWORK_FILE])
def test_nothing_is_sent_where_one_does_not_verify(device: Callable[..., Any], model: str, bad: bytes) -> None:
    one = device(model, Relay(lambda _, contract: bad if contract else NETWORK_FILE, OURS))
    before = len(one.simulator.pages)
    with refused("is not used"):
        one.signer.sign_transaction(one.account.path(0), transfer())
    assert len(one.simulator.pages) == before
    assert one.signer.xpub(HOME) == one.account.xpub  # the conversation goes on


@pytest.mark.parametrize("as_folder", [True, False])
def test_by_default_the_vendor_signs(device: Callable[..., Any], folder: Path, as_folder: bool) -> None:
    one = device("T3T1", folder if as_folder else both)
    with refused("not the vendor's"):
        sign(one)
    assert Relay(both).signers is VENDOR
