"""Typed data streamed to the simulated Ethereum app: what the real app 1.22.0 did, and eth_account's hashes."""

from __future__ import annotations

import random
import re

import pytest
from bursar_devices import humans
from bursar_devices.ledger.ethereum.assets import Assets
from bursar_devices.ledger.ethereum.typed_data import TypedData
from eth_account import Account
from eth_account.messages import encode_typed_data

Account.enable_unaudited_hdwallet_features()
MNEMONIC = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
OURS = Account.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/0").address
OUR_PATH = bytes.fromhex("058000002c8000003c800000000000000000000000")
DEFINE, GIVE, FILTER, SIGN = 0x1A, 0x1C, 0x1E, 0x0C
KINDS = {"int": 1, "uint": 2, "address": 3, "bool": 4, "string": 5}
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
DOMAIN_VALUES = {
    "name": "Ether Mail",
    "version": "1",
    "chainId": 1,
    "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC",
}
PERSON = [("name", "string"), ("wallet", "address")]
COW = {"name": "Cow", "wallet": "0xcd2a3d9f938e13cd947ec05abc7fe734df8dd826"}
BOB = {"name": "Bob", "wallet": "0x" + "b" * 40}


def typed(message, primary, *, domain=DOMAIN, values=DOMAIN_VALUES, **types):
    """Typed data as eth_account wants it."""
    types = {"EIP712Domain": domain, **types}
    return {
        "types": {name: [{"name": each, "type": kind} for each, kind in fields] for name, fields in types.items()},
        "primaryType": primary,
        "domain": values,
        "message": message,
    }


