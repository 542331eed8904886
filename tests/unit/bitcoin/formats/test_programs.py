"""Files as the programs themselves write them: names of fields, habits and oddities, with keys of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from embit import bip32 as embit_bip32
from embit import script as embit_script
from embit.descriptor import Descriptor as EmbitDescriptor

from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.formats import WalletFile, WalletFormat, read_wallet_files, write_wallet_files
from bursar.bitcoin.labels import LabelType
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError
from bursar.keys.bip32 import ExtendedPrivateKey, ExtendedPublicKey
from bursar.keys.scheme import MultisigScript, Scheme
from bursar.keys.slip132 import prefixed_text

Wallets = Callable[[Network], dict[str, Descriptor]]


@pytest.fixture
def main(wallets: Wallets) -> dict[str, Descriptor]:
    return wallets(Network.MAIN)


def texts(descriptor: Descriptor) -> list[tuple[str, str, ExtendedPublicKey]]:
    """Fingerprint, path and extended key of each key."""
    found = []
    for one in descriptor.keys:
        assert one.origin is not None
        assert isinstance(one.key, ExtendedPublicKey)
        found.append((str(one.origin.fingerprint), f"m{one.origin.path.suffix()}".replace("h", "'"), one.key))
    return found


def refused(data: object, code: str = "input.wallet-file", **options: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        read_wallet_files(data if isinstance(data, str | bytes) else json.dumps(data), **options)
    assert caught.value.code == code, caught.value
    return str(caught.value)


def test_second_implementation_derives_the_same(main: dict[str, Descriptor]) -> None:
    for name in ("BIP44", "BIP49", "BIP84", "BIP86", "sh", "sh-wsh", "wsh", "wsh in order"):
        text = write_wallet_files(WalletFormat.DESCRIPTOR, WalletFile(name, Network.MAIN, main[name]))
        line = next(one for one in text.splitlines() if "<0;1>" in one)
        theirs = EmbitDescriptor.from_string(line.partition("#")[0])
        for branch in (0, 1):
            script: embit_script.Script = theirs.derive(5, branch_index=branch).script_pubkey()
            assert script.data == main[name].script(branch, 5)
    _, _, key = texts(main["BIP84"])[0]
    assert embit_bip32.HDKey.from_string(prefixed_text(key, Scheme.BIP84)).to_base58(b"\x04\x88\xb2\x1e") == str(key)


# Bitcoin Core


def test_core_lists_receive_and_change_apart(main: dict[str, Descriptor]) -> None:
    receive, change = main["BIP84"].expand()
    listed = {
        "wallet_name": "hot",
        "descriptors": [
            {"desc": str(change), "timestamp": 5, "active": True, "internal": True, "range": [0, 999], "next": 2},
            {"desc": str(receive), "timestamp": 7, "active": True, "internal": False, "next_index": 9, "next": 9},
        ],
    }
    (file,) = read_wallet_files(json.dumps(listed))
    assert (file.name, file.descriptor, file.birth_time, file.next_index) == ("hot", main["BIP84"], 5, (9, 2))


def test_core_says_nothing_of_the_branch_of_a_descriptor_not_in_use(main: dict[str, Descriptor]) -> None:
    receive, change = main["wsh"].expand()
    (file,) = read_wallet_files(json.dumps([{"desc": str(receive), "timestamp": "now"}, {"desc": str(change)}]))
    assert file.descriptor == main["wsh"]
    assert file.birth_time is None
    four, seven = main["other branches"].expand()
    assert len(read_wallet_files(json.dumps([{"desc": str(four)}, {"desc": str(seven)}]))) == 2


def test_core_private_keys_stay_behind() -> None:
    root = ExtendedPrivateKey.from_seed(bytes(32))
    secret = root.text().expose().decode()
    listed = [
        {"desc": f"wpkh({secret}/84h/0h/0h/{branch}/*)", "active": True, "internal": branch == 1} for branch in (0, 1)
    ]
    (file,) = read_wallet_files(json.dumps(listed))
    assert secret not in repr(file)
    assert str(file.descriptor).startswith(f"wpkh([{root.fingerprint}/84h/0h/0h]xpub")
    assert "private" in file.remarks[0]


def test_core_takes_what_is_written(main: dict[str, Descriptor]) -> None:
    file = WalletFile("x", Network.MAIN, main["wsh"], birth_time=1_700_000_000, next_index=(5, 0))
    receive, change = json.loads(write_wallet_files(WalletFormat.CORE, file))
    assert receive == {
        "desc": str(main["wsh"].expand()[0]),
        "timestamp": 1_700_000_000,
        "active": True,
        "internal": False,
        "range": [0, 1004],
        "next_index": 5,
    }
    assert (change["internal"], change["range"]) == (True, [0, 999])
    assert (
        json.loads(write_wallet_files(WalletFormat.CORE, WalletFile("x", Network.MAIN, main["wsh"])))[0]["timestamp"]
        == 0
    )


def test_core_labels_single_addresses(main: dict[str, Descriptor]) -> None:
    (file,) = read_wallet_files(json.dumps([{"desc": str(main["one address"]), "label": "rent"}]))
    assert [(one.reference, one.label) for one in file.labels] == [(file.address(), "rent")]
    assert json.loads(write_wallet_files(WalletFormat.CORE, file))[0]["label"] == "rent"
    refused([{"desc": str(main["BIP84"]), "active": "yes"}])
    refused([{"desc": str(main["BIP84"]), "timestamp": -1}])


# Specter


def test_specter_exports_without_branches_or_with_the_receiving_one(main: dict[str, Descriptor]) -> None:
    receive, change = main["wsh"].expand()
    bare = main["wsh"].bare.replace("/<0;1>/*", "")
    devices = [{"type": "trezor", "label": "a"}, {"type": "other", "label": "b"}, "c"]
    for text in (str(receive), bare, receive.bare.replace("h/", "'/").replace("h]", "']")):
        (file,) = read_wallet_files(
            json.dumps({"label": "s", "blockheight": 7, "descriptor": text, "devices": devices})
        )
        assert (file.name, file.birth_height, file.descriptor) == ("s", 7, main["wsh"])
        assert "/1/*" in file.remarks[0]
        assert [one.label for one in file.key_names] == ["a", "b", "c"]
    own = {"name": "s", "recv_descriptor": str(receive), "change_descriptor": str(change), "devices": ["one"]}
    (file,) = read_wallet_files(json.dumps(own))
    assert (file.descriptor, file.remarks, file.key_names) == (main["wsh"], (), ())
    refused({**own, "change_descriptor": str(main["sh"].expand()[1])})
    refused({"label": "s", "blockheight": -1, "descriptor": bare})


def test_specter_diy_line(main: dict[str, Descriptor]) -> None:
    for tail in ("", "/{0,1}/*", "/0/*"):
        line = f"addwallet My wallet&{main['wsh'].bare.replace('/<0;1>/*', tail)}"
        (file,) = read_wallet_files(line)
        assert (file.name, file.descriptor) == ("My wallet", main["wsh"])
    with pytest.raises(InvalidInputError):
        write_wallet_files(WalletFormat.SPECTER_DIY, WalletFile("a&b", Network.MAIN, main["wsh"]))


# texts of descriptors


def test_descriptor_texts(main: dict[str, Descriptor]) -> None:
    receive, change = main["BIP84"].expand()
    for text in (
        str(main["BIP84"]),
        main["BIP84"].bare,
        f"Receive: {receive}",
        f"{receive}\r\n\r\n{change}",
        f"# Receive and change descriptor (BIP389):\n{main['BIP84']}\n\n# Receive descriptor:\n{receive}",
    ):
        assert read_wallet_files(text)[0].descriptor == main["BIP84"]
    refused(f"{receive}\n{main['wsh'].expand()[0]}")
    refused(f"{main['BIP84']}\n{main['wsh']}")
    refused(f"{receive}\n{receive}")
    refused(f"{main['BIP84']}x".replace("#", "#q"), "input.descriptor.checksum")


# Coldcard


def coldcard(descriptor: Descriptor, *, policy: str = "2 of 3", form: str = "P2WSH") -> str:
    keys = texts(descriptor)
    lines = [f"{mark.upper()}: {key}" for mark, _, key in keys]
    return f"# Coldcard Multisig setup file (created on {keys[0][0]})\n#\nName: CC\nPolicy: {policy}\n" + (
        f"Derivation: {keys[0][1]}\nFormat: {form}\n\n" + "\n".join(lines) + "\n"
    )


def test_coldcard_files(main: dict[str, Descriptor]) -> None:
    text = coldcard(main["wsh"])
    assert read_wallet_files(text)[0].descriptor == main["wsh"]
    windows = text.replace("\n", "\r\n").replace("2 of 3", "2/3").replace("Format", "FORMAT")
    assert read_wallet_files(windows)[0].descriptor == main["wsh"]
    assert read_wallet_files(coldcard(main["sh-wsh"], form="P2WSH-P2SH"))[0].descriptor == main["sh-wsh"]
    assert read_wallet_files(coldcard(main["sh"], form="P2SH"))[0].descriptor == main["sh"]
    each = coldcard(main["wsh"])
    for _, path, key in texts(main["wsh"]):
        each = each.replace(f"{key}", f"{key}\n# derivation: {path}")
    assert read_wallet_files(each)[0].descriptor == main["wsh"]
    zpub = coldcard(main["wsh"])
    for _, _, key in texts(main["wsh"]):
        zpub = zpub.replace(str(key), prefixed_text(key, MultisigScript.WSH))
    assert read_wallet_files(zpub)[0].descriptor == main["wsh"]
    refused(zpub.replace("P2WSH", "P2SH"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 of 3", "2 of 4"),
        ("2 of 3", "4 of 3"),
        ("2 of 3", "0 of 3"),
        ("2 of 3", "two of three"),
        ("P2WSH", "P2TR"),
        ("Name: CC", "Name: CC\nName: CD"),
    ],
)
def test_malformed_coldcard_files(main: dict[str, Descriptor], old: str, new: str) -> None:
    refused(coldcard(main["wsh"]).replace(old, new))


def test_a_coldcard_file_needs_origins(main: dict[str, Descriptor]) -> None:
    bare = main["wsh"].bare
    first = bare[bare.index("[") : bare.index("]") + 1]
    with pytest.raises(InvalidInputError, match="no origin"):
        write_wallet_files(
            WalletFormat.COLDCARD, WalletFile("x", Network.MAIN, Descriptor.parse(bare.replace(first, "")))
        )


def test_a_key_given_twice_is_refused(main: dict[str, Descriptor]) -> None:
    keys = [str(key) for _, _, key in texts(main["wsh"])]
    refused(coldcard(main["wsh"]).replace(keys[1], keys[0]))


# Caravan


def caravan(descriptor: Descriptor) -> dict[str, Any]:
    return {
        "name": "C",
        "uuid": "1",
        "addressType": "P2WSH",
        "network": "mainnet",
        "client": {"type": "private", "url": "http://localhost:8332"},
        "quorum": {"requiredSigners": 2, "totalSigners": 3},
        "extendedPublicKeys": [
            {"name": f"k{n}", "bip32Path": path, "xpub": str(key), "xfp": mark, "method": "ledger"}
            for n, (mark, path, key) in enumerate(texts(descriptor))
        ],
        "startingAddressIndex": 4,
        "ledgerPolicyHmacs": [{"xfp": "4ba43603", "policyHmac": "ab" * 32}],
    }


def test_caravan_files(main: dict[str, Descriptor]) -> None:
    (file,) = read_wallet_files(json.dumps(caravan(main["wsh"])))
    assert (file.name, file.descriptor) == ("C", main["wsh"])
    assert file.ledger_hmacs[0][1] == b"\xab" * 32
    unknown = caravan(main["wsh"])
    unknown["extendedPublicKeys"][0]["bip32Path"] = "Unknown"
    del unknown["extendedPublicKeys"][1]["xfp"]
    del unknown["ledgerPolicyHmacs"]
    (file,) = read_wallet_files(json.dumps(unknown))
    assert [one.origin is None for one in file.descriptor.keys] == [True, True, False]
    assert file.remarks
    assert file.address() == main["wsh"].address(Network.MAIN).text
    assert read_wallet_files(write_wallet_files(WalletFormat.CARAVAN, file))[0].descriptor == file.descriptor
    old = caravan(main["sh-wsh"]) | {"addressType": "P2SH_P2WSH"}
    assert read_wallet_files(json.dumps(old))[0].descriptor == main["sh-wsh"]


@pytest.mark.parametrize(
    "changed",
    [
        {"quorum": {"requiredSigners": 0, "totalSigners": 3}},
        {"quorum": {"requiredSigners": 2, "totalSigners": 2}},
        {"quorum": {"requiredSigners": "2", "totalSigners": 3}},
        {"quorum": 2},
        {"addressType": "P2TR"},
        {"network": "main"},
        {"extendedPublicKeys": {}},
        {"ledgerPolicyHmacs": [{"xfp": "4ba43603", "policyHmac": "ab"}]},
    ],
)
def test_malformed_caravan_files(main: dict[str, Descriptor], changed: dict[str, Any]) -> None:
    refused({**caravan(main["wsh"]), **changed})


# Electrum


def electrum(descriptor: Descriptor, script: Scheme | MultisigScript, *, slash: str = "/") -> dict[str, Any]:
    stores = [
        {
            "type": "bip32",
            "xpub": prefixed_text(key, script),
            "derivation": path,
            "root_fingerprint": mark,
            "xprv": None,
        }
        for mark, path, key in texts(descriptor)
    ]
    if len(stores) == 1:
        return {"wallet_type": "standard", "seed_version": 71, "use_encryption": False, "keystore": stores[0]}
    return {"wallet_type": "2of3", "seed_version": 71} | {f"x{n}{slash}": one for n, one in enumerate(stores, 1)}


def test_electrum_files(main: dict[str, Descriptor]) -> None:
    for name, script in (("BIP44", Scheme.BIP44), ("BIP49", Scheme.BIP49), ("BIP84", Scheme.BIP84)):
        assert read_wallet_files(json.dumps(electrum(main[name], script)))[0].descriptor == main[name]
    for slash in ("/", ""):  # older and newer layouts
        for name, script in (("sh", MultisigScript.SH), ("sh-wsh", MultisigScript.SH_WSH), ("wsh", MultisigScript.WSH)):
            document = electrum(main[name], script, slash=slash)
            assert read_wallet_files(json.dumps(document))[0].descriptor == main[name]


def test_electrum_first_address_and_network_are_compared(main: dict[str, Descriptor], wallets: Wallets) -> None:
    document = electrum(main["wsh"], MultisigScript.WSH)
    good = main["wsh"].address(Network.MAIN).text
    assert read_wallet_files(json.dumps({**document, "addresses": {"receiving": [good], "change": []}}))
    other = main["sh"].address(Network.MAIN).text
    refused({**document, "addresses": {"receiving": [other]}}, "input.wallet-file.address")
    refused({**document, "addresses": {"receiving": ["x"]}}, "input.wallet-file.address")
    signet = electrum(wallets(Network.SIGNET)["wsh"], MultisigScript.WSH)
    signet["genesis_blockhash"] = Network.SIGNET.genesis_hash
    assert read_wallet_files(json.dumps(signet))[0].network is Network.SIGNET
    refused(signet, "input.network", network=Network.TESTNET)


def test_electrum_hardware_seeds_labels_and_frozen_coins(main: dict[str, Descriptor]) -> None:
    document = electrum(main["BIP84"], Scheme.BIP84)
    fingerprint = bytes.fromhex(document["keystore"].pop("root_fingerprint"))
    document["keystore"] |= {"type": "hardware", "hw_type": "coldcard", "label": "C"}
    document["keystore"]["ckcc_xfp"] = int.from_bytes(fingerprint, "little")
    document["keystore"]["seed"] = "never shown"
    address = main["BIP84"].address(Network.MAIN).text
    document["labels"] = {"ab" * 32: "paid", address: "mine", "cd" * 32 + ":0": "coin", "elsewhere": "?"}
    document["frozen_coins"] = {"cd" * 32 + ":0": True, "ef" * 32 + ":1": False}
    document["frozen_addresses"] = [address]
    (file,) = read_wallet_files(json.dumps(document))
    assert file.descriptor == main["BIP84"]
    assert (file.key_names[0].label, file.key_names[0].kind) == ("C", "coldcard")
    said = {(one.type, one.label, one.spendable) for one in file.labels}
    assert said == {
        (LabelType.TX, "paid", None),
        (LabelType.ADDRESS, "mine", None),
        (LabelType.OUTPUT, "coin", False),
        (LabelType.OUTPUT, None, True),
    }
    assert len(file.remarks) == 3
    assert "never shown" not in repr(file)


def test_electrum_appends_changes(main: dict[str, Descriptor]) -> None:
    document = electrum(main["BIP84"], Scheme.BIP84) | {"labels": {"ab" * 32: "old", "ef" * 32: "gone"}}
    changes = [
        {"op": "replace", "path": f"/labels/{'ab' * 32}", "value": "new"},
        {"op": "remove", "path": f"/labels/{'ef' * 32}"},
        {"op": "add", "path": "/frozen_coins", "value": {"cd" * 32 + ":0": True}},
        {"op": "add", "path": "/spent_outpoints/x", "value": {}},
    ]
    text = json.dumps(document) + "".join(f",\n{json.dumps(one)}" for one in changes)
    for tail in ("", ",\n"):
        (file,) = read_wallet_files(text + tail)
        assert {(one.label, one.spendable) for one in file.labels} == {("new", None), (None, False)}


@pytest.mark.parametrize("start", ["QklFMQ", "QklFMg"])  # BIE1 and BIE2 in base64
def test_electrum_files_that_are_encrypted_are_refused_by_name(start: str) -> None:
    assert "without password" in refused(start + "Aa" * 50, "input.wallet-file.encrypted")


def test_malformed_electrum_files(main: dict[str, Descriptor]) -> None:
    good = electrum(main["wsh"], MultisigScript.WSH)
    refused({**good, "x1/": {**good["x1/"], "type": "old"}})
    refused({**good, "x1/": {**good["x1/"], "xpub": 7}})
    refused({**good, "x1/": {**good["x1/"], "xpub": "Zpub1"}}, "input.wallet-file.key")
    refused({**good, "x1/": {**good["x1/"], "xpub": str(texts(main["wsh"])[0][2])}})
    refused(electrum(main["BIP84"], MultisigScript.WSH))
    refused(electrum(main["wsh"], Scheme.BIP84))
    refused({**good, "labels": [1]})
    for name in ("BIP86", "wsh in order", "miniscript"):
        with pytest.raises(InvalidInputError):
            write_wallet_files(WalletFormat.ELECTRUM, WalletFile("x", Network.MAIN, main[name]))


def test_encrypted_set_up_files_are_refused_by_name() -> None:
    assert "token" in refused("ab" * 100, "input.wallet-file.encrypted")
