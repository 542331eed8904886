from __future__ import annotations

from collections.abc import Iterator
from unicodedata import normalize

import pytest
from bip_utils import Bip39Languages
from bip_utils.bip.bip39.bip39_mnemonic_utils import Bip39WordsListGetter

from bursar.errors import BursarError, InvalidInputError
from bursar.keys import wordlist


@pytest.fixture
def _fresh() -> Iterator[None]:
    wordlist.words.cache_clear()
    yield
    wordlist.words.cache_clear()


def test_the_ten_official_languages() -> None:
    assert wordlist.LANGUAGES == (
        "chinese_simplified",
        "chinese_traditional",
        "czech",
        "english",
        "french",
        "italian",
        "japanese",
        "korean",
        "portuguese",
        "spanish",
    )


@pytest.mark.parametrize("language", wordlist.LANGUAGES)
def test_each_list_is_whole(language: str) -> None:
    listed = wordlist.words(language)
    assert len(listed) == len(set(listed)) == 2048
    assert all(word == normalize("NFKD", word).strip() and " " not in word for word in listed)
    assert wordlist.places(language)[listed[2047]] == 2047


@pytest.mark.parametrize("language", [name for name in wordlist.LANGUAGES if name != "japanese"])
def test_each_list_agrees_with_another_copy(language: str) -> None:
    other = Bip39WordsListGetter.Instance().GetByLanguage(Bip39Languages[language.upper()])
    assert tuple([normalize("NFKD", other.GetWordAtIdx(place)) for place in range(2048)]) == wordlist.words(language)


@pytest.mark.usefixtures("_fresh")
def test_a_tampered_list_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = list(wordlist.words("english"))
    listed[0], listed[1] = listed[1], listed[0]
    wordlist.words.cache_clear()
    monkeypatch.setattr(wordlist, "_from_library", lambda language: listed)
    with pytest.raises(BursarError, match="reinstall") as caught:
        wordlist.words("english")
    assert caught.value.code == "crypto.self-test"


@pytest.mark.parametrize("language", ["russian", "turkish", "", "English"])
def test_other_languages_are_refused(language: str) -> None:
    with pytest.raises(InvalidInputError):
        wordlist.words(language)
    with pytest.raises(InvalidInputError):
        wordlist.places(language)
