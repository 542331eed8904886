from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError
from bursar.keys import seed_qr
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.wordlist import LANGUAGES

# SeedSigner's docs/seed_qr/README.md: test vectors 1 to 9, and the example of its text
EXAMPLES = [
    (
        "attack pizza motion avocado network gather crop fresh patrol unusual wild holiday candy pony ranch winter "
        "theme error hybrid van cereal salon goddess expire",
        "011513251154012711900771041507421289190620080870026613431420201617920614089619290300152408010643",
        b"\x0et\xb6A\x07\xf9L\xc0\xcc\xfa\xe6\xa1=\xcb\xec6b\x15O\xecg\xe0\xe0\t\x99\xc0x\x92Y}\x19\n",
    ),
    (
        "atom solve joy ugly ankle message setup typical bean era cactus various odor refuse element afraid meadow "
        "quick medal plate wisdom swap noble shallow",
        "011416550964188800731119157218870156061002561932122514430573003611011405110613292018175411971576",
        b"\x0eY\xdd\xe2v\x00\x93\x17\xf1'_\x13\x89\x88\x80x\xc9\x93h\xd1\xe8$\x89\xb5\xf6)S\x1f\xc5\xb6\xa5n",
    ),
    (
        "sound federal bonus bleak light raise false engage round stock update render quote truck quality fringe "
        "palace foot recipe labor glow tortoise potato still",
        "166206750203018810361417065805941507171219081456140818651401074412730727143709940798183613501710",
        b"\xcf\xca\x8ce\x8b\xc8\x19bT\x92R\xbcz\xc3\xba[\x0b\x01\xd2k\xca\xe8\x9f+^\xce\xbe&=\xcb*6",
    ),
    (
        "forum undo fragile fade shy sign arrest garment culture tube off merit",
        "073318950739065415961602009907670428187212261116",
        b"[\xbd\x9dq\xa8\xecy\x90\x83\x1a\xff5\x9dBeE",
    ),
    (
        "good battle boil exact add seed angle hurry success glad carbon whisper",
        "080301540200062600251559007008931730078802752004",
        b"dbhd' 3\x85\xc23}\xd8LP\x89\xfd",
    ),
    (
        "approve fruit lens brass ring actual stool coin doll boss strong rate",
        "008607501025021714880023171503630517020917211425",
        b"\n\xcb\xba\x00\x8d\x9b\xa0\x05\xf5\x99k@\xa3G\\\xd9",
    ),
    (
        "dignity utility vacant shiver thought canoe feel multiply item youth actor coyote",
        "049619221923158517990268067811630950204300210397",
        b">\x1e\x0b\xc1\xe3\x1e\x0eC\x154\x8bv\xdf\xec\n\x98",
    ),
    (
        "corn voice scrap arrow original diamond trial property benefit choose junk lock",
        "038719631547010112530489185713790169032209701051",
        b"0~\xaf\x05\x86Y\xcazz\rc\x15%\t\xe5A",
    ),
    (
        "vocal tray giggle tool duck letter category pattern train magnet excite swamp",
        "196218530783182905421028028912901848107106301753",
        b"\xf5\\\xf5\x87\xf2T=\x01\t\r\n\xe7\x10\xbd;m",
    ),
    (
        "vacuum bridge buddy supreme exclude milk consider tail expand wasp pattern nuclear",
        "192402220235174306311124037817700641198012901210",
        0b11110000100000110111100001110101111011001111010011101111000110010000101111010110111010100101000000111110111100101000010101001011.to_bytes(
            16, "big"
        ),
    ),
]
ENTROPIES = st.sampled_from([16, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


@pytest.mark.parametrize(("words", "digits", "compact"), EXAMPLES, ids=lambda one: str(one)[:8])
def test_examples(words: str, digits: str, compact: bytes) -> None:
    mnemonic = Mnemonic.from_text(words, "english")
    assert seed_qr.digits(mnemonic).expose().decode() == digits
    assert seed_qr.compact(mnemonic).expose() == compact
    for scanned in (digits.encode(), compact):
        assert seed_qr.read(Secret(scanned)).text() == mnemonic.text()
    assert seed_qr.from_digits(digits).text() == mnemonic.text()


@settings(max_examples=20)
@given(ENTROPIES, st.sampled_from(LANGUAGES))
def test_round_trip_in_every_language(entropy: bytes, language: str) -> None:
    mnemonic = Mnemonic(entropy, language)
    for scanned in (seed_qr.digits(mnemonic), seed_qr.compact(mnemonic)):
        again = seed_qr.read(scanned, language)
        assert again.text() == mnemonic.text()
        assert again.language == language


@pytest.mark.parametrize("size", [20, 24, 28])
def test_other_lengths_are_not_of_the_format(size: int) -> None:
    for call in (seed_qr.digits, seed_qr.compact):
        with pytest.raises(InvalidInputError, match="12 or 24 words") as caught:
            call(Mnemonic(bytes(size)))
        assert caught.value.code == "input.seed-qr"
    with pytest.raises(InvalidInputError):
        seed_qr.read(Secret(bytes(size)))


def test_mistakes_are_named_without_the_digits() -> None:
    digits = EXAMPLES[3][1]
    with pytest.raises(InvalidInputError, match="checksum"):
        seed_qr.from_digits(digits[:-1] + "7")
    with pytest.raises(InvalidInputError, match="word 2 are above 2047") as caught:
        seed_qr.from_digits(digits[:4] + "9999" + digits[8:])
    assert "9999" not in str(caught.value)
    for wrong in (digits[:-1], digits + "0", digits[:-1] + "x", digits[:-1] + "\u0663", ""):
        with pytest.raises(InvalidInputError):
            seed_qr.from_digits(wrong)


@settings(max_examples=30)
@given(st.binary(max_size=100) | st.text("0123456789", min_size=48, max_size=48).map(str.encode))
def test_garbage_is_a_typed_error(garbage: bytes) -> None:
    try:
        mnemonic = seed_qr.read(Secret(garbage))
    except InvalidInputError as error:
        assert error.code.startswith(("input.seed-qr", "input.mnemonic"))  # noqa: PT017
    else:
        assert garbage in (seed_qr.digits(mnemonic).expose(), seed_qr.compact(mnemonic).expose())
