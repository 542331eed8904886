"""Which texts are URIs, authorities and path characters (RFC 3986), as regular expressions of linear time."""

from __future__ import annotations

import re
from typing import Final

_UNRESERVED: Final = r"A-Za-z0-9\-._~"
_SUB: Final = r"!$&'()*+,;="
_ENCODED: Final = r"%[0-9A-Fa-f]{2}"
_PCHAR: Final = rf"(?:[{_UNRESERVED}{_SUB}:@]|{_ENCODED})"
_SEGMENTS: Final = rf"(?:/{_PCHAR}*)*"
_QUERY: Final = rf"(?:[{_UNRESERVED}{_SUB}:@/?]|{_ENCODED})*"

_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4: Final = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_H16: Final = r"[0-9A-Fa-f]{1,4}"
_LS32: Final = rf"(?:{_H16}:{_H16}|{_IPV4})"
_IPV6: Final = "|".join(
    [rf"(?:{_H16}:){{6}}{_LS32}", rf"::(?:{_H16}:){{5}}{_LS32}"]
    + [rf"(?:(?:{_H16}:){{0,{before}}}{_H16})?::(?:{_H16}:){{{4 - before}}}{_LS32}" for before in range(5)]
    + [rf"(?:(?:{_H16}:){{0,5}}{_H16})?::{_H16}", rf"(?:(?:{_H16}:){{0,6}}{_H16})?::"]
)
_FUTURE: Final = rf"v[0-9A-Fa-f]+\.[{_UNRESERVED}{_SUB}:]+"
_HOST: Final = rf"(?:\[(?:{_IPV6}|{_FUTURE})\]|(?:[{_UNRESERVED}{_SUB}]|{_ENCODED})*)"
_AUTHORITY: Final = rf"(?:(?:[{_UNRESERVED}{_SUB}:]|{_ENCODED})*@)?{_HOST}(?::[0-9]*)?"

SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*", re.ASCII)
AUTHORITY: Final = re.compile(_AUTHORITY, re.ASCII)
PCHARS: Final = re.compile(rf"{_PCHAR}*", re.ASCII)
URI: Final = re.compile(
    rf"{SCHEME.pattern}:(?://{_AUTHORITY}{_SEGMENTS}|/(?:{_PCHAR}+{_SEGMENTS})?|{_PCHAR}+{_SEGMENTS}|)"
    rf"(?:\?{_QUERY})?(?:#{_QUERY})?",
    re.ASCII,
)
