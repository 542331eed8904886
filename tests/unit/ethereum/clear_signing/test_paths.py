"""The path language of ERC-7730: written back as it was read, and nothing else read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.errors import InvalidInputError
from bursar.ethereum.clear_signing.paths import MOST_STEPS, TOP, Path, Root, Slice

NAMES = st.from_regex(r"[A-Za-z_$][A-Za-z0-9_$-]{0,12}", fullmatch=True)
PLACES = st.integers(-99_999, 99_999)
SLICES = st.builds(Slice, st.none() | PLACES, st.none() | PLACES)
STEPS = st.lists(NAMES | PLACES | SLICES, max_size=6)


@st.composite
def paths(draw: st.DrawFn) -> Path:
    root = draw(st.sampled_from(Root))
    steps = draw(STEPS)
    if root is not Root.DATA:
        steps = [draw(NAMES), *steps]
    return Path(root, tuple(steps))


@given(paths())
def test_a_path_is_written_back_as_it_was_read(path: Path) -> None:
    assert Path.from_text(str(path)) == path


@given(st.text(alphabet="#$@.[]:-0123456789ab_ \u202e", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_path_or_a_typed_error(text: str) -> None:
    try:
        path = Path.from_text(text)
    except InvalidInputError as error:
        refused = error
    else:
        assert Path.from_text(str(path)) == path
        return
    assert refused.code == "input.clear-signing"
    assert refused.message.isprintable()


@pytest.mark.parametrize(
    ("text", "root", "steps"),
    [
        ("amount", Root.HERE, ("amount",)),
        ("#.data.path.[0].path.[-1].to", Root.DATA, ("data", "path", 0, "path", -1, "to")),
        ("params.path.[:20]", Root.HERE, ("params", "path", Slice(None, 20))),
        ("params.path.[-20:]", Root.HERE, ("params", "path", Slice(-20, None))),
        ("#.details.[]", Root.DATA, ("details", Slice())),
        ("@.value", Root.CONTAINER, ("value",)),
        ("$.metadata.enums.interestRateMode", Root.DESCRIPTOR, ("metadata", "enums", "interestRateMode")),
        ("recipients[0]", Root.HERE, ("recipients", 0)),
        ("#", Root.DATA, ()),
    ],
)
def test_paths_of_the_standard(text: str, root: Root, steps: tuple[object, ...]) -> None:
    assert Path.from_text(text) == Path(root, steps)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a.", ".a", "a..b", "$", "@", "@.[0]", "$.[]", "a.[0:1:2]", "a.[*]", "a.[?(@.b)]", "a['b']"),
        *("a.[01]", "a.[-0]", "a.[1000000]", "a b", "a.[0", "##.a", "a.#.b", "é", "a[0:2]", "a.b[-]"),
        *("a" * 200, ".".join("a" * (MOST_STEPS + 1)), "a." * 600 + "a"),
    ],
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Path.from_text(text)
    assert caught.value.code == "input.clear-signing"


def test_a_path_that_is_no_text() -> None:
    for data in (None, 1, ["a"], {"a": 1}):
        with pytest.raises(InvalidInputError):
            Path.from_text(data)


def test_relative_paths_go_on_from_their_group() -> None:
    group = Path.from_text("#.details.[]")
    assert str(Path.from_text("amount").below(group)) == "#.details.[].amount"
    assert str(Path.from_text("#.amount").below(group)) == "#.amount"
    assert str(Path.from_text("@.to").below(group)) == "@.to"
    assert str(Path.from_text("amount").below(TOP)) == "#.amount"
