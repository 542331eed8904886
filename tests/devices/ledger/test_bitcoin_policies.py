"""Registered wallet policies (BIP-388): HMACs and refusals of the real app 2.4.6, addresses, signatures."""

from __future__ import annotations

import re

import pytest
from bursar_devices import humans
from embit import ec
from embit import psbt as embit_psbt
from embit.descriptor import Descriptor
from embit.hashes import tagged_hash
from embit.networks import NETWORKS
from embit.script import Script

from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import OutPoint, Transaction, Txid, TxIn, TxOut
from bursar.bitcoin.units import Sats
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import KeyOrigin

ORIGIN = "48'/1'/0'/2'"
OTHERS = ("all " * 11 + "all", "zoo " * 11 + "wrong")
NUMS = "tpubD6NzVbkrYhZ4WLczPJWReQycCJdd6YVWXubbVUFnJ5KgU5MDQrD998ZJLSmaB7GVcCnJSDWprxmrGkJ6SvgQC6QAffVpqSvonXmeizXcrkN"

# name, template, which keys (0 is the device's)
REGISTERED = {
    "wsh sorted": ("multi", "wsh(sortedmulti(2,@0/**,@1/**))", (0, 1)),
    "wsh": ("A name", "wsh(multi(2,@0/**,@1/**,@2/**))", (0, 1, 2)),
    "sh wsh": ("shwsh", "sh(wsh(sortedmulti(1,@0/**,@1/**)))", (1, 0)),
    "sh": ("sh", "sh(sortedmulti(2,@0/<0;1>/*,@1/<0;1>/*))", (1, 0)),
    "wsh pk": ("pk", "wsh(pk(@0/**))", (0,)),
    "decaying": ("Decaying", "wsh(or_d(pk(@0/**),and_v(v:pkh(@1/**),older(144))))", (0, 1)),
    "thresh": ("thr", "wsh(thresh(2,pk(@0/**),s:pk(@1/**),sln:older(12960)))", (0, 1)),
    "odd branches": ("odd", "wpkh(@0/<2;3>/*)", (0,)),
    "used twice": ("dup", "wsh(multi(2,@0/**,@1/**,@0/<2;3>/*))", (0, 1)),
    "tr leaf": ("tap", "tr(@0/**,pk(@1/**))", (0, 1)),
    "tr leaf ours": ("tap ours", "tr(@0/**,pk(@1/**))", (1, 0)),
    "tr tree": (
        "tree",
        "tr(@0/**,{pk(@1/**),{multi_a(2,@0/<2;3>/*,@2/**),and_v(v:pk(@2/<2;3>/*),older(5))}})",
        (0, 1, 2),
    ),
    "tr sorted": ("sma", "tr(@0/**,sortedmulti_a(2,@1/**,@2/**))", (1, 0, 2)),
    "tr": ("named", "tr(@0/**)", (0,)),
}
HMACS = {  # how the real app's HMAC of each begins
    "wsh sorted": "ec63d4f8ae5bc107",
    "wsh": "726eed02b14b04d6",
    "sh wsh": "036b495b06751d5d",
    "sh": "d5160a21bc9cb29c",
    "wsh pk": "b13ba7aea158cfac",
    "decaying": "004bf086a4fc5ea1",
    "thresh": "d9ac258805eba6d8",
    "odd branches": "8bc415b69fc85902",
    "used twice": "f84ec0cb1e273ae9",
    "tr leaf": "3f62ef25bbd745d2",
    "tr leaf ours": "43ab32a6886867bc",
    "tr tree": "ed36ff6c00181a9c",
    "tr sorted": "14dd52c2891e14a8",
    "tr": "25238f03d0312711",
}
REFUSED = {
    "no name": ("", "wsh(sortedmulti(2,@0/**,@1/**))", (0, 1), (0x6A80, "0000")),
    "65 characters": ("n" * 65, "wsh(sortedmulti(2,@0/**,@1/**))", (0, 1), (0x6A80, "")),
    "not ascii": ("né", "wsh(sortedmulti(2,@0/**,@1/**))", (0, 1), (0x6A80, "0000")),
    "leading space": (" n", "wsh(sortedmulti(2,@0/**,@1/**))", (0, 1), (0x6A80, "0000")),
    "no key of ours": ("n", "wsh(sortedmulti(2,@0/**,@1/**))", (1, 2), (0x6A80, "0002")),
    "a key twice": ("n", "wsh(sortedmulti(2,@0/**,@1/**))", (0, 0), (0x6A82, "0001")),
    "a path twice": ("n", "wsh(multi(2,@0/**,@1/**,@0/**))", (0, 1), (0x6A82, "0001")),
    "a branch twice": ("n", "wsh(multi(2,@0/**,@1/**,@0/<1;2>/*))", (0, 1), (0x6A82, "0001")),
    "too few keys": ("n", "wsh(sortedmulti(2,@0/**,@1/**))", (0,), (0x6A80, "")),
    "too many keys": ("n", "wsh(sortedmulti(2,@0/**,@1/**))", (0, 1, 2), (0x6A80, "")),
    "three of two": ("n", "wsh(sortedmulti(3,@0/**,@1/**))", (0, 1), (0x6A80, "")),
    "older(0)": ("n", "wsh(and_v(v:pk(@0/**),older(0)))", (0,), (0x6A80, "")),
    "older(65536)": ("n", "wsh(and_v(v:pk(@0/**),older(65536)))", (0,), (0x6A82, "0001")),
    "no signature": ("n", "wsh(or_i(pk(@0/**),older(5)))", (0,), (0x6A82, "0001")),
    "ill typed": ("n", "wsh(and_v(pk(@0/**),pk(@1/**)))", (0, 1), (0x6A80, "")),
    "mixed time locks": ("n", "wsh(and_v(v:and_v(v:pk(@0/**),after(5)),after(500000001)))", (0,), (0x6A82, "0001")),
    "bare": ("n", "multi(1,@0/**)", (0,), (0x6A82, "")),
    "wpkh in wsh": ("n", "wsh(wpkh(@0/**))", (0,), (0x6A80, "")),
    "multi_a in sh": ("n", "sh(multi_a(1,@0/**))", (0,), (0x6A80, "")),
    "musig in wsh": ("n", "wsh(pk(musig(@0,@1)/**))", (0, 1), (0x6A80, "")),
    "a space": ("n", "wsh(multi(2, @0/**,@1/**))", (0, 1), (0x6A80, "")),
    "hardened": ("n", "wpkh(@0/<0';1'>/*)", (0,), (0x6A80, "")),
    "one branch": ("n", "wpkh(@0/<1;1>/*)", (0,), (0x6A80, "")),
}


