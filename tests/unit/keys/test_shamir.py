from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import shamir_mnemonic as reference
from embit import slip39 as embit_slip39
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys import shamir, shamir_cipher, shamir_words
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.shamir import Group, ShareSet, combine, split
from bursar.keys.shamir_share import Share

TREZOR = Secret(b"TREZOR")
SEED = Secret(bytes(range(16)))
# the standard's first vector: a secret that is not shared
ALONE = (
    "duckling enlarge academic academic agency result length solution fridge kidney "
    "coal piece deal husband erode duke ajar critical decision keyboard"
)


def words(share: Share) -> str:
    return share.text().expose().decode()


def flat(groups: tuple[tuple[Share, ...], ...]) -> list[Share]:
    return [share for group in groups for share in group]


@pytest.fixture(scope="module")
def two_of_three() -> tuple[Share, ...]:
    return split(SEED, [Group(2, 3)], iteration_exponent=0)[0]


@pytest.fixture(scope="module")
def grouped() -> tuple[tuple[Share, ...], ...]:
    return split(SEED, [Group(2, 3), Group(3, 5), Group(1, 1)], group_threshold=2, iteration_exponent=0)


def test_official_vectors(official_vectors: Callable[[str], Path]) -> None:
    cases = json.loads(official_vectors("slip/slip0039.json").read_text())
    assert len(cases) == 45
    for name, texts, secret, xprv in cases:
        if not secret:
            with pytest.raises(InvalidInputError) as caught:
                combine([Share.from_text(text) for text in texts], TREZOR)
            assert caught.value.code.startswith("input.shamir."), name
            continue
        shares = [Share.from_text(text) for text in texts]
        assert list(map(words, shares)) == texts
        found = combine(shares, TREZOR)
        assert found.expose().hex() == secret, name
        assert ExtendedPrivateKey.from_seed(found).text().expose().decode() == xprv, name


def test_the_first_vector() -> None:
    assert combine([Share.from_text(ALONE)], TREZOR).expose().hex() == "bb54aac4b89dc868ba37d9cc21b2cece"


def test_the_word_list_is_the_standards() -> None:
    listed = shamir_words.words()
    assert list(listed) == embit_slip39.SLIP39_WORDS == reference.wordlist.WORDLIST
    assert len({word[:4] for word in listed}) == 1024
    assert sorted(listed) == list(listed)


def test_a_damaged_word_list_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from bursar.errors import BursarError

    monkeypatch.setattr(shamir_words, "_WORDS", "academic acid")
    with pytest.raises(BursarError, match="install it again"):
        shamir_words.words.__wrapped__()


@settings(max_examples=8)
@given(st.data(), st.sampled_from([16, 18, 24, 32, 64]), st.sampled_from([None, b"", b"open, sesame ~"]))
def test_the_reference_combines_what_we_split(data: st.DataObject, size: int, passphrase: bytes | None) -> None:
    secret = Secret(data.draw(st.binary(min_size=size, max_size=size)))
    phrase = None if passphrase is None else Secret(passphrase)
    rules = [Group(2, 3), Group(1, 1), Group(3, 4)]
    made = split(secret, rules, group_threshold=2, passphrase=phrase, iteration_exponent=0)
    chosen = data.draw(st.permutations([0, 1, 2]))[:2]
    given_back = [
        share for place in chosen for share in data.draw(st.permutations(made[place]))[: rules[place].threshold]
    ]
    assert combine(given_back, phrase) == secret
    assert reference.combine_mnemonics(list(map(words, given_back)), passphrase or b"") == secret.expose()
    for share in flat(made):
        again = Share.from_text(share.text())
        assert again == share


@settings(max_examples=6)
@given(st.data(), st.sampled_from([16, 32]), st.booleans())
def test_we_combine_what_the_reference_splits(data: st.DataObject, size: int, extendable: bool) -> None:
    secret = data.draw(st.binary(min_size=size, max_size=size))
    made = reference.generate_mnemonics(1, [(2, 3)], secret, b"pass", extendable, 0)[0]
    picked = [Share.from_text(text) for text in data.draw(st.permutations(made))[:2]]
    assert combine(picked, Secret(b"pass")).expose() == secret
    if not extendable:  # embit knows the standard before the flag
        shares = embit_slip39.ShareSet([embit_slip39.Share.parse(words(share)) for share in picked])
        assert shares.recover(b"pass") == secret


def test_another_passphrase_is_another_secret(two_of_three: tuple[Share, ...]) -> None:
    found = combine(two_of_three[:2], Secret(b"other"))
    assert found != SEED
    assert len(found) == 16
    assert combine(two_of_three[1:], Secret(b"")) == combine(two_of_three[1:]) == SEED


@pytest.mark.parametrize("passphrase", ["caf\u00e9", "tab\t", "line\n", "\x7f", "x" * 4097])
def test_passphrases_are_printable_ascii(two_of_three: tuple[Share, ...], passphrase: str) -> None:
    for call in (
        lambda: combine(two_of_three[:2], Secret.from_text(passphrase)),
        lambda: split(SEED, [Group(2, 3)], passphrase=Secret.from_text(passphrase)),
    ):
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert caught.value.code == "input.shamir.passphrase"


