"""Extended keys, addresses, default policies and messages: what the real app 2.4.6 answers."""

from __future__ import annotations

import base64

import pytest
from bursar_devices import humans
from embit import script as embit_script
from embit.networks import NETWORKS

from bursar.bitcoin.address import Address
from bursar.bitcoin.message import verify_message
from bursar.bitcoin.network import Network

FREELY = {
    "m/84'/1'/0'",
    "m/84'/1'/100'",
    "m/86'/1'/5'",
    "m/48'/1'/0'/2'",
    "m/45'/1'/0'",
    "m/4541509'/1112098098'",
    "m/84'/1'/0'/0/0",
}
WHEN_SHOWN = {"m/84'/1'/101'", "m/48'/1'/0'/3'", "m/45'", "m/84'/1'/0'/0'/0", "m/9999'/1'/0'", "m/49'/1'/2147483647'"}
NEVER = {"m", "m/84'", "m/84'/1'", "m/84'/0'/0'", "m/44'/60'/0'", "m/0/1"}


def status(talk) -> tuple[int, str]:
    code, detail = talk.transport_client.details[-1]
    return code, detail.hex()


def refused(talk, ask, *arguments) -> tuple[int, str]:
    with pytest.raises(Exception, match="0x"):
        ask(*arguments)
    return status(talk)


def test_version_and_fingerprint(start, client, wallet):
    talk = client(start())
    assert talk.get_version() == ("Bitcoin Test", "2.4.6", b"\x00")
    assert talk.get_master_fingerprint() == wallet.fingerprint == bytes.fromhex("73c5da0a")


def test_the_version_is_what_it_is_told_to_be(start, client):
    assert client(start(version="2.3.0", app="Bitcoin")).get_version()[:2] == ("Bitcoin", "2.3.0")


@pytest.mark.parametrize("path", sorted(FREELY | WHEN_SHOWN | NEVER))
def test_extended_keys(start, client, wallet, path):
    device = start()
    talk = client(device)
    for display in (False, True):
        device.pages.clear()
        if path in NEVER or (path in WHEN_SHOWN and not display):
            assert refused(talk, talk.get_extended_pubkey, path, display) == (0x6A82, "")
            assert device.pages == []
            continue
        text = talk.get_extended_pubkey(path, display)
        assert text == wallet.xpub(path)
        if display:
            titles = [page.title for page in device.pages]
            assert titles[:2] == ["Confirm public key", "Path"]
            assert titles[-1] == "Approve public key"
            assert "".join(page.text for page in device.pages if "Public key (" in page.title) == text
            assert device.pages[1].text == path.removeprefix("m/")


def test_an_extended_key_is_refused(start, client):
    device = start(human=humans.reject_at_page("Path"))
    talk = client(device)
    assert refused(talk, talk.get_extended_pubkey, "m/84'/1'/0'", True) == (0x6985, "")
    assert [page.title for page in device.pages] == ["Confirm public key", "Path", "Reject operation"]


@pytest.mark.parametrize("kind", ["pkh", "sh", "wpkh", "tr"])
@pytest.mark.parametrize(("branch", "index"), [(0, 0), (1, 7), (0, 50_000)])
def test_addresses(start, client, wallet, kind, branch, index):
    device = start()
    text = client(device).get_wallet_address(wallet.policy(kind), None, branch, index, True)
    key = wallet.public(wallet.path(kind, branch, index))
    assert text == embit_script.Script(wallet.script(kind, key)).address(NETWORKS["test"])
    titles = [page.title for page in device.pages]
    assert titles[0] == "Verify bitcoin address"
    assert titles[-1] == "Confirm"
    assert "".join(page.text for page in device.pages[1:-1]) == text


def test_addresses_far_out_are_not_shown(start, client, wallet):
    talk = client(start())
    assert refused(talk, talk.get_wallet_address, wallet.policy("wpkh"), None, 0, 50_001, False) == (0x6A80, "")
    assert refused(talk, talk.get_wallet_address, wallet.policy("wpkh"), None, 0, 2**31, False) == (0x6A80, "")


def test_an_address_is_cancelled(start, client, wallet):
    device = start(human=humans.reject())
    talk = client(device)
    assert refused(talk, talk.get_wallet_address, wallet.policy("wpkh"), None, 0, 0, True) == (0x6985, "")
    assert [page.title for page in device.pages] == ["Verify bitcoin address", "Cancel"]


