"""The simulated Ethereum app by bare APDUs, as the real app 1.22.0 answers; signatures held to eth_account."""

from __future__ import annotations

import pytest
from bursar_devices import humans
from bursar_devices.device import Press
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_defunct, encode_typed_data

from bursar.crypto import rlp

Account.enable_unaudited_hdwallet_features()
MNEMONIC = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
OURS = Account.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/0")
TO = bytes(range(1, 21))
TOKEN_CALL = bytes.fromhex("a9059cbb") + bytes(12) + TO + (10**20).to_bytes(32, "big")


def path(text: str) -> bytes:
    steps = [step for step in text.split("/")[1:] if step]
    numbers = [int(step.rstrip("'")) + (2**31 if step.endswith("'") else 0) for step in steps]
    return bytes((len(steps),)) + b"".join(number.to_bytes(4, "big") for number in numbers)


OUR_PATH = path("m/44'/60'/0'/0/0")


def number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def transaction(kind, chain=1, *, nonce=5, price=20 * 10**9, gas=21_000, to=TO, value=10**18, data=b"", access=()):
    """The bytes to sign, and the same as eth_account wants it."""
    middle = [number(gas), to, number(value), data]
    told = {"chainId": chain, "nonce": nonce, "gas": gas, "value": value, "data": data}
    if to:
        told["to"] = to
    if kind == 0:
        raw = rlp.encode([number(nonce), number(price), *middle, number(chain), b"", b""])
        return raw, told | {"gasPrice": price}
    listed = [[TO, [key]] for key in access]
    told |= {
        "type": kind,
        "accessList": [{"address": "0x" + TO.hex(), "storageKeys": ["0x" + key.hex()]} for key in access],
    }
    if kind == 1:
        raw = b"\x01" + rlp.encode([number(chain), number(nonce), number(price), *middle, listed])
        return raw, told | {"gasPrice": price}
    tip = 10**9
    raw = b"\x02" + rlp.encode([number(chain), number(nonce), number(tip), number(price), *middle, listed])
    return raw, told | {"maxFeePerGas": price, "maxPriorityFeePerGas": tip}


def send(peer, ins, payload, size=255):
    """All chunks; the last reply."""
    first = 0x00
    while True:
        piece, payload = payload[:size], payload[size:]
        status, data = peer.command(0xE0, ins, first, 0, piece)
        if not payload or status != 0x9000:
            return status, data
        assert data == b""
        first = 0x80


@pytest.fixture
def app(start, connect):
    """A function that starts the app and gives the device and a peer."""

    def begin(**options):
        device = start(app="Ethereum", **options)
        return device, connect(device)

    return begin


def titles(device) -> list[str]:
    return [page.title for page in device.pages]


@pytest.mark.parametrize(("blind", "flags"), [(False, "02"), (True, "03")])
def test_configuration(app, blind, flags):
    _, peer = app(blind_signing=blind)
    status, data = peer.exchange("e006000000")
    assert (status, data.hex()) == (0x9000, flags + "011600")
    assert peer.exchange("b001000000")[1].hex() == "0108457468657265756d06312e32322e300100"


@pytest.mark.parametrize(
    ("apdu", "status"),
    [
        ("e0ff000000", 0x6D00),
        ("e106000000", 0x6E00),
        ("e004800000", 0x6980),
        ("e004010000", 0x6B00),
        ("e004000300", 0x6B00),
        ("e004000200", 0x6980),
        ("e008800000", 0x6A80),
        ("e008010000", 0x6B00),
        ("e00c010000", 0x6B00),
        ("e00c000200", 0x6B00),
        ("e006000001", 0x6A87),
        ("e0", 0x6A87),
        ("e002020000", 0x6B00),
        ("e002000200", 0x6B00),
    ],
)
def test_requests_that_are_refused(app, apdu, status):
    assert app()[1].exchange(apdu)[0] == status


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("m", 0x6A80),
        ("m/44'", 0x6A15),
        ("m/44'/60'", 0x9000),
        ("m/44'/60'/0'/0/0", 0x9000),
        ("m/44'/60'/7'/0/0", 0x9000),
        ("m/45'", 0x9000),
        ("m/45'/1/2", 0x9000),
        ("m/84'/0'/0'", 0x6A15),
        ("m/44/60/0", 0x6A12),
        ("m/44'/60'/1/2/3/4/5/6/7/8", 0x9000),
        ("m/44'/60'/1/2/3/4/5/6/7/8/9", 0x6A80),
    ],
)
@pytest.mark.parametrize("display", [0, 1])
def test_addresses(app, text, status, display):
    device, peer = app()
    got, data = peer.command(0xE0, 0x02, display, 1, path(text))
    assert got == status
    if status == 0x9000:
        theirs = Account.from_mnemonic(MNEMONIC, account_path=text)
        assert len(data) == 1 + 65 + 1 + 40 + 32
        assert data[1:66] == b"\x04" + theirs._key_obj.public_key.to_bytes()
        assert data[67:107].decode() == theirs.address[2:]
        assert titles(device) == (["Verify Ethereum address", "Address", "Confirm"] if display else [])
        assert not display or device.pages[1].text == theirs.address