def test_split_again_is_another_set(two_of_three: tuple[Share, ...]) -> None:
    other = split(SEED, [Group(2, 3)], iteration_exponent=0)[0]
    assert two_of_three[0].extendable
    if other[0].identifier != two_of_three[0].identifier:
        with pytest.raises(InvalidInputError, match="belongs to another set") as caught:
            combine([two_of_three[0], other[1]])
        assert caught.value.code == "input.shamir.mixed"
    assert words(two_of_three[0]).split()[:3] == words(two_of_three[1]).split()[:3]


@pytest.mark.parametrize(
    ("chosen", "lacks"),
    [
        ([], "any share"),
        ([(0, 0)], "1 more share of group 1 and enough shares of 1 other group"),
        ([(2, 0)], "enough shares of 1 other group"),
        ([(0, 0), (0, 1)], "enough shares of 1 other group"),
        ([(0, 0), (1, 4)], "1 more share of group 1 and 2 more shares of group 2"),
        ([(2, 0), (0, 0), (1, 1)], "1 more share of group 1 or 2 more shares of group 2"),
    ],
)
def test_what_lacks_is_named(grouped: tuple[tuple[Share, ...], ...], chosen: list[tuple[int, int]], lacks: str) -> None:
    found = ShareSet(grouped[group][member] for group, member in chosen)
    assert found.lacking() == lacks
    assert not found.complete
    with pytest.raises(InvalidInputError, match=lacks) as caught:
        found.secret()
    assert caught.value.code == "input.shamir.missing"


def test_what_lacks_where_more_groups_were_begun_than_are_needed() -> None:
    made = split(SEED, [Group(2, 2)] * 3, group_threshold=2, iteration_exponent=0)
    found = ShareSet(group[0] for group in made)
    assert found.lacking().startswith("2 of these: 1 more share of group 1 or 1 more")
    assert found.lacking().count(" or ") == 2


def test_a_set_uses_the_groups_that_are_complete(grouped: tuple[tuple[Share, ...], ...]) -> None:
    found = ShareSet([grouped[1][0], *grouped[0][:2], grouped[2][0]])
    assert found.complete
    assert found.lacking() == ""
    assert found.secret() == SEED
    found = ShareSet([*grouped[0][:2], *grouped[1][:3], grouped[2][0]])
    assert found.secret() == SEED
    with pytest.raises(InvalidInputError, match="more groups than are needed") as caught:
        combine([*grouped[0][:2], grouped[1][0], grouped[2][0]])
    assert caught.value.code == "input.shamir.surplus"


def test_duplicates_and_surplus_are_refused(two_of_three: tuple[Share, ...]) -> None:
    with pytest.raises(InvalidInputError, match="share 1 was given before: take another") as caught:
        combine([two_of_three[0], two_of_three[0]])
    assert caught.value.code == "input.shamir.duplicate"
    with pytest.raises(InvalidInputError, match="share 3 is one too many: 2 shares") as caught:
        combine(two_of_three)
    assert caught.value.code == "input.shamir.surplus"


def changed(share: Share, **fields: object) -> Share:
    names = [name for name in Share.__slots__ if name not in fields]
    return Share(**{name: getattr(share, name) for name in names}, **fields)  # type: ignore[arg-type]


def test_forged_shares_are_noticed(two_of_three: tuple[Share, ...]) -> None:
    first, second, third = two_of_three
    with pytest.raises(InvalidInputError, match="at least one was forged") as caught:
        combine([first, changed(second, value=third.value)])
    assert caught.value.code == "input.shamir.digest"
    with pytest.raises(InvalidInputError, match="with other words: one is forged"):
        combine([first, changed(first, value=third.value)])
    with pytest.raises(InvalidInputError, match="share 2 says that 3") as caught:
        combine([first, changed(second, member_threshold=3)])
    assert caught.value.code == "input.shamir.mixed"
    for fields, difference in (
        ({"extendable": False}, "extendable flag"),
        ({"group_count": 2}, "number of groups"),
        ({"value": Secret(bytes(32))}, "length"),
    ):
        with pytest.raises(InvalidInputError, match=difference):
            combine([first, changed(second, **fields)])