@pytest.fixture
def policy(wallet):
    """A function from an entry of the tables to the vendor's policy."""
    from ledger_bitcoin import WalletPolicy

    holders = [wallet, *[type(wallet)(mnemonic=mnemonic) for mnemonic in OTHERS]]

    def make(name, template, keys):
        infos = []
        for key in keys:
            path = "86'/1'/0'" if template == "tr(@0/**)" else ORIGIN
            infos.append(f"[{holders[key].fingerprint.hex()}/{path}]{holders[key].xpub('m/' + path)}")
        return WalletPolicy(name, template, infos)

    return make


def register(talk, policy):
    """Without the check of the first address that the client makes afterwards."""
    from ledger_bitcoin.client_command import ClientCommandInterpreter

    host = ClientCommandInterpreter()
    host.add_known_preimage(policy.serialize())
    host.add_known_list([key.encode() for key in policy.keys_info])
    host.add_known_preimage(policy.descriptor_template.encode())
    status, data = talk._make_request(talk.builder.register_wallet(policy), host)
    return status, data


def psbt_for(policy, amount=100_000_000) -> Psbt:
    """One input at receive address 0, change at 9; scripts by embit, derivations of every key with an origin."""
    spent = Descriptor.from_string(policy.get_descriptor(False)).derive(0)
    change = Descriptor.from_string(policy.get_descriptor(True)).derive(9)
    before = Transaction(
        2, [TxIn(OutPoint(Txid(bytes([1]) * 32), 0))], [TxOut(Sats(amount), spent.script_pubkey().data)]
    )
    outputs = [TxOut(Sats(60_000_000), b"\x00\x14" + bytes(20))]
    outputs.append(TxOut(Sats(amount - 60_010_000), change.script_pubkey().data))
    psbt = Psbt(Transaction(2, [TxIn(OutPoint(before.txid, 0), b"", 0xFFFFFFFD)], outputs, 0))
    taproot = policy.descriptor_template.startswith("tr")
    one = psbt.inputs[0]
    if not taproot:
        one.non_witness_utxo = before
    if not policy.descriptor_template.startswith(("sh(sorted", "sh(multi")):
        one.witness_utxo = before.outputs[0]
    for field, script in (("witness_script", spent.witness_script()), ("redeem_script", spent.redeem_script())):
        if script is not None:
            setattr(one, field, script.data)
    for part, branch, index in ((one, 0, 0), (psbt.outputs[1], 1, 9)):
        for match in re.finditer(r"@(\d+)/(?:\*\*|<(\d+);(\d+)>/\*)", policy.descriptor_template):
            origin, xpub = policy.keys_info[int(match[1])][1:].split("]")
            step = branch if match[2] is None else int(match[2 + branch])
            key = ExtendedPublicKey.from_text(xpub).child(step).child(index).key
            whole = KeyOrigin.from_text(origin.replace("'", "h")).child(step).child(index)
            if taproot:
                part.tap_bip32_derivations[key[1:]] = ((), whole)
            else:
                part.bip32_derivations[key] = whole
    return psbt


