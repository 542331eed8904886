from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED, DerivationPath

INDEXES = st.lists(st.integers(0, 2**32 - 1), max_size=12).map(tuple)


@pytest.mark.parametrize(
    ("text", "indexes", "canonical"),
    [
        ("m", (), "m"),
        ("m/0", (0,), "m/0"),
        ("m/84h/0h/0h/0/7", (HARDENED + 84, HARDENED, HARDENED, 0, 7), "m/84h/0h/0h/0/7"),
        ("m/44'/60'/0'", (HARDENED + 44, HARDENED + 60, HARDENED), "m/44h/60h/0h"),
        ("m/44H/1'/2h", (HARDENED + 44, HARDENED + 1, HARDENED + 2), "m/44h/1h/2h"),
        ("m/2147483647h/2147483647", (2**32 - 1, HARDENED - 1), "m/2147483647h/2147483647"),
    ],
)
def test_k5_every_hardened_marker_reads_the_same(text: str, indexes: tuple[int, ...], canonical: str) -> None:
    path = DerivationPath.from_text(text)
    assert path.indexes == indexes
    assert str(path) == canonical
    assert DerivationPath.from_text(canonical) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "m/",
        "m//0",
        "m/0/",
        "/m/0",
        "M",
        "M/0",
        "n/0",
        "mm/0",
        "0",
        "0/1",
        "84h/0h",
        "m/h",
        "m/'",
        "m/0hh",
        "m/0'h",
        "m/h0",
        "m/-1",
        "m/+1",
        "m/00",
        "m/01",
        "m/00h",
        "m/2147483648",
        "m/2147483648h",
        "m/4294967296",
        "m/99999999999999999999999999",
        "m/1_000",
        "m/0x10",
        "m/1e3",
        "m/1.0",
        "m/ 0",
        "m/0 ",
        " m/0",
        "m/0\n",
        "m\x00/0",
        "m/٣",  # an arabic digit, which int() would take
        "m/３",  # a full-width digit
        "m/0ʹ",
        "m/0’",
        "m/*",
        "m/<0;1>",
        "m\\0",
        "m.0",
        "m/0" * 2,
        "m" + "/0" * 256,
        "m/" + "1" * 5000,
    ],
)
def test_k5_hostile_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        DerivationPath.from_text(text)
    assert caught.value.code == "input.path"


@pytest.mark.parametrize("value", [None, 5, b"m/0", ["m"]])
def test_from_text_takes_text(value: object) -> None:
    with pytest.raises(InvalidInputError):
        DerivationPath.from_text(value)  # type: ignore[arg-type]


@given(INDEXES)
def test_round_trip(indexes: tuple[int, ...]) -> None:
    path = DerivationPath(indexes)
    assert DerivationPath.from_text(str(path)) == path
    assert tuple(path) == indexes
    assert len(path) == len(indexes)
    assert path.hardened == any(index >= HARDENED for index in indexes)


@given(st.text(max_size=40) | st.text(alphabet="m/0123456789h'H ", max_size=40))
def test_garbage_is_a_typed_error_or_a_path(text: str) -> None:
    try:
        path = DerivationPath.from_text(text)
    except InvalidInputError as error:
        assert error.code == "input.path"  # noqa: PT017
    else:
        assert str(path) == text.replace("'", "h").replace("H", "h")


@pytest.mark.parametrize("indexes", [(-1,), (2**32,), (0.0,), ("0",), (None,), (True,), [0], None, (0,) * 256])
def test_the_constructor_checks_indexes(indexes: object) -> None:
    with pytest.raises(InvalidInputError):
        DerivationPath(indexes)  # type: ignore[arg-type]


def test_walking() -> None:
    account = DerivationPath.from_text("m/84h/0h/0h")
    receive = account / 0 / 7
    assert str(receive) == "m/84h/0h/0h/0/7"
    assert receive.parent.parent == account
    assert account.child(HARDENED + 1).indexes[-1] == HARDENED + 1
    assert account.is_prefix_of(receive)
    assert account.is_prefix_of(account)
    assert not receive.is_prefix_of(account)
    assert not DerivationPath.from_text("m/84h/0h/1h").is_prefix_of(receive)
    assert receive[-1] == 7
    assert receive.suffix() == "/84h/0h/0h/0/7"
    assert account < receive
    assert len({account, DerivationPath.from_text("m/84'/0'/0'")}) == 1
    with pytest.raises(InvalidInputError):
        _ = DerivationPath().parent
    with pytest.raises(InvalidInputError):
        _ = account / 2**32


def test_the_root_is_a_path_like_any_other() -> None:
    root = DerivationPath()
    assert root
    assert len(root) == 0
    assert root.suffix() == ""
    assert root.is_prefix_of(DerivationPath((1,)))