def odd_policies(wallet):
    from ledger_bitcoin import WalletPolicy

    key = wallet.key_info("wpkh")
    xpub = key.split("]")[1]
    fingerprint = wallet.fingerprint.hex()
    return {
        "named": WalletPolicy("n", "wpkh(@0/**)", [key]),
        "branches turned round": WalletPolicy("", "wpkh(@0/<1;0>/*)", [key]),
        "one branch": WalletPolicy("", "wpkh(@0/0/*)", [key]),
        "no origin": WalletPolicy("", "wpkh(@0/**)", [xpub]),
        "wrong origin": WalletPolicy("", "wpkh(@0/**)", [f"[{fingerprint}/84'/1'/1']{xpub}"]),
        "foreign origin": WalletPolicy("", "wpkh(@0/**)", [f"[00000000/84'/1'/0']{xpub}"]),
        "h for '": WalletPolicy("", "wpkh(@0/**)", [key.replace("'", "h")]),
        "capital fingerprint": WalletPolicy("", "wpkh(@0/**)", [f"[{fingerprint.upper()}/84'/1'/0']{xpub}"]),
        "another purpose": WalletPolicy("", "pkh(@0/**)", [key]),
        "account 101": WalletPolicy("", "wpkh(@0/**)", [wallet.key_info("wpkh", 101)]),
        "two keys": WalletPolicy("", "wpkh(@0/**)", [key, key]),
        "a wildcard": WalletPolicy("", "wpkh(@0/**)", [key + "/**"]),
        "a script": WalletPolicy("", "wsh(pk(@0/**))", [key]),
        "leading zero": WalletPolicy("", "wpkh(@00/**)", [key]),
        "nonsense": WalletPolicy("", "foo", [key]),
        "trailing space": WalletPolicy("", "wpkh(@0/**) ", [key]),
    }


@pytest.mark.parametrize("name", [
    "named", "branches turned round", "one branch", "no origin", "wrong origin", "foreign origin", "h for '",
    "capital fingerprint", "another purpose", "account 101", "two keys", "a wildcard", "a script", "leading zero",
    "nonsense", "trailing space",
])  # fmt: skip
def test_policies_that_are_not_default(start, client, wallet, name):
    talk = client(start())
    policy = odd_policies(wallet)[name]
    details = {"named": "0001", "one branch": "", "leading zero": "", "nonsense": "", "trailing space": ""}
    assert refused(talk, talk.get_wallet_address, policy, None, 0, 0, False) == (0x6A80, "")
    wanted = (0x6A80, details.get(name, "0000"))
    assert refused(talk, talk.sign_psbt, wallet.psbt().serialize(), policy, None) == wanted


def test_default_policies_may_spell_out_their_branches(start, client, wallet):
    from ledger_bitcoin import WalletPolicy

    talk = client(start())
    spelt = WalletPolicy("", "wpkh(@0/<0;1>/*)", [wallet.key_info("wpkh")])
    assert talk.get_wallet_address(spelt, None, 0, 3, False) == talk.get_wallet_address(
        wallet.policy("wpkh"), None, 0, 3, False
    )


@pytest.mark.parametrize("purpose", [44, 49, 84, 86])
@pytest.mark.parametrize("message", ["hello", "", "x" * 64, "y z " * 50, "a" * 640, "line\nline"])
def test_messages(start, client, wallet, purpose, message):
    device = start()
    path = f"m/{purpose}'/1'/0'/0/3"
    signature = client(device).sign_message(message, path)
    assert base64.b64decode(signature)[0] in (31, 32)
    kind = wallet.script("pkh", wallet.public(path))
    verify_message(Address.from_script(kind, Network.TESTNET), message.encode(), signature)
    titles = [page.title for page in device.pages]
    assert titles[:2] == ["Review message", "Path"]
    assert titles[-1] == "Sign message"
    shown = [line for page in device.pages if page.title.startswith("Message") for line in page.lines]
    assert "".join(shown) == message.replace("\n", "")


@pytest.mark.parametrize("message", ["b" * 641, "ü", "tab\t"])
def test_messages_that_are_shown_as_a_hash(start, client, message):
    from hashlib import sha256

    device = start()
    client(device).sign_message(message, "m/84'/1'/0'/0/3")
    told = "".join(page.text for page in device.pages if page.title.startswith("Message hash"))
    assert told == sha256(message.encode()).hexdigest().upper()


def test_a_message_is_refused(start, client):
    device = start(human=humans.reject_at_page("Message"))
    talk = client(device)
    assert refused(talk, talk.sign_message, "no", "m/84'/1'/0'/0/0") == (0x6985, "")
    assert device.pages[-1].title == "Reject message"


@pytest.mark.parametrize("path", ["m/84'/0'/0'/0/0", "m/44'/60'/0'/0/0"])
def test_a_message_for_another_coin_fails_only_after_the_review(start, client, path):
    device = start()
    talk = client(device)
    assert refused(talk, talk.sign_message, "hi", path) == (0xB007, "")
    assert device.pages[-1].title == "Sign message"


@pytest.mark.parametrize(
    ("apdu", "answer"),
    [
        ("e1050001", (0x9000, "73c5da0a")),
        ("e105000101", (0x6A87, "")),
        ("e105000200", (0x6A86, "")),
        ("e105ff0100", (0x9000, "73c5da0a")),
        ("e1ff000100", (0x6D00, "")),
        ("e205000100", (0x6E00, "")),
        ("e001000000", (0x6E00, "")),
        ("f801000100", (0xB007, "")),
        ("e100000100", (0x6A87, "")),
        ("e10000010202ff", (0x6A80, "")),
        ("e10000010100", (0x6A87, "")),
        ("b001000000", (0x9000, "010c426974636f696e205465737405322e342e360100")),
        ("e1", (0x6A87, "")),
    ],
)
def test_bare_requests(start, connect, apdu, answer):
    code, data = connect(start()).exchange(apdu)
    assert (code, data.hex()) == answer