@pytest.mark.parametrize(
    ("chain", "title"),
    [
        (1, "Verify Ethereum address"),
        (137, "Verify Polygon address"),
        (11155111, "Verify Sepolia address"),
        (31337, "Verify address"),
    ],
)
def test_addresses_of_other_chains(app, chain, title):
    device, peer = app()
    assert peer.command(0xE0, 0x02, 1, 0, OUR_PATH + chain.to_bytes(8, "big"))[0] == 0x9000
    assert titles(device)[0] == title
    assert peer.command(0xE0, 0x02, 0, 0, OUR_PATH + b"x")[0] == 0x6A80
    assert peer.command(0xE0, 0x02, 0, 0, OUR_PATH[:-1])[0] == 0x6A80


def test_an_address_is_cancelled(app):
    device, peer = app(human=humans.reject())
    assert peer.command(0xE0, 0x02, 1, 0, OUR_PATH) == (0x6985, b"")
    assert titles(device) == ["Verify Ethereum address", "Cancel"]


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("chain", [1, 5, 109, 110, 137, 31337, 11155111, 2**32 - 1, 5 * 10**9, 2**40 + 3, 2**63])
@pytest.mark.parametrize("size", [255, 30])
def test_transactions(app, kind, chain, size):
    device, peer = app()
    raw, told = transaction(kind, chain)
    status, data = send(peer, 0x04, OUR_PATH + raw, size)
    theirs = Account.sign_transaction(told, OURS.key)
    assert status == 0x9000
    assert data[1:] == theirs.r.to_bytes(32, "big") + theirs.s.to_bytes(32, "big")
    if kind:
        assert data[0] == theirs.v
    else:
        counted = chain if chain < 2**32 else int.from_bytes(number(chain)[:4], "big")
        assert data[0] == (2 * counted + 35 + (theirs.v - 35 - 2 * chain)) & 0xFF
    network = [] if chain == 1 else ["Network"]
    assert titles(device) == ["Review transaction", "From", "Amount", "To", "Max fees", *network, "Sign transaction"]
    assert device.pages[1].text == OURS.address
    ticker = {137: "POL", 1: "ETH", 5: "ETH", 11155111: "ETH"}.get(chain, "???")
    assert device.pages[2].text == f"1 {ticker}"
    assert device.pages[4].text == f"0.00042 {ticker}"


def test_an_access_list(app):
    _, peer = app()
    for kind in (1, 2):
        raw, told = transaction(kind, access=(bytes(32), bytes(31) + b"x"))
        _, data = send(peer, 0x04, OUR_PATH + raw)
        assert data[1:33] == Account.sign_transaction(told, OURS.key).r.to_bytes(32, "big")


def test_a_transaction_is_refused(app):
    device, peer = app(human=humans.reject_at_amount())
    assert send(peer, 0x04, OUR_PATH + transaction(2)[0]) == (0x6985, b"")
    assert titles(device) == ["Review transaction", "From", "Amount", "Reject transaction"]
    assert peer.command(0xE0, 0x04, 0x80)[0] == 0x6980


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize(
    ("to", "data"), [(TO, bytes(range(200))), (TO, bytes(1_500)), (TO, b"\x05"), (TO, TOKEN_CALL), (b"", bytes(50))]
)
def test_data_needs_blind_signing(app, kind, to, data):
    raw, told = transaction(kind, to=to, data=data, value=0)
    device, peer = app(human=None)
    assert send(peer, 0x04, OUR_PATH + raw) == (0x6A80, b"")
    # a call is refused while it is read, and a page says why; a creation, a token call or less than a selector later
    told_why = bool(to) and len(data) >= 4 and data != TOKEN_CALL
    assert titles(device) == (["Blind signing must be enabled in settings"] if told_why else [])
    assert (device.page() is not None) is told_why
    device.press(Press.ACCEPT)
    assert device.page() is None
    device, peer = app(blind_signing=True)
    status, reply = send(peer, 0x04, OUR_PATH + raw)
    theirs = Account.sign_transaction(told, OURS.key)
    assert (status, reply[1:33]) == (0x9000, theirs.r.to_bytes(32, "big"))
    assert titles(device)[0] == "Blind signing ahead"
    assert titles(device)[-1] == "Accept risk and sign transaction"
    hashed = "".join(page.text for page in device.pages if page.title.startswith("Tx hash"))
    if data == TOKEN_CALL:
        # measured: without the vendor's description of the token neither payee nor amount is shown
        assert titles(device)[1:-1] == ["Review transaction to send ERC20 token", "From", "Max fees"]
        assert hashed == ""
    else:
        from bursar.crypto.hashes import keccak256

        assert hashed == "0x" + keccak256(raw).hex()
        assert "Amount" not in titles(device)