def leaf_scripts(policy) -> dict[bytes, Script]:
    """By TapLeaf hash, the leaves at receive address 0, as embit compiles them."""
    found: dict[bytes, Script] = {}
    left = [Descriptor.from_string(policy.get_descriptor(False)).derive(0).taptree]
    while left:
        one = left.pop().tree
        if isinstance(one, tuple):
            left += one
        else:
            found[tagged_hash("TapLeaf", one.serialize())] = Script(one.miniscript.compile())
    return found


@pytest.mark.parametrize("case", REGISTERED)
def test_registration(start, client, policy, case):
    device = start()
    wanted = policy(*REGISTERED[case])
    status, data = register(client(device), wanted)
    assert status == 0x9000
    assert data[:32] == wanted.id
    assert data[32:40].hex() == HMACS[case]
    titles = [page.title for page in device.pages]
    assert titles[:2] == ["Review account to register", "Account name"]
    assert titles[-1] == "Register account"
    labels = [f"{'Our' if key == 0 else 'Their'} key@{at}" for at, key in enumerate(REGISTERED[case][2])]
    assert [title.removesuffix(" (1/3)") for title in titles if title.endswith("(1/3)") and "key@" in title] == labels
    shown = "".join(page.text for page in device.pages if page.title.startswith("Wallet policy"))
    assert shown == wanted.descriptor_template


@pytest.mark.parametrize("case", REFUSED)
def test_registration_refused(start, client, policy, case):
    name, template, keys, wanted = REFUSED[case]
    device = start()
    status, detail = register(client(device), policy(name, template, keys))
    assert (status, detail.hex()) == wanted
    assert device.pages == []


def test_keys_that_are_not_what_they_say(start, client, policy, wallet):
    from ledger_bitcoin import WalletPolicy

    talk = client(start())
    ours, theirs = policy("n", "wsh(sortedmulti(2,@0/**,@1/**))", (0, 1)).keys_info
    bare = theirs.split("]")[1]
    template = "wsh(sortedmulti(2,@0/**,@1/**))"
    main = type(wallet)(coin_type=0).xpub("m/84'/0'/0'")
    for keys, wanted in (
        ([ours.split("]")[1], theirs], (0x6A80, "0002")),
        ([ours, bare], (0x9000, None)),
        ([ours.replace("'", "h"), theirs], (0x6A82, "0001")),
        ([ours, theirs.split("]")[0] + "]" + main], (0x6A80, "")),
        ([ours.replace("48'/1'", "48'/0'"), theirs], (0x6A82, "")),
    ):
        status, data = register(talk, WalletPolicy("n", template, keys))
        assert (status, None if status == 0x9000 else data.hex()) == wanted
    status, _ = register(talk, WalletPolicy("n", "tr(@0/**,pk(@1/**))", [NUMS, ours]))
    assert status == 0x9000


