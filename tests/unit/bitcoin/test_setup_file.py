"""BIP-129: every vector of its text, both ways, and refusals of what was tampered with."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.message import encode_signature, message_digest
from bursar.bitcoin.network import Network
from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.setup_file import NO_RESTRICTIONS, DescriptorRecord, KeyRecord
from bursar.bitcoin.setup_token import SetupToken
from bursar.crypto import base58
from bursar.crypto.secp256k1 import ecdsa_sign_recoverable
from bursar.errors import InvalidInputError, InvalidSignatureError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.path import HARDENED

XPUB = "xpub6FL8FhxNNUVnG64YurPd16AfGyvFLhh7S2uSsDqR3Qfcm6o9jtcMYwh6DvmcBF9qozxNQmTCVvWtxLpKTnhVLN3Pgnu2D3pAoXYFgVyd8Yz"
FOREIGN = ExtendedPrivateKey.from_seed(bytes(32)).derive((HARDENED,) * 4).public()
MODES = ("NO_ENCRYPTION with Public Keys", "NO_ENCRYPTION", "STANDARD Encryption", "EXTENDED Encryption")


@pytest.fixture(scope="module", params=range(4), ids=MODES)
def case(request: pytest.FixtureRequest, vectors: Any) -> dict[str, Any]:
    found: dict[str, Any] = vectors("bitcoin_setup_files.json")["cases"][request.param]
    return found


@pytest.fixture(scope="module")
def plain(vectors: Any) -> dict[str, Any]:
    found: dict[str, Any] = vectors("bitcoin_setup_files.json")["cases"][1]
    return found


def sign_with(wif: str) -> Any:
    secret = base58.decode_check(wif)[1:33]
    return lambda message: encode_signature(ecdsa_sign_recoverable(secret, message_digest(message)), ScriptType.P2PKH)


def tokens(case: dict[str, Any]) -> list[SetupToken]:
    return list({record.split("\n")[1]: KeyRecord.parse(record).token for record in case["key_records"]}.values())


def test_key_records(case: dict[str, Any]) -> None:
    for text, wif in zip(case["key_records"], case["private_keys"], strict=True):
        record = KeyRecord.parse(text)
        assert str(record) == text
        fresh = KeyRecord.of(record.token, record.key, record.description).signed(sign_with(wif))
        assert str(fresh) == text  # RFC 6979: the same signature


def test_descriptor_records(case: dict[str, Any]) -> None:
    record = DescriptorRecord.parse(case["descriptor_record"])
    assert str(record) == case["descriptor_record"]
    keys = tuple(KeyRecord.parse(text) for text in case["key_records"])
    record.check_key_records(keys)
    assert [record.positions(one.key) for one in keys] == [(n,) for n in range(len(keys))]
    assert record.paths == (() if "with Public Keys" in case["mode"] else ("/0/*", "/1/*"))
    with pytest.raises(InvalidInputError, match="key records are at hand"):
        record.check_key_records(keys[1:])


def test_tokens_and_encryption(case: dict[str, Any]) -> None:
    found = tokens(case)
    extended = "EXTENDED" in case["mode"]
    for token, key, decimal in zip(found, case["encryption_keys"], case["token_decimals"], strict=False):
        assert token.encryption_key().expose().hex() == key
        assert token.decimal() == decimal
        assert SetupToken.from_text(decimal, extended=extended) == SetupToken.from_text(decimal) == token
    for words in case["token_words"]:
        assert SetupToken.from_text(words) == found[0]
    texts = [*case["key_records"], case["descriptor_record"]]
    opened = 0
    for data in case["encrypted"]:
        for token in found:
            try:
                record = token.decrypt(data)
            except InvalidInputError:
                continue  # another signer's
            opened += 1
            assert record in texts
            assert token.encrypt(record) == data
    assert opened == len(case["encrypted"])


def test_h75_a_ceremony_in_which_every_cosigner_compares_the_first_address(case: dict[str, Any]) -> None:
    """Checklist 75: encrypted records, each cosigner finds its exact key, all see one address; a swap is noticed."""
    session = SetupToken.generate()
    keys = []
    for text, wif in zip(case["key_records"], case["private_keys"], strict=True):
        made = KeyRecord.of(session, KeyRecord.parse(text).key, "a cosigner").signed(sign_with(wif))
        keys.append(KeyRecord.parse(session.decrypt(session.encrypt(str(made))), token=session))
    agreed = DescriptorRecord.parse(case["descriptor_record"])
    agreed.check_key_records(tuple(keys))
    seen = [DescriptorRecord.parse(session.decrypt(session.encrypt(str(agreed)))) for _ in keys]
    assert {str(one.first_address) for one in seen} == {case["descriptor_record"].split("\n")[3]}
    assert [one.positions(key.key) for one, key in zip(seen, keys, strict=True)] == [(n,) for n in range(len(keys))]
    mine = keys[0].key.key
    foreign = FOREIGN.key.hex() if isinstance(mine, bytes) else str(FOREIGN)
    lines = str(agreed).replace(mine.hex() if isinstance(mine, bytes) else str(mine), foreign).split("\n")
    lines[1] = lines[1].partition("#")[0]
    with pytest.raises(InvalidInputError) as caught:
        DescriptorRecord.parse("\n".join(lines))
    assert caught.value.code == "input.setup-file.address"


def test_a_changed_ciphertext_is_refused(vectors: Any) -> None:
    case = vectors("bitcoin_setup_files.json")["cases"][2]
    data, token = case["encrypted"][0], tokens(case)[0]
    for place in (0, 40, 70, len(data) - 1):
        changed = data[:place] + ("0" if data[place] != "0" else "1") + data[place + 1 :]
        with pytest.raises(InvalidInputError):
            token.decrypt(changed)
    for nonsense in ("", "00", "zz" * 40, data[:-1], "00" * 300_000):
        with pytest.raises(InvalidInputError):
            token.decrypt(nonsense)


def test_a_key_record_whose_signature_is_not_the_keys_is_refused(plain: dict[str, Any]) -> None:
    one, other = plain["key_records"]
    lines = one.split("\n")
    with pytest.raises(InvalidSignatureError):
        KeyRecord.parse("\n".join([*lines[:4], other.split("\n")[4]]))
    with pytest.raises(InvalidSignatureError):
        KeyRecord.parse("\n".join([*lines[:3], "Signer 2 key", lines[4]]))
    with pytest.raises(InvalidInputError) as caught:
        KeyRecord.parse(one, token=SetupToken.generate())
    assert caught.value.code == "input.setup-file.token"
    record = KeyRecord.parse(one)
    with pytest.raises(InvalidSignatureError, match="not signed"):
        KeyRecord.of(record.token, record.key, "x").verify()
    with pytest.raises(InvalidSignatureError):
        KeyRecord.of(record.token, record.key, "x").signed(sign_with(plain["private_keys"][1]))


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (0, "BSMS 2.0"),
        (1, "0"),
        (1, "A54044308CEAC9B7"),
        (
            2,
            XPUB,
        ),
        (2, "[1cf0bf7e/48'/0']026d15412460ba0d881c21837bb999233896085a9ed4e5445bd637c10e579768ba/0"),
        (
            2,
            f"[1cf0bf7e]{XPUB}",
        ),
        (2, "musig(02)"),
        (3, "x" * 81),
        (3, "a\x07"),
        (4, "no base64"),
    ],
)
def test_malformed_key_records(plain: dict[str, Any], number: int, line: str) -> None:
    lines = plain["key_records"][0].split("\n")
    lines[number] = line
    with pytest.raises(InvalidInputError):
        KeyRecord.parse("\n".join(lines))


def test_the_first_address_must_be_the_descriptors(plain: dict[str, Any]) -> None:
    lines = plain["descriptor_record"].split("\n")
    swapped = lines[1].replace("sortedmulti(2,", "sortedmulti(1,")
    with pytest.raises(InvalidInputError) as caught:
        DescriptorRecord.parse("\n".join([lines[0], swapped, *lines[2:]]))
    assert caught.value.code == "input.setup-file.address"
    with pytest.raises(InvalidInputError):
        DescriptorRecord.parse("\n".join([*lines[:3], "bc1qqqqqq"]))


@pytest.mark.parametrize(
    "restrictions",
    [NO_RESTRICTIONS, "", "/0/*,/0/*", "/0'/*", "0/*", "/0/*,/1/2/*", "/0/*,/1/2", "/2147483648/*", "/0/*,/1", "/**"],
)
def test_impossible_restrictions(plain: dict[str, Any], restrictions: str) -> None:
    lines = plain["descriptor_record"].split("\n")
    with pytest.raises(InvalidInputError):
        DescriptorRecord.parse("\n".join([*lines[:2], restrictions, lines[3]]))


@pytest.mark.parametrize(
    "paths", [("/0/*", "/1/*"), ("/2/*", "/3/*"), ("/0/0",), ("/7/0/*", "/7/1/*", "/7/5/*"), ("/*",)]
)
def test_other_restrictions(plain: dict[str, Any], paths: tuple[str, ...]) -> None:
    template = plain["descriptor_record"].split("\n")[1]
    first = template.replace("/**", paths[0])
    address = Descriptor.parse(first).address(Network.MAIN)
    text = f"BSMS 1.0\n{template}\n{','.join(paths)}\n{address}"
    record = DescriptorRecord.parse(text)
    assert record.paths == paths
    assert str(record) == text
    multipath = f"BSMS 1.0\n{record.descriptor.bare}\n{','.join(paths)}\n{address}"
    assert DescriptorRecord.parse(multipath + "\r\n") == record  # as Sparrow writes it


def test_a_key_with_another_origin_is_named(plain: dict[str, Any]) -> None:
    record = DescriptorRecord.parse(plain["descriptor_record"].replace("1cf0bf7e", "1cf0bf7f"))
    with pytest.raises(InvalidInputError, match="another origin"):
        record.positions(KeyRecord.parse(plain["key_records"][0]).key)


def test_a_token_keeps_to_itself() -> None:
    token = SetupToken.generate(extended=True)
    assert repr(token) == "SetupToken(<redacted>)"
    assert token == SetupToken.from_text(token.hex()) != SetupToken.none()
    with pytest.raises(TypeError):
        pickle.dumps(token)
    with pytest.raises(TypeError):
        hash(token)
    for text in (
        "",
        "1" * 40,
        "abc",
        "abandon abandon abandon abandon abandon abandon",
        "pipe pipe",
        "18446744073709551616",
    ):
        with pytest.raises(InvalidInputError):
            SetupToken.from_text(text, extended=False)
    with pytest.raises(InvalidInputError):
        SetupToken.none().encrypt("x")
    assert SetupToken.from_text("00") == SetupToken.none()


@settings(max_examples=30)
@given(st.text(max_size=200), st.booleans())
def test_round_trip_of_encryption(text: str, extended: bool) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    token = SetupToken.generate(extended=extended)
    if text:
        assert token.decrypt(token.encrypt(text)) == text


@settings(max_examples=40)
@given(st.lists(st.text(max_size=20) | st.sampled_from(("BSMS 1.0", "00", "/0/*", NO_RESTRICTIONS)), max_size=6))
def test_garbage(lines: list[str]) -> None:
    for parse in (KeyRecord.parse, DescriptorRecord.parse):
        with pytest.raises(InvalidInputError):
            parse("\n".join(lines))