def definition(kind, name, types):
    """The data of E0 1A FF."""
    base, suffix = re.fullmatch(r"(\w+)((?:\[\d*\])*)", kind).groups()
    levels = re.findall(r"\[(\d*)\]", suffix)
    if base in types:
        number, more = 0, bytes((len(base),)) + base.encode()
    else:
        word, size = re.fullmatch(r"([a-z]+)(\d*)", base).groups()
        number = (6 if size else 7) if word == "bytes" else KINDS[word]
        more = bytes((int(size) // (1 if word == "bytes" else 8),)) if size else b""
        number |= 0x40 if size else 0
    if levels:
        number |= 0x80
        more += bytes((len(levels),)) + b"".join(bytes((1, int(level))) if level else b"\0" for level in levels)
    return bytes((number,)) + more + bytes((len(name),)) + name.encode()


def raw(kind, value):
    """A value's bytes."""
    if kind.startswith("bytes") or kind == "address":
        return bytes.fromhex(value[2:])
    if kind == "string":
        return value.encode()
    size = int(re.sub(r"\D", "", kind) or 8) // 8
    return value.to_bytes(size if value < 0 else max(1, (value.bit_length() + 7) // 8), "big", signed=value < 0)


def values(kind, value, types):
    """The commands that give a value."""
    if kind.endswith("]"):
        yield GIVE, 0, 0x0F, bytes((len(value),))
        for item in value:
            yield from values(kind[: kind.rindex("[")], item, types)
    elif kind in types:
        for field in types[kind]:
            yield from values(field["type"], value[field["name"]], types)
    else:
        yield from chunks(raw(kind, value))


def chunks(value):
    payload = len(value).to_bytes(2, "big") + value
    for at in range(0, len(payload), 255):
        yield GIVE, 0 if at + 255 >= len(payload) else 1, 0xFF, payload[at : at + 255]


def stream(data):
    """The commands before the last."""
    for name, fields in data["types"].items():
        yield DEFINE, 0, 0, name.encode()
        for field in fields:
            yield DEFINE, 0, 0xFF, definition(field["type"], field["name"], data["types"])
    for name, given in (("EIP712Domain", data["domain"]), (data["primaryType"], data["message"])):
        yield GIVE, 0, 0, name.encode()
        for field in data["types"][name]:
            yield from values(field["type"], given[field["name"]], data["types"])


def send(peer, commands):
    """The last reply, and how many were good before it."""
    status, data, good = 0x9000, b"", 0
    for ins, p1, p2, piece in commands:
        status, data = peer.command(0xE0, ins, p1, p2, piece)
        if status != 0x9000:
            break
        good += 1
    return status, data, good


def sign(peer, data):
    return send(peer, [*stream(data), (SIGN, 0, 1, OUR_PATH)])[:2]


def signer(data, reply):
    return Account.recover_message(encode_typed_data(full_message=data), signature=reply[1:] + reply[:1])


@pytest.fixture
def app(start, connect):
    """The simulator with blind signing on, and bare APDUs for it."""
    device = start(app="Ethereum", human=humans.approve(), blind_signing=True)
    return device, connect(device)


MAIL = typed(
    {"from": COW, "to": BOB, "contents": "Hello, Bob!"},
    "Mail",
    Mail=[("from", "Person"), ("to", "Person"), ("contents", "string")],
    Person=PERSON,
)
SMALL = typed({"x": 1}, "M", domain=[("name", "string")], values={"name": "Only name"}, M=[("x", "uint8")])
ALL_TYPES = typed(
    {
        "i8": -5,
        "i256": -(2**200),
        "u": 2**256 - 1,
        "b": False,
        "b4": "0x01020304",
        "bs": "0x" + "cd" * 300,
        "s": "long " * 200,
    },
    "M",
    M=[
        ("i8", "int8"),
        ("i256", "int256"),
        ("u", "uint256"),
        ("b", "bool"),
        ("b4", "bytes4"),
        ("bs", "bytes"),
        ("s", "string"),
    ],
)
ARRAYS = typed(
    {"to": [COW, BOB, COW], "none": [], "n": [[[1], [2]], [[4], [6]]], "s": "x"},
    "Mail",
    Mail=[("to", "Person[]"), ("none", "Person[]"), ("n", "uint16[][2][]"), ("s", "string")],
    Person=PERSON,
)
GROUPS = typed(
    {"g": [{"ps": [COW, BOB], "t": "a"}, {"ps": [], "t": "b"}, {"ps": [BOB], "t": "c"}]},
    "M",
    M=[("g", "G[]")],
    G=[("ps", "Person[]"), ("t", "string")],
    Person=PERSON,
)


@pytest.mark.parametrize("data", [MAIL, SMALL, ALL_TYPES, ARRAYS, GROUPS])
@pytest.mark.parametrize("model", ["nanosp", "flex"])
def test_the_signature_is_for_what_was_streamed(start, connect, data, model):
    device = start(app="Ethereum", human=humans.approve(), blind_signing=True, model=model)
    status, reply = sign(connect(device), data)
    assert status == 0x9000
    assert signer(data, reply) == OURS


def test_a_nano_shows_the_domain_and_the_hash_of_the_message(app):
    device, peer = app
    reply = sign(peer, MAIL)[1]
    assert reply.hex() == (
        "1c5b9ee7ebad3acd6ca243732900203a8a9e59b871345cb9b229a1936e11f5ad8967c46a0d05027ccd880bcc49e18877a5"
        "3b8e4813558a1fd165ebb875c4a447c2"  # as the real app's
    )
    assert [(page.title, *page.lines) for page in device.pages[1:]] == [
        ("Review typed message",),
        ("name", "Ether Mail"),
        ("version", "1"),
        ("chainId", "1"),
        ("verifyingContract", "0xCcCCccccCCCCcCCC", "CCCcCcCccCcCCCcCcc", "cccccC"),
        ("Message hash (1/2)", "0xC52C0EE5D842644", "71806290A3F2C4CECF", "C5490626BF912D01F2"),
        ("Message hash (2/2)", "40D7A274B371E"),
        ("Sign message",),
    ]


def test_a_flex_shows_every_field(start, connect):
    device = start(app="Ethereum", human=humans.approve(), blind_signing=True, model="flex")
    assert sign(connect(device), MAIL)[0] == 0x9000
    shown = [(page.title, "".join(page.lines)) for page in device.pages]
    assert shown[2:5] == [("Review struct", "EIP712Domain"), ("name", "Ether Mail"), ("version", "1")]
    assert shown[7:9] == [("Review struct", "Mail"), ("name", "Cow")]
    assert ("contents", "Hello, Bob!") in shown
    assert not any(title.startswith("Message hash") for title, _ in shown)


def test_long_and_foreign_text_as_far_as_the_screen_goes(app):
    device, peer = app
    domain = [("name", "string"), ("salt", "bytes"), ("version", "string")]
    given = {"name": "x" * 400, "salt": "0x" + "ee" * 200, "version": "Ünï\n€ tab"}
    data = typed({"x": 1}, "M", domain=domain, values=given, M=[("x", "uint8")])
    assert sign(peer, data)[0] == 0x9000
    text = {}
    for page in device.pages:
        title = page.title.split(" (")[0]
        text[title] = text.get(title, "") + "".join(page.lines)
    assert text["name"] == "x" * 376 + "..."
    assert text["salt"] == "0x" + "EE" * 187 + "..."
    assert text["version"] == "n tab"


def test_refused_by_the_human(app):
    device, peer = app
    device.human = humans.reject()
    assert send(peer, [*stream(SMALL), (SIGN, 0, 1, OUR_PATH)]) == (0x6985, b"", 8)
    device.human = humans.approve()
    assert peer.command(0xE0, SIGN, 0, 1, OUR_PATH) == (0x6980, b"")  # all is forgotten
    assert sign(peer, SMALL)[0] == 0x9000


@pytest.mark.parametrize(("model", "good"), [("nanosp", 13), ("flex", 12)])
def test_without_blind_signing_the_first_thing_shown_is_refused(start, connect, model, good):
    device = start(app="Ethereum", model=model)
    assert send(connect(device), stream(MAIL)) == (0x6A80, b"", good)
    assert device.pages[-1].title == "Blind signing must be enabled in settings"


# what the real app hashes wrongly

SIXTEEN = [(f"f{at}", "uint8") for at in range(16)]
WRONG = {
    "struct of 16 fields": (
        typed(
            {"p": {name: at for at, (name, _) in enumerate(SIXTEEN)}, "z": 1},
            "M",
            M=[("p", "Q"), ("z", "uint8")],
            Q=SIXTEEN,
        ),
        "1c20a0d8fadabbb7b50292c7f41d9514c7db81a751eeb630e02fd82a0beec619a02ccf95ef51b57fa77f9d44cbd26ca82f"
        "817f9dc0227e05b44260f090fc87ca18",
    ),
    "struct behind an empty array": (
        typed({"n": [], "p": COW}, "M", M=[("n", "uint8[]"), ("p", "Person")], Person=PERSON),
        "1cd21564d867532661d1b5c9f4e6f3658c644488ad3336c8fccd811fb0c7a604c561a82ff547e3052aa629ff50917b9b6c"
        "f91aef54cc545023c7c7c4eeaff0f05b",
    ),
    "item behind one that ends in an empty array": (
        typed(
            {"offer": [{"t": 1, "c": [1]}], "cons": [{"t": 1, "c": []}, {"t": 2, "c": [5]}], "n": 3},
            "M",
            M=[("offer", "O[]"), ("cons", "O[]"), ("n", "uint256")],
            O=[("t", "uint8"), ("c", "uint256[]")],
        ),
        "1c84d457a893e9ff4fb1750b43269f23f4e9852e7c5a04ec5ffe8e5103cfc0a132467630141de988716b213466957d885a"
        "752af449158301afc76dbc8874da0860",
    ),
    "arrays of arrays of structs": (
        typed({"to": [[COW, BOB], [BOB, COW]]}, "Mail", Mail=[("to", "Person[][]")], Person=PERSON),
        "1b77505698f0f1f751c11826bd044eec2f30b05aeeaa26c3daa396268ffba56612181cceacebb1c791783d62747de402ea"
        "5e29602212da71df013a85424a70fc2c",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_mistakes_of_the_real_app(app, case):
    data, signature = WRONG[case]
    reply = sign(app[1], data)[1]
    assert reply.hex() == signature
    assert signer(data, reply) != OURS


def is_hashed_wrongly(data):
    """What the real app was seen to get wrong, and nothing else."""
    types, found, behind_empty = data["types"], False, False

    def walk(kind, value, *, root=False):
        nonlocal found, behind_empty
        if kind.endswith("]"):
            base = kind[: kind.index("[")]
            found |= base in types and kind.count("[") > 1 and bool(value)
            behind_empty = False
            for item in value:
                walk(kind[: kind.rindex("[")], item)
            behind_empty |= not value
        elif kind in types:
            found |= not root and (behind_empty or (len(types[kind]) + 1) % 17 == 0)
            for field in types[kind]:
                walk(field["type"], value[field["name"]])
        else:
            behind_empty = False

    walk(data["primaryType"], data["message"], root=True)
    return found


def random_typed_data(chance):
    """Small values of types of many shapes."""
    names = [f"S{at}" for at in range(chance.randint(1, 4))]
    types = {}
    for at, name in enumerate(names):
        bases = ["uint256", "bool", "string", *names[at + 1 :] * 2]
        fields = chance.choice((1, 2, 3, 4, 16) if at else (1, 2, 3))
        suffixes = [
            "".join(chance.choices(["[]", "[]", "[2]"], k=chance.choice((0, 0, 0, 1, 2)))) for _ in range(fields)
        ]
        types[name] = [(f"f{number}", chance.choice(bases) + suffix) for number, suffix in enumerate(suffixes)]

    def value(kind):
        if kind.endswith("]"):
            inner, size = kind[: kind.rindex("[")], kind[kind.rindex("[") + 1 : -1]
            return [value(inner) for _ in range(int(size) if size else chance.choice((0, 0, 1, 2)))]
        if kind in types:
            return {name: value(each) for name, each in types[kind]}
        return {"uint256": chance.randint(0, 9), "bool": True, "string": "x"}[kind]

    used, open_ends = {"S0"}, ["S0"]
    while open_ends:
        new = {kind.split("[")[0] for _, kind in types[open_ends.pop()]} & types.keys() - used
        used |= new
        open_ends += new
    return typed(value("S0"), "S0", **{name: fields for name, fields in types.items() if name in used})


@pytest.mark.parametrize("seed", range(40))
def test_every_other_message_is_hashed_as_eth_account_does(seed):
    data = random_typed_data(random.Random(seed))
    device = TypedData(blind_signing=True, shows_message=False, assets=Assets(b""), key=b"")
    for ins, p1, p2, piece in stream(data):
        if ins == DEFINE:
            device.define(p2, piece)
        else:
            assert device.give(p2, piece, partial=p1 != 0)
    right = device.hashes[1] == encode_typed_data(full_message=data).body
    assert right != is_hashed_wrongly(data)