def test_registration_denied(start, client, policy):
    device = start(human=humans.reject_at_page("co-signer"))
    assert register(client(device), policy(*REGISTERED["wsh"])) == (0x6985, b"")
    assert device.pages[-1].title == "Reject operation"


@pytest.mark.parametrize("case", REGISTERED)
def test_use(start, client, policy, wallet, case):
    device = start(remember=case == "wsh")
    talk = client(device)
    wanted = policy(*REGISTERED[case])
    _, data = register(talk, wanted)
    mac = data[32:]
    device.pages.clear()
    for change, index in ((0, 0), (1, 7), (0, 60_000)):
        text = talk.get_wallet_address(wanted, mac, change, index, index == 7)
        derived = Descriptor.from_string(wanted.get_descriptor(bool(change))).derive(index)
        assert text == derived.script_pubkey().address(NETWORKS["test"])
    assert [page.title for page in device.pages if "name" in page.title] == ["Account name"]
    psbt = psbt_for(wanted)
    device.pages.clear()
    results = talk.sign_psbt(psbt.serialize(), wanted, mac)
    assert [page.title for page in device.pages][:2] == ["Review transaction to send bitcoin", "From"]
    assert "Transaction output" not in [page.title for page in device.pages]  # the change is known
    assert len(results) == len(re.findall(rf"@{REGISTERED[case][2].index(0)}/", wanted.descriptor_template))
    theirs = embit_psbt.PSBT.parse(psbt.serialize())
    for index, part in results:
        if not wanted.descriptor_template.startswith("tr"):
            digest = theirs.sighash(index, 1)
            assert ec.PublicKey.parse(part.pubkey).verify(ec.Signature.parse(part.signature[:-1]), digest)
            assert part.pubkey in psbt.inputs[0].bip32_derivations
            continue
        if part.tapleaf_hash is None:
            digest = theirs.sighash(index, 0)
            assert part.pubkey == psbt.inputs[0].witness_utxo.script[2:]
        else:
            digest = theirs.tx.sighash_taproot(
                index,
                [theirs.inputs[0].witness_utxo.script_pubkey],
                [theirs.inputs[0].witness_utxo.value],
                ext_flag=1,
                script=leaf_scripts(wanted)[part.tapleaf_hash],
            )
            assert part.pubkey in psbt.inputs[0].tap_bip32_derivations
        assert ec.PublicKey.from_xonly(part.pubkey).schnorr_verify(ec.SchnorrSig.parse(part.signature), digest)


def test_without_the_right_hmac(start, client, policy):
    talk = client(start())
    wanted = policy(*REGISTERED["wsh"])
    psbt = psbt_for(wanted).serialize()
    for mac, answer in ((None, (0x6A80, "")), (bytes(31) + b"x", (0xB008, ""))):
        with pytest.raises(Exception, match="0x"):
            talk.get_wallet_address(wanted, mac, 0, 0, False)
        assert (talk.transport_client.details[-1][0], talk.transport_client.details[-1][1].hex()) == answer
    for mac, answer in ((None, (0x6A80, "0000")), (bytes(31) + b"x", (0xB008, ""))):
        with pytest.raises(Exception, match="0x"):
            talk.sign_psbt(psbt, wanted, mac)
        assert (talk.transport_client.details[-1][0], talk.transport_client.details[-1][1].hex()) == answer


def test_another_seed_gives_another_hmac(start, client, policy):
    wanted = policy(*REGISTERED["wsh"])
    _, here = register(client(start()), wanted)
    _, there = register(client(start(mnemonic=OTHERS[0])), wanted)
    assert here[:32] == there[:32]
    assert here[32:] != there[32:]


def test_musig_can_be_registered_and_no_more(start, client, policy):
    talk = client(start())
    wanted = policy("musig", "tr(musig(@0,@1)/**)", (0, 1))
    status, data = register(talk, wanted)
    assert status == 0x9000
    with pytest.raises(Exception, match="0xb007"):
        talk.get_wallet_address(wanted, data[32:], 0, 0, False)
