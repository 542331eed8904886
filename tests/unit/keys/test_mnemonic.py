from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mnemonic import Mnemonic as Reference

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys import mnemonic as room
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import LENGTHS, Mnemonic, generate
from bursar.keys.wordlist import LANGUAGES, words

ENTROPIES = st.sampled_from([16, 20, 24, 28, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
ABANDON = "abandon " * 11 + "about"
LEGAL = "legal winner thank year wave sausage worth useful legal winner thank yellow"


def nfkd(text: str) -> str:
    return normalize("NFKD", text)


def sentence_of(mnemonic: Mnemonic) -> str:
    return mnemonic.text().expose().decode()


def test_known_answers() -> None:
    # the reference implementation's first vectors, passphrase TREZOR
    first = Mnemonic(bytes(16))
    assert sentence_of(first) == ABANDON
    assert first.to_seed(Secret(b"TREZOR")).expose().hex() == (
        "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e5349553"
        "1f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04"
    )
    second = Mnemonic.from_text(LEGAL)
    assert second.entropy().expose() == b"\x7f" * 16
    assert second.to_seed(Secret(b"TREZOR")).expose().hex() == (
        "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6f"
        "a457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_official_vectors(language: str, official_vectors: Callable[[str], Path]) -> None:
    cases = json.loads(official_vectors("bip/bip0039.json").read_text())[language]
    assert len(cases) == 24
    for entropy, text, seed, xprv in cases:
        mnemonic = Mnemonic.from_text(text, language)
        assert mnemonic.entropy().expose().hex() == entropy
        assert nfkd(sentence_of(mnemonic)) == nfkd(text)
        assert sentence_of(Mnemonic(bytes.fromhex(entropy), language)) == sentence_of(mnemonic)
        derived = mnemonic.to_seed(Secret(b"TREZOR"))
        assert derived.expose().hex() == seed
        assert ExtendedPrivateKey.from_seed(derived).text().expose().decode() == xprv


@given(ENTROPIES, st.sampled_from(LANGUAGES))
def test_agrees_with_the_reference_in_every_language(entropy: bytes, language: str) -> None:
    reference = Reference(language)
    mnemonic = Mnemonic(entropy, language)
    text = sentence_of(mnemonic)
    assert nfkd(text) == nfkd(reference.to_mnemonic(entropy))
    assert reference.check(text)
    assert len(mnemonic) == len(text.split()) in LENGTHS
    parsed = Mnemonic.from_text(mnemonic.text(), language)
    assert parsed.entropy().expose() == entropy
    assert parsed.language == language


@settings(max_examples=15)
@given(ENTROPIES, st.sampled_from(LANGUAGES), st.text(max_size=20))
def test_seeds_agree_with_the_reference(entropy: bytes, language: str, passphrase: str) -> None:
    if any(0xD800 <= ord(character) < 0xE000 for character in passphrase):
        passphrase = ""
    mnemonic = Mnemonic(entropy, language)
    expected = Reference.to_seed(sentence_of(mnemonic), passphrase)
    assert mnemonic.to_seed(Secret.from_text(passphrase)).expose() == expected
    if not passphrase:
        assert mnemonic.to_seed().expose() == expected


@given(ENTROPIES, st.sampled_from(LANGUAGES))
def test_the_language_is_found_or_the_candidates_are_named(entropy: bytes, language: str) -> None:
    text = sentence_of(Mnemonic(entropy, language))
    fitting = [name for name in LANGUAGES if set(text.split()) <= set(words(name))]
    if len(fitting) == 1:
        assert Mnemonic.from_text(text).language == language
    else:
        with pytest.raises(InvalidInputError) as caught:
            Mnemonic.from_text(text)
        assert caught.value.code == "input.mnemonic.language"
        assert all(name in str(caught.value) for name in fitting)


def test_an_ambiguous_language_is_an_error_naming_the_candidates() -> None:
    text = sentence_of(Mnemonic(bytes(16), "chinese_simplified"))
    with pytest.raises(InvalidInputError, match="chinese_simplified, chinese_traditional") as caught:
        Mnemonic.from_text(text)
    assert caught.value.code == "input.mnemonic.language"
    assert Mnemonic.from_text(text, "chinese_simplified").entropy().expose() == bytes(16)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@pytest.mark.parametrize("language", ["japanese", "korean", "french", "spanish"])
def test_any_unicode_form_and_spacing_reads_the_same(form: str, language: str) -> None:
    mnemonic = Mnemonic(bytes(range(32)), language)
    text = sentence_of(mnemonic)
    for spaced in (text, " ".join(text.split()), "\u3000".join(text.split()), "\n " + "  ".join(text.split()) + "\t"):
        parsed = Mnemonic.from_text(normalize(form, spaced), language)  # type: ignore[arg-type]
        assert parsed.to_seed() == mnemonic.to_seed()


def test_passphrases_are_normalized() -> None:
    mnemonic = Mnemonic.from_text(ABANDON)
    composed, decomposed = Secret.from_text("caf\u00e9"), Secret.from_text("cafe\u0301")
    assert mnemonic.to_seed(composed) == mnemonic.to_seed(decomposed)
    assert mnemonic.to_seed(composed) != mnemonic.to_seed()
    with pytest.raises(InvalidInputError, match="utf-8"):
        mnemonic.to_seed(Secret(b"\xff"))


def test_a_wrong_word_is_named_by_position_and_never_shown() -> None:
    text = ABANDON.split()
    text[3] = "topsecretword"
    for language in (None, "english"):
        with pytest.raises(InvalidInputError, match="word 4 is not in the english list") as caught:
            Mnemonic.from_text(" ".join(text), language)
        shown = "".join(traceback.format_exception(caught.value))
        assert "topsecretword" not in shown
        assert caught.value.code == "input.mnemonic.word"
    text[11] = "Abandon"
    with pytest.raises(InvalidInputError, match="words 4, 12 are not in the english list"):
        Mnemonic.from_text(" ".join(text))
    with pytest.raises(InvalidInputError, match="no word is in any"):
        Mnemonic.from_text("zzzz " * 12)


def test_a_word_of_another_language_is_named() -> None:
    english = sentence_of(Mnemonic(bytes(16))).split()
    with pytest.raises(InvalidInputError, match="word 12 is not in the english list"):
        Mnemonic.from_text(" ".join([*english[:11], words("czech")[5]]))


@pytest.mark.parametrize("text", [ABANDON[:-5] + "abandon", "about " + "abandon " * 11, LEGAL[:-6] + "wave"])
def test_a_wrong_checksum_is_said(text: str) -> None:
    with pytest.raises(InvalidInputError, match="checksum") as caught:
        Mnemonic.from_text(text, "english")
    assert caught.value.code == "input.mnemonic.checksum"
    assert "abandon" not in str(caught.value)


@pytest.mark.parametrize("count", [0, 1, 11, 13, 14, 16, 23, 25, 100])
def test_a_wrong_number_of_words_is_said(count: int) -> None:
    with pytest.raises(InvalidInputError, match=f"not {count}"):
        Mnemonic.from_text("abandon " * count)


def test_a_book_is_no_mnemonic() -> None:
    for book in ("abandon " * 1000, Secret(b"abandon " * 1000)):
        with pytest.raises(InvalidInputError, match="too long"):
            Mnemonic.from_text(book)


@pytest.mark.parametrize("language", ["klingon", "", "English", "russian", "../english"])
def test_unofficial_languages_are_refused(language: str) -> None:
    for call in (
        lambda: Mnemonic.from_text(ABANDON, language),
        lambda: Mnemonic(bytes(16), language),
        lambda: generate(12, language),
    ):
        with pytest.raises(InvalidInputError, match="choose one of"):
            call()


@given(st.text(max_size=200) | st.lists(st.sampled_from(words("english")), max_size=26).map(" ".join))
def test_garbage_is_a_typed_error(text: str) -> None:
    try:
        mnemonic = Mnemonic.from_text(text)
    except InvalidInputError as error:
        assert error.code.startswith("input.mnemonic")  # noqa: PT017
    else:
        assert sentence_of(mnemonic) == " ".join(text.split())
    with pytest.raises(InvalidInputError):
        Mnemonic.from_text(Secret(b"\xff" + text.encode(errors="ignore")))


@pytest.mark.parametrize("size", [0, 15, 17, 33, 64])
def test_entropy_sizes(size: int) -> None:
    with pytest.raises(InvalidInputError):
        Mnemonic(bytes(size))


@pytest.mark.parametrize("count", LENGTHS)
def test_generate(count: int) -> None:
    first, second = generate(count), generate(count)
    assert len(first) == len(sentence_of(first).split()) == count
    assert first.entropy() != second.entropy()
    assert Mnemonic.from_text(first.text(), "english").entropy() == first.entropy()
    assert len(generate()) == 24


@pytest.mark.parametrize("count", [0, 11, 13, 27])
def test_generate_refuses_other_lengths(count: int) -> None:
    with pytest.raises(InvalidInputError):
        generate(count)


def test_generate_asks_the_operating_system_for_all_of_its_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def token_bytes(size: int) -> bytes:
        asked.append(size)
        return b"\xab" * size

    monkeypatch.setattr(room.secrets, "token_bytes", token_bytes)
    assert generate(18).entropy().expose() == b"\xab" * 24
    assert asked == [24]


def test_secrets_stay_inside() -> None:
    mnemonic = Mnemonic.from_text(Secret.from_text(ABANDON))
    assert repr(mnemonic) == str(mnemonic) == "Mnemonic(<redacted>)"
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copier(mnemonic)
    with mnemonic:
        text = mnemonic.text()
    for use in (mnemonic.text, mnemonic.entropy, mnemonic.to_seed):
        with pytest.raises(InvalidInputError, match="wiped"):
            use()
    assert text.expose().decode() == ABANDON


def test_a_passphrase_too_long_to_normalise_in_good_time_is_refused() -> None:
    from bursar.crypto.secret import Secret

    mnemonic = generate(12)
    assert len(mnemonic.to_seed(Secret(b"a" * 4096))) == 64
    with pytest.raises(InvalidInputError, match="longer than 4096 bytes"):
        mnemonic.to_seed(Secret(b"a" * 4097))