def test_too_much_work_is_refused_before_it_begins(
    two_of_three: tuple[Share, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def pbkdf2(_name: str, _password: bytes, _salt: bytes, iterations: int, size: int) -> bytes:
        asked.append(iterations)
        return bytes(size)

    monkeypatch.setattr(shamir_cipher.hashlib, "pbkdf2_hmac", pbkdf2)
    slow = [changed(share, iteration_exponent=15) for share in two_of_three[:2]]
    with pytest.raises(InvalidInputError, match="327680000 iterations") as caught:
        combine(slow)
    assert caught.value.code == "input.shamir.exponent"
    with pytest.raises(InvalidInputError, match="above 10"):
        split(SEED, [Group(2, 3)], iteration_exponent=11)
    assert asked == []
    combine(slow, largest_exponent=15)
    assert asked == [2500 << 15] * 4


@pytest.mark.parametrize("size", [0, 15, 17, 33, 65, 66])
def test_secrets_of_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(InvalidInputError) as caught:
        split(Secret(bytes(size)), [Group(1, 1)])
    assert caught.value.code == "input.shamir.length"


@pytest.mark.parametrize(
    "call",
    [
        lambda: Group(0, 3),
        lambda: Group(4, 3),
        lambda: Group(2, 17),
        lambda: Group(1, 2),
        lambda: Group(True, 1),
        lambda: split(SEED, []),
        lambda: split(SEED, [Group(1, 1)] * 17),
        lambda: split(SEED, [Group(1, 1)], group_threshold=2),
        lambda: split(SEED, [Group(1, 1)], group_threshold=0),
        lambda: split(SEED, [Group(1, 1)], iteration_exponent=-1),
        lambda: changed(Share.from_text(ALONE), group_index=1),
        lambda: changed(Share.from_text(ALONE), group_threshold=2),
        lambda: changed(Share.from_text(ALONE), identifier=1 << 15),
        lambda: changed(Share.from_text(ALONE), member_index=16),
    ],
)
def test_impossible_rules_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        call()
    assert caught.value.code in ("input.shamir.threshold", "input.shamir.exponent")


@pytest.mark.parametrize("text", ["2of3", "1of1", "16of16"])
def test_rules_as_text(text: str) -> None:
    assert str(Group.from_text(text)) == text


@pytest.mark.parametrize("text", ["", "2/3", "2 of 3", "02of3", "2of3of4", "\u0662of\u0663", "0of1", "3of2", "1of2"])
def test_rules_that_are_none(text: str) -> None:
    with pytest.raises(InvalidInputError):
        Group.from_text(text)


def test_words_may_be_cut_to_four_letters_and_written_in_capitals() -> None:
    whole = Share.from_text(ALONE)
    short = " ".join(word[:4] for word in ALONE.split())
    for text in (short, ALONE.upper(), short.title(), f"  {ALONE}\n"):
        assert Share.from_text(text) == whole
    for cut in (3, 5):
        with pytest.raises(InvalidInputError, match="not in the list") as caught:
            Share.from_text(" ".join(word[:cut] for word in ALONE.split()))
        assert caught.value.code == "input.shamir.word"


def test_a_wrong_word_is_named_by_position_and_never_shown() -> None:
    text = ALONE.replace("kidney", "topsecretword")
    with pytest.raises(InvalidInputError, match="word 10 is not in the list") as caught:
        Share.from_text(text)
    assert "topsecretword" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(InvalidInputError) as caught:
        Share.from_text(Secret(b"\xff" + ALONE.encode()))
    assert "duckling" not in "".join(traceback.format_exception(caught.value))


@settings(max_examples=25)
@given(st.data())
def test_up_to_three_wrong_words_are_noticed(data: st.DataObject) -> None:
    text = ALONE.split()
    places = data.draw(st.sets(st.integers(0, 19), min_size=1, max_size=3))
    for place in places:
        text[place] = data.draw(st.sampled_from([word for word in shamir_words.words() if word != text[place]]))
    with pytest.raises(InvalidInputError) as caught:
        Share.from_text(" ".join(text))
    assert caught.value.code == "input.shamir.checksum"


LISTED = st.lists(st.sampled_from(shamir_words.words()), max_size=62).map(" ".join)


@settings(max_examples=40)
@given(st.text(max_size=300) | LISTED | st.binary(max_size=300).map(Secret))
def test_garbage_is_a_typed_error(garbage: str | Secret) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Share.from_text(garbage)
    assert caught.value.code.startswith("input.shamir.")


def test_a_book_is_no_share() -> None:
    with pytest.raises(InvalidInputError, match="too long"):
        Share.from_text("academic " * 1000)


def test_fewer_shares_than_needed_tell_nothing() -> None:
    """Each value of one share is as likely as any other, whatever the secret."""
    seen = {split(SEED, [Group(3, 3)], iteration_exponent=0)[0][0].value.expose()[0] for _ in range(40)}
    assert len(seen) > 20


def test_secrets_stay_inside(two_of_three: tuple[Share, ...]) -> None:
    share = two_of_three[0]
    assert "<redacted>" in repr(share)
    assert share.value.expose().hex() not in repr(share)
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copier(share)


def test_the_randomness_is_the_operating_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def token_bytes(size: int) -> bytes:
        asked.append(size)
        return b"\xab" * size

    monkeypatch.setattr(shamir.secrets, "token_bytes", token_bytes)
    monkeypatch.setattr(shamir.secrets, "randbits", lambda bits: (1 << bits) - 1)
    made = split(SEED, [Group(3, 5)], iteration_exponent=0)[0]
    assert asked == [16, 12]
    assert made[0].value.expose() == b"\xab" * 16
    assert made[0].identifier == 0x7FFF
