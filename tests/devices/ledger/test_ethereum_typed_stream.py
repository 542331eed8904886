"""Typed data streamed badly, disturbed or by a hostile host: answered as the real Ethereum app 1.22.0 did."""

from __future__ import annotations

import pytest
from bursar_devices import humans
from bursar_devices.device import Lie, Press
from eth_account import Account
from eth_account.messages import encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

Account.enable_unaudited_hdwallet_features()
MNEMONIC = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
OURS = Account.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/0").address
OUR_PATH = bytes.fromhex("058000002c8000003c800000000000000000000000")
SMALL = {
    "types": {"EIP712Domain": [{"name": "name", "type": "string"}], "M": [{"name": "x", "type": "uint8"}]},
    "primaryType": "M",
    "domain": {"name": "Hello"},
    "message": {"x": 1},
}


def struct(name: bytes):
    return 0x1A, 0, 0x00, name


def field(raw: bytes):
    return 0x1A, 0, 0xFF, raw


def root(name: bytes):
    return 0x1C, 0, 0x00, name


def items(count: int):
    return 0x1C, 0, 0x0F, bytes((count,))


def value(raw: bytes, p1: int = 0):
    return 0x1C, p1, 0xFF, raw


DOMAIN_TYPE = [struct(b"EIP712Domain"), field(b"\x05\x04name")]
MESSAGE_TYPE = [struct(b"M"), field(b"\x42\x01\x01x")]
TYPES = DOMAIN_TYPE + MESSAGE_TYPE
DOMAIN = [root(b"EIP712Domain"), value(b"\0\5Hello")]
MESSAGE = [root(b"M"), value(b"\0\1\1")]
SIGN = (0x0C, 0, 1, OUR_PATH)
WHOLE = [*TYPES, *DOMAIN, *MESSAGE]


def send(peer, commands):
    """All status words, as one text; a reply with data has a plus."""
    said = []
    for ins, p1, p2, data in commands:
        status, reply = peer.command(0xE0, ins, p1, p2, data)
        said.append(f"{status:04x}" + ("+" if reply else ""))
    return " ".join(said)


@pytest.fixture
def app(start, connect):
    """The simulator with blind signing on, and bare APDUs for it."""
    device = start(app="Ethereum", human=humans.approve(), blind_signing=True)
    return device, connect(device)