@pytest.mark.parametrize(
    ("selector", "size", "value", "status"),
    [
        ("a9059cbb", 132, 0, 0x9000),
        ("a9059cbb", 133, 0, 0x6A80),
        ("a9059cbb", 68, 7, 0x6A80),
        ("095ea7b3", 68, 7, 0x6A80),
        ("23b872dd", 133, 7, 0x9000),
    ],
)
def test_token_calls_with_value_or_too_much_data(app, selector, size, value, status):
    _, peer = app(blind_signing=True)
    data = (bytes.fromhex(selector) + bytes(range(1, 200)))[:size]
    assert send(peer, 0x04, OUR_PATH + transaction(2, data=data, value=value)[0])[0] == status


@pytest.mark.parametrize("cut", range(-4, 5))
def test_a_selector_must_come_whole(app, cut):
    _, peer = app(blind_signing=True)
    data = bytes(range(1, 60))
    whole = OUR_PATH + transaction(2, data=data, value=0)[0]
    at = whole.index(data) + cut
    assert peer.command(0xE0, 0x04, 0x00, 0, whole[:at]) == (
        (0x9000, b"") if cut not in (0, 1, 2, 3) else (0x6A80, b"")
    )
    if cut not in (0, 1, 2, 3):
        assert len(peer.command(0xE0, 0x04, 0x80, 0, whole[at:])[1]) == 65


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        *[(bytes((kind,)) + transaction(2)[0][1:], 0x6501) for kind in (0, 3, 5, 0x7F)],
        (rlp.encode([number(5), number(1), number(1), TO, b"", b""]), 0x9000),  # without chain id: it waits for more
        (transaction(2)[0][:-3], 0x9000),
        (b"\x84abcd", 0x6A80),
        (rlp.encode([bytes(33), b"", b"", TO, b"", b"", b"\x01", b"", b""]), 0x6A80),
        (rlp.encode([b"\x01", b"", b"", TO + b"x", b"", b"", b"\x01", b"", b""]), 0x6A80),
        (rlp.encode([b"\x01", b"", b"", TO, b"", b"", b"\x01" * 9, b"", b""]), 0x6A80),
        (rlp.encode([[b"a"], b"", b"", TO, b"", b"", b"\x01", b"", b""]), 0x6A80),
        (b"\x04" + rlp.encode([b"\x01", b"", b"", b"", b"", TO, b"", b"", [], []]), 0x9000),
        (transaction(2, value=2**256 - 1)[0], 0x6807),
    ],
)
def test_odd_transactions(app, raw, status):
    _, peer = app()
    got, data = send(peer, 0x04, OUR_PATH + raw)
    assert got == status
    assert data == b"" or raw[0] == 4


def test_what_follows_a_transaction_is_ignored(app):
    _, peer = app()
    raw, told = transaction(2)
    _, data = send(peer, 0x04, OUR_PATH + raw + b"\x00\x01\x02")
    assert data[1:33] == Account.sign_transaction(told, OURS.key).r.to_bytes(32, "big")


def test_fees_too_large_for_the_screen_are_not_shown(app):
    device, peer = app()
    assert send(peer, 0x04, OUR_PATH + transaction(2, price=2**200, gas=2**40)[0])[0] == 0x9000
    assert next(page for page in device.pages if page.title == "Max fees").text == ""


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_a_path_of_another_coin(app, kind):
    _, peer = app()
    assert send(peer, 0x04, path("m/84'/0'/0'") + transaction(kind)[0]) == (0x6A15, b"")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (b"hello", "hello"),
        (b"a\tb\nc\x0bd\re  f", "a b c d e  f"),
        (bytes(range(40)), "0x" + bytes(range(40)).hex()),
        ("hé".encode(), "0x" + "hé".encode().hex()),
        (b"\x7f", "0x7f"),
        (b"x" * 300, "x" * 300),
        (b"", ""),
    ],
)
def test_personal_messages(app, message, shown):
    device, peer = app()
    status, data = send(peer, 0x08, OUR_PATH + len(message).to_bytes(4, "big") + message)
    theirs = Account.sign_message(encode_defunct(message), OURS.key)
    assert (status, data[0], data[1:33]) == (0x9000, theirs.v, theirs.r.to_bytes(32, "big"))
    assert titles(device)[0] == "Review message"
    assert titles(device)[-1] == "Sign message"
    assert "".join(page.text for page in device.pages[1:-1]) == shown


