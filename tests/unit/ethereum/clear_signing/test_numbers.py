"""Units, dates and durations of ERC-7730, by the examples in its text."""

from __future__ import annotations

import pytest

from bursar.errors import InvalidInputError
from bursar.ethereum.clear_signing.interoperable import interoperable_name
from bursar.ethereum.clear_signing.numbers import date_text, decimal_text, duration_text, unit_text


@pytest.mark.parametrize(
    ("value", "base", "decimals", "prefix", "shown"),
    [
        (10, "h", 0, False, "10h"),
        (15, "d", 1, False, "1.5d"),
        (36_000, "s", 0, True, "36ks"),
        (0, "s", 3, True, "0s"),
        (1, "m", 3, True, "1mm"),
        (1_234_567, "W", 0, True, "1.234567MW"),
        (5, "g", 40, True, "0.0000000005qg"),
        (-1500, "V", 0, True, "-1.5kV"),
        (250, "%", 2, False, "2.5%"),
    ],
)
def test_units(value: int, base: str, decimals: int, prefix: bool, shown: str) -> None:
    assert unit_text(value, base=base, decimals=decimals, prefix=prefix) == shown


def test_decimals_are_exact() -> None:
    assert decimal_text((1 << 256) - 1, 77) == (
        "1.15792089237316195423570985008687907853269984665640564039457584007913129639935"
    )
    assert decimal_text(-1, 18) == "-0.000000000000000001"
    assert decimal_text(100, 0) == "100"
    assert decimal_text(3, -2) == "300"


def test_dates_and_durations() -> None:
    assert date_text(1_709_191_632) == "2024-02-29 07:27:12Z"
    assert date_text(0) == "1970-01-01 00:00:00Z"
    assert date_text(253_402_300_799) == "9999-12-31 23:59:59Z"
    assert date_text((1 << 256) - 1) is None
    assert duration_text(8250) == "02:17:30"
    assert duration_text(360_000) == "100:00:00"


def test_interoperable_names() -> None:
    data = bytes.fromhex("00010000010114D8DA6BF26964AF9D7EED9E03E53415D37AA96045")
    assert interoperable_name(data)[1] == "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045@eip155:1#4CA88C9C"
    for broken in (b"", data[:-1], data + b"\0", b"\x00\x02" + data[2:], data[:5], bytes.fromhex("000100000000")):
        with pytest.raises(InvalidInputError):
            interoperable_name(broken)