BAD = {
    "nothing defined": ([SIGN, *DOMAIN, (0x1E, 0, 0, b"")], "6980 6980 6980 6980"),
    "only defined": ([*TYPES, SIGN], "9000 9000 9000 9000 6a80"),
    "a field of no struct": ([TYPES[1]], "6a80"),
    "a struct without a name": ([struct(b"")], "6a80"),
    "neither struct nor field": ([TYPES[0], (0x1A, 0, 5, b"x"), TYPES[1]], "9000 6b00 6a80"),
    "an unknown root": ([*TYPES, root(b"Nope"), DOMAIN[0]], "9000 9000 9000 9000 6a80 6980"),
    "a root twice": ([*TYPES, DOMAIN[0], DOMAIN[0]], "9000 9000 9000 9000 9000 6a00"),
    "the message first": ([*TYPES, MESSAGE[0]], "9000 9000 9000 9000 6a00"),
    "the message before the domain's values": (
        [*TYPES, DOMAIN[0], *MESSAGE, SIGN],
        "9000 9000 9000 9000 9000 9000 9000 6a80",
    ),
    "the domain again": ([*WHOLE, DOMAIN[0]], "9000 9000 9000 9000 9000 9000 9000 9000 6a00"),
    "a definition too late": ([*TYPES, DOMAIN[0], struct(b"Z")], "9000 9000 9000 9000 9000 6a00"),
    "a value of nothing": ([*TYPES, DOMAIN[1]], "9000 9000 9000 9000 6a80"),
    "an array of nothing": ([*TYPES, items(1)], "9000 9000 9000 9000 6a00"),
    "one value too many": ([*TYPES, *DOMAIN, DOMAIN[1]], "9000 9000 9000 9000 9000 9000 6a80"),
    "a value in parts": (
        [*TYPES, DOMAIN[0], value(b"\0\5H", 1), value(b"", 0xFF), value(b"ello"), *MESSAGE, SIGN],
        "9000 9000 9000 9000 9000 9000 9000 9000 9000 9000 9000+",
    ),
    "whole but called a part": ([*TYPES, DOMAIN[0], value(b"\0\2He", 1), SIGN], "9000 9000 9000 9000 9000 9000 6980"),
    "a part but called whole": ([*TYPES, DOMAIN[0], value(b"\0\5Hel")], "9000 9000 9000 9000 9000 6a80"),
    "longer than announced": ([*TYPES, DOMAIN[0], value(b"\0\2Hel")], "9000 9000 9000 9000 9000 6a80"),
    "no length": ([*TYPES, DOMAIN[0], value(b"\0")], "9000 9000 9000 9000 9000 6a80"),
    "a number in parts": (
        [*TYPES, *DOMAIN, MESSAGE[0], value(b"\0\2\1", 1)],
        "9000 9000 9000 9000 9000 9000 9000 6a80",
    ),
    "a number of 33 bytes": ([*TYPES, *DOMAIN, MESSAGE[0], value(b"\0\x21" + bytes(33))], "9000 " * 7 + "6a80"),
    "the next root within a value": (
        [*TYPES, DOMAIN[0], value(b"\0\5H", 1), *MESSAGE, SIGN],
        "9000 9000 9000 9000 9000 9000 9000 6a80 6980",
    ),
    "an array where none is": ([*TYPES, DOMAIN[0], items(1)], "9000 9000 9000 9000 9000 6a80"),
    "no such part": ([*TYPES, DOMAIN[0], (0x1C, 0, 7, b"\1")], "9000 9000 9000 9000 9000 6b00"),
    "signed too early": ([*TYPES, *DOMAIN, SIGN, MESSAGE[0]], "9000 9000 9000 9000 9000 9000 6a80 6980"),
    "no path": ([*WHOLE, (0x0C, 0, 1, b"")], "9000 9000 9000 9000 9000 9000 9000 9000 6a80"),
    "a path too long": ([*WHOLE, (0x0C, 0, 1, b"\x0b" + bytes(44))], "9000 " * 8 + "6a80"),
    "signed twice": ([*WHOLE, SIGN, SIGN], "9000 9000 9000 9000 9000 9000 9000 9000 9000+ 6980"),
    "an empty struct": ([*DOMAIN_TYPE, struct(b"M"), *DOMAIN, MESSAGE[0], SIGN], "9000 9000 9000 9000 9000 9000 6a80"),
    "an undefined struct": (
        [*DOMAIN_TYPE, struct(b"M"), field(b"\0\1Q\1x"), *DOMAIN, MESSAGE[0]],
        "9000 9000 9000 9000 9000 9000 6a80",
    ),
    "a scalar for an array": (
        [*DOMAIN_TYPE, struct(b"M"), field(b"\xc2\1\1\0\1x"), *DOMAIN, *MESSAGE, SIGN],
        "9000 9000 9000 9000 9000 9000 9000 9000 9000+",
    ),
    "another length than the type's": (
        [*DOMAIN_TYPE, struct(b"M"), field(b"\xc2\1\1\1\2\1x"), *DOMAIN, MESSAGE[0], items(3)],
        "9000 9000 9000 9000 9000 9000 9000 6a80",
    ),
    "a domain that shows nothing": (
        [TYPES[0], field(b"\xc2\1\1\0\1x"), *MESSAGE_TYPE, DOMAIN[0], items(0), *MESSAGE, SIGN, SIGN],
        "9000 9000 9000 9000 9000 9000 9000 9000 9000 9000+",  # only the second is a review
    ),
    "filtering without filters": (
        [*TYPES, (0x1E, 0, 0, b""), *DOMAIN, *MESSAGE, SIGN],
        "9000 9000 9000 9000 9000 9000 9000 9000 9000 6a88",
    ),
    "filters without filtering": (
        [*TYPES, (0x1E, 0, 0xFF, b""), (0x1E, 0, 0x99, b""), *DOMAIN, *MESSAGE, SIGN],
        "9000 9000 9000 9000 9000 9000 9000 9000 9000 9000 9000+",
    ),
    "no such filter": ([*TYPES, (0x1E, 0, 0, b""), (0x1E, 0, 0x99, b"")], "9000 9000 9000 9000 9000 6b00"),
    "a Cosmos contract": (
        [TYPES[0], field(b"\5\x11verifyingContract"), *MESSAGE_TYPE, DOMAIN[0], value(b"\0\6cosmos"), *MESSAGE, SIGN],
        "9000 9000 9000 9000 9000 9000 9000 9000 9000+",
    ),
    "another word for the contract": (
        [TYPES[0], field(b"\5\x11verifyingContract"), *MESSAGE_TYPE, DOMAIN[0], value(b"\0\5cosmo"), MESSAGE[0]],
        "9000 9000 9000 9000 9000 9000 6980",  # taken, then all is forgotten
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit(app, case):
    commands, expected = BAD[case]
    assert send(app[1], commands) == expected
    assert send(app[1], [(0x1C, 0, 7, b"")])[:4] in ("6980", "6b00")  # whatever was left is gone
    assert send(app[1], [*WHOLE, SIGN]).endswith("9000+")


FIELDS = {
    "uint without size": (b"\x02\1x", True),
    "uint2040": (b"\x42\xff\1x", True),
    "int without size": (b"\x01\1x", True),
    "bytes without size": (b"\x06\1x", True),
    "bytes33": (b"\x46\x21\1x", True),
    "reserved bits": (b"\x32\1x", True),
    "no name": (b"\x42\x20\0", True),
    "a name with a zero": (b"\x42\x20\3a\0b", True),
    "an address with size": (b"\x43\x14\1x", "6a80"),
    "text with size": (b"\x45\1\1x", "6a80"),
    "an unknown kind": (b"\x08\1x", "6a80"),
    "a struct with size": (b"\x40\1\1M\1x", False),
    "an unknown array": (b"\x82\1\2\1x", False),
    "something behind it": (b"\x42\x20\1xy", False),
    "too short": (b"\x42\x20\5x", False),
    "empty": (b"", False),
}


@pytest.mark.parametrize("case", FIELDS)
def test_definitions_of_fields(app, case):
    raw, fits = FIELDS[case]
    said = send(app[1], [*DOMAIN_TYPE, struct(b"M"), field(raw), *DOMAIN, *MESSAGE, SIGN]).split()
    if fits is True:
        assert said[-1] == "9000+"
    elif fits:
        assert said[3] == "9000"
        assert said[6] == fits  # when the type is hashed
    else:
        assert said[3] == "6a80"


def test_an_array_without_levels(app):
    assert send(app[1], [*DOMAIN_TYPE, struct(b"M"), field(b"\x82\0\1x")]) == "9000 9000 9000 6a00"


MESSAGE_REQUEST = (0x08, 0, 0, OUR_PATH + b"\0\0\0\2hi")
HASHES_REQUEST = (0x0C, 0, 0, OUR_PATH + bytes(range(64)))
BETWEEN = {
    "the configuration does no harm": ((0x06, 0, 0, b""), "9000+ 9000 9000 9000+"),
    "a public key overwrites the hashes": ((0x02, 0, 0, OUR_PATH), "9000+ 9000 9000 9000"),
    "a public key that is shown": ((0x02, 1, 0, OUR_PATH), "9000+ 9000 9000 6a80"),
    "any refused request wipes the hashes": ((0xEE, 0, 0, b""), "6d00 9000 9000 6a80"),
    "so does a message": (MESSAGE_REQUEST, "6980 9000 9000 6a80"),
    "hashes leave their text": (HASHES_REQUEST, "9000+ 9000 6a00 6980"),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_other_requests_in_between(app, case):
    request, expected = BETWEEN[case]
    assert send(app[1], [*TYPES, *DOMAIN]) == "9000 9000 9000 9000 9000 9000"
    assert send(app[1], [request, *MESSAGE, SIGN]) == expected


@pytest.mark.parametrize("request_for", ["message", "hashes", "typed data"])
def test_a_forbidden_path_kills_the_app_only_after_the_human_accepted(start, connect, request_for):
    device = start(app="Ethereum", human=humans.reject(), blind_signing=True)
    peer = connect(device)
    forbidden = bytes.fromhex("03800000548000000080000000")
    request = {
        "message": [(0x08, 0, 0, forbidden + b"\0\0\0\2hi")],
        "hashes": [(0x0C, 0, 0, forbidden + bytes(64))],
        "typed data": [*WHOLE, (0x0C, 0, 1, forbidden)],
    }[request_for]
    assert send(peer, request).endswith("6985")
    device.human = humans.approve()
    with pytest.raises((EOFError, ConnectionError)):
        send(peer, request)
    assert device.app == "BOLOS"


def test_typed_data_ends_what_else_was_begun(app):
    begun = (0x08, 0, 0, OUR_PATH + b"\0\0\0\5hi")
    assert send(app[1], [begun, *WHOLE, SIGN]).endswith("9000 9000+")
    assert send(app[1], [(0x08, 0x80, 0, b"abc")]) == "6a80"


INTRUDERS = {
    "a definition ends the review": (struct(b"Z"), "6a00", None),
    "so does a root": (root(b"M"), "6a00", None),
    "and a value": (MESSAGE[1], "6a80", None),
    "a filter loses the reply": ((0x1E, 0, 0, b""), "9000", "Sign message"),
    "an unknown request kills the app": ((0xEE, 0, 0, b""), "6d00", "Blind signing ahead"),
}


@pytest.mark.parametrize("case", INTRUDERS)
def test_intruders_while_the_human_reads(start, connect, case):
    intruder, said, last = INTRUDERS[case]
    device = start(app="Ethereum", human=None, blind_signing=True)
    peer = connect(device)
    send(peer, WHOLE)
    ins, p1, p2, data = SIGN
    peer.send(bytes((0xE0, ins, p1, p2, len(data))) + data)
    device.wait_for_page()
    assert send(peer, [intruder]) == said
    if last is None:
        assert device.page() is None
        device.human = humans.approve()
        assert send(peer, [*WHOLE, SIGN]).endswith("9000+")
    elif said == "9000":
        while device.page():
            device.press(Press.ACCEPT)
        assert send(peer, [(0x06, 0, 0, b"")]) == "9000+"
        assert device.pages[-1].title == last
    else:
        device.press(Press.ACCEPT)
        with pytest.raises((EOFError, ConnectionError)):
            peer.receive()
        assert device.app == "BOLOS"


def test_a_second_signing_request_shows_the_hash_twice(start, connect):
    device = start(app="Ethereum", human=None, blind_signing=True)
    peer = connect(device)
    send(peer, WHOLE)
    ins, p1, p2, data = SIGN
    for _ in range(2):
        peer.send(bytes((0xE0, ins, p1, p2, len(data))) + data)
        device.wait_for_page()
    device.human = humans.approve()
    status, reply = peer.receive()
    assert status == 0x9000
    assert signer(reply) == OURS


def signer(reply):
    return Account.recover_message(encode_typed_data(full_message=SMALL), signature=reply[1:] + reply[:1])


@pytest.mark.parametrize("lie", [Lie.CHANGED_TRANSACTION, Lie.WRONG_KEY, Lie.HIGH_S])
def test_lies(app, lie):
    device, peer = app
    device.lies.add(lie)
    send(peer, WHOLE)
    status, reply = peer.command(0xE0, *SIGN)
    assert status == 0x9000
    if lie is Lie.HIGH_S:
        assert int.from_bytes(reply[33:], "big") > 2**255
    else:
        assert signer(reply) != OURS


BYTES = st.binary(max_size=12)
ANY_COMMAND = st.one_of(
    st.tuples(st.sampled_from([0x1A, 0x1C, 0x1E, 0x0C]), st.sampled_from([0, 1, 0xFF]), st.integers(0, 255), BYTES),
    st.builds(struct, st.sampled_from([b"EIP712Domain", b"M", b"Q", b""])),
    st.builds(field, st.builds(lambda kind, rest: bytes((kind,)) + rest, st.integers(0, 255), BYTES)),
    st.builds(field, st.sampled_from([b"\x80\1Q\2\0\0\1q", b"\0\1M\1m", b"\0\1Q\1q", b"\xc2\1\2\0\1\2\1n"])),
    st.builds(root, st.sampled_from([b"EIP712Domain", b"M", b"Q"])),
    st.builds(items, st.sampled_from([0, 1, 2, 255])),
    st.builds(value, st.builds(lambda raw: len(raw).to_bytes(2, "big") + raw, BYTES), st.sampled_from([0, 0, 0, 1])),
    st.sampled_from([*WHOLE, SIGN]),
)


@pytest.mark.parametrize("model", ["nanosp", "flex"])
def test_a_hostile_host_is_always_answered(start, connect, model):
    device = start(app="Ethereum", human=humans.approve(), blind_signing=True, model=model)
    peer = connect(device)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(ANY_COMMAND, max_size=25), st.integers(0, len(WHOLE)))
    def attack(commands, honest):
        send(peer, [*WHOLE[:honest], *commands])

    attack()
    assert device.running
    assert device.failure is None