def test_personal_messages_of_a_wrong_length(app):
    device, peer = app(human=humans.reject())
    head = OUR_PATH + (3).to_bytes(4, "big")
    assert peer.command(0xE0, 0x08, 0, 0, head + b"hello")[0] == 0x6A80
    assert peer.command(0xE0, 0x08, 0, 0, head + b"h") == (0x9000, b"")
    assert peer.command(0xE0, 0x08, 0, 0, head + b"h")[0] == 0x6980
    assert peer.command(0xE0, 0x08, 0, 0, head + b"hel") == (0x6985, b"")
    assert titles(device) == ["Review message", "Reject message"]
    assert peer.command(0xE0, 0x08, 0, 0, path("m/44'/60'/1/2/3/4/5/6/7/8/9") + bytes(4))[0] == 0x6A80


TYPED = {
    "types": {
        "EIP712Domain": [{"name": "name", "type": "string"}],
        "Note": [{"name": "text", "type": "string"}, {"name": "to", "type": "address"}],
    },
    "primaryType": "Note",
    "domain": {"name": "Test"},
    "message": {"text": "hello", "to": "0x" + TO.hex()},
}


def test_typed_data_by_its_hashes(app):
    signable = encode_typed_data(full_message=TYPED)
    payload = OUR_PATH + signable.header + signable.body
    device, peer = app()
    assert peer.command(0xE0, 0x0C, 0, 0, payload) == (0x6A80, b"")
    assert titles(device) == ["Blind signing must be enabled in settings"]
    device, peer = app(blind_signing=True)
    status, data = peer.command(0xE0, 0x0C, 0, 0, payload)
    theirs = Account.sign_message(signable, OURS.key)
    assert theirs.message_hash == _hash_eip191_message(signable)
    assert (status, data[0], data[1:33]) == (0x9000, theirs.v, theirs.r.to_bytes(32, "big"))
    assert titles(device)[:2] == ["Blind signing ahead", "Review typed message"]
    assert titles(device)[-1] == "Sign message"
    shown = "".join(page.text for page in device.pages if page.title.startswith("Domain hash"))
    assert shown == "0x" + signable.header.hex().upper()
    assert peer.command(0xE0, 0x0C, 0, 0, OUR_PATH + bytes(63))[0] == 0x6A80


@pytest.mark.parametrize(
    ("apdu", "status", "harm"),
    [
        ("e006000000", 0x9000, "mute"),
        ("b001000000", 0x9000, "mute"),
        ("e008000000", 0x6980, "gone"),
        ("e0ff000000", 0x6D00, "dies"),
        ("e106000000", 0x6E00, "dies"),
        ("e006000005", 0x6A87, "dies"),
        ("e00200001505" + OUR_PATH[1:].hex(), 0x9000, "dies"),
    ],
)
def test_intruders_during_a_review(app, apdu, status, harm):
    device, peer = app(human=None, speculos=True)
    raw, _ = transaction(2)
    peer.send(bytes((0xE0, 4, 0, 0, len(OUR_PATH + raw))) + OUR_PATH + raw)
    device.wait_for_page("Review")
    if apdu.startswith("e008"):
        apdu = (bytes((0xE0, 8, 0, 0, 26)) + OUR_PATH + (2).to_bytes(4, "big") + b"h").hex()
    assert peer.exchange(apdu)[0] == status
    if harm == "gone":
        assert device.page() is None
    elif harm == "dies":
        assert device.running
        device.press(Press.ACCEPT)
        assert not device.running
        return
    else:
        while device.page() is not None:
            device.press(Press.ACCEPT)
        assert titles(device)[-1] == "Sign transaction"
    assert peer.exchange("e006000000") == (0x9000, bytes.fromhex("02011600"))  # not the signature


def test_another_transaction_during_a_review_takes_its_place(app):
    device, peer = app(human=None)
    for nonce in (5, 6):
        raw, told = transaction(2, nonce=nonce)
        peer.send(bytes((0xE0, 4, 0, 0, len(OUR_PATH + raw))) + OUR_PATH + raw)
        device.wait_for_page("Review")
    while titles(device).count("Review transaction") < 2:
        device.wait_for_page("Review")
    while device.page() is not None:
        device.press(Press.ACCEPT)
    assert peer.receive()[1][1:33] == Account.sign_transaction(told, OURS.key).r.to_bytes(32, "big")
