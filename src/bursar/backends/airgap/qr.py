"""QR codes drawn (segno) and read (zxing-cpp), one or a sequence of them (ISO/IEC 18004)."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidInputError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_PIXELS = 50_000_000
_MOST_PIXELS_IN_ALL = 500_000_000
_MOST_FRAMES = 5_000
_FORMATS = ("PNG", "GIF", "JPEG", "WEBP", "BMP", "TIFF")  # Pillow knows more, some of them programs


def terminal(text: str) -> str:
    """A QR code in half blocks, dark on light, for a terminal."""
    rows = [*_matrix(text), []]
    width = len(rows[0])
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=False):
        below = lower or [0] * width
        lines.append("".join(" ▄▀█"[2 * (not a) + (not b)] for a, b in zip(upper, below, strict=True)))
    return "\n".join(lines)


def png(text: str, *, scale: int = 6) -> bytes:
    """A QR code as a PNG image, ``scale`` pixels for each module."""
    out = io.BytesIO()
    _made(text).save(out, kind="png", scale=scale, border=4)
    return out.getvalue()


def gif(texts: Sequence[str], *, scale: int = 6, milliseconds: int = 200) -> bytes:
    """QR codes as an animation that begins anew for ever."""
    image = _pillow()
    frames = [image.open(io.BytesIO(png(text, scale=scale))).convert("L") for text in texts]
    side = max(frame.width for frame in frames)
    padded = [_centred(image, frame, side) for frame in frames]
    out = io.BytesIO()
    padded[0].save(out, "GIF", save_all=True, append_images=padded[1:], duration=milliseconds, loop=0)
    return out.getvalue()


def read(path: Path) -> list[str]:
    """The texts of all QR codes in an image, frame by frame of an animation; ``InvalidInputError`` (``input.qr``)."""
    image, reader = _pillow(), _reader()
    try:
        with image.open(path, formats=_FORMATS) as opened:
            frames = min(getattr(opened, "n_frames", 1), _MOST_FRAMES)
            pixels = opened.width * opened.height
            if pixels > _MOST_PIXELS or pixels * frames > _MOST_PIXELS_IN_ALL:
                raise InvalidInputError(f"{path} is larger than any photograph", code="input.qr")
            texts: list[str] = []
            for number in range(frames):
                opened.seek(number)
                found = reader.read_barcodes(opened.convert("L"))
                texts += [one.text for one in found if str(one.format).replace(" ", "").endswith("QRCode")]
            return texts
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError) as error:
        if isinstance(error, InvalidInputError | FileNotFoundError | PermissionError):
            raise
        raise InvalidInputError(f"{path} is no image that can be read", code="input.qr") from error


def _matrix(text: str) -> list[list[int]]:
    return [list(row) for row in _made(text).matrix_iter(scale=1, border=2)]


def _made(text: str) -> Any:
    try:
        import segno
    except ImportError as error:
        raise _missing("segno") from error
    try:
        return segno.make(text, error="l", boost_error=False, micro=False)
    except ValueError as error:
        raise InvalidInputError(f"{len(text)} characters do not fit into one qr code", code="input.qr") from error


def _centred(image: Any, frame: Any, side: int) -> Any:
    canvas = image.new("L", (side, side), 255)
    canvas.paste(frame, ((side - frame.width) // 2, (side - frame.height) // 2))
    return canvas


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise _missing("pillow") from error
    return Image


def _reader() -> Any:
    try:
        import zxingcpp
    except ImportError as error:
        raise _missing("zxing-cpp") from error
    return zxingcpp


def _missing(package: str) -> MissingExtraError:
    return MissingExtraError(f"qr codes need the package {package}: pip install 'bursar[qr]'", extra="qr")
