from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.keys.shamir_field import GF32, GF256, Field

FIELDS = [pytest.param(GF256, id="GF(256)"), pytest.param(GF32, id="GF(32)")]


def product(field: Field, first: int, second: int) -> int:
    """Schoolbook: multiply polynomials over GF(2), then divide by the field's."""
    whole = 0
    for bit in range(field.bits):
        whole ^= (first << bit) * (second >> bit & 1)
    for bit in range(2 * field.bits - 2, field.bits - 1, -1):
        whole ^= (field.polynomial << bit - field.bits) * (whole >> bit & 1)
    return whole


def test_known_products() -> None:
    assert GF256.multiply(0x57, 0x83) == 0xC1  # FIPS 197, section 4.2
    assert GF256.multiply(0x57, 0x13) == 0xFE


@pytest.mark.parametrize("field", FIELDS)
def test_products_and_inverses(field: Field) -> None:
    size = 1 << field.bits
    for first in range(0, size, 7):
        for second in range(0, size, 3):
            assert field.multiply(first, second) == product(field, first, second)
    for element in range(1, size):
        assert field.multiply(element, field.inverse(element)) == 1


@settings(max_examples=20)
@given(st.data(), st.sampled_from([GF256, GF32]), st.integers(1, 6), st.integers(1, 9))
def test_interpolation_finds_the_polynomial(data: st.DataObject, field: Field, degree: int, length: int) -> None:
    element = st.integers(0, (1 << field.bits) - 1)
    coefficients = [data.draw(st.lists(element, min_size=length, max_size=length)) for _ in range(degree)]

    def value(place: int) -> bytes:
        found = [0] * length
        for row in reversed(coefficients):
            found = [product(field, one, place) ^ other for one, other in zip(found, row, strict=True)]
        return bytes(found)

    places = data.draw(st.lists(element, min_size=degree, max_size=degree, unique=True))
    points = [(place, value(place)) for place in places]
    wanted = data.draw(element)
    assert field.interpolate(points, wanted) == value(wanted)
    for place, vector in points:
        assert field.interpolate(points, place) == vector
