"""Opening image files that nobody vouches for."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from neuralgate.errors import UserError, first_line

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")  # of files that are taken for pictures
MAX_PIXELS = 64_000_000
MAX_ASPECT = 200  # processors fail at about this ratio of the sides, and nobody photographs a document so
STRIP = 512  # rows converted at a time, so that a large picture is in memory twice at most
#: What a file says about how it is to be read. All else (camera, place, owner, comment, preview) is about somebody.
TECHNICAL = {
    *("jfif", "jfif_version", "jfif_unit", "jfif_density", "adobe", "adobe_transform", "progressive", "progression", "icc_profile"),
    *("dpi", "gamma", "srgb", "chromaticity", "interlace", "transparency", "aspect", "compression", "resolution", "background", "loop"),
    *("duration", "timestamp", "default_image"),
}
TECHNICAL_TAGS = {254, 255, *range(256, 260), *range(262, 267), 273, *range(277, 280), *range(282, 285), 296, 317, *range(320, 326)}
TECHNICAL_TAGS |= {338, 339, 530, 531, 532, 34675}


def open_image(path: Path | str) -> Image.Image:
    """An RGB image from ``path``: upright, white where it is transparent, other than 8 bits scaled by their range of values.

    Raises:
        UserError: the file is missing, is not an image of one page, is cut off, or unpacks to more than 64 megapixels.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for its other end
            raise UserError(f"The image {path} is broken (it is no regular file); replace it.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UserError(
                        f"{path} would unpack to {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} may, shrink it first."
                    )
                pages = getattr(image, "n_frames", 1)
                if pages > 1 and image.format != "MPO":  # there the others are a camera's previews of the first
                    raise UserError(f"{path} holds {pages} pages; save each as a picture of its own.")
                ImageOps.exif_transpose(image, in_place=True)  # cameras write down how they were held
                return _as_rgb(image)
    except FileNotFoundError as error:
        raise UserError(f"The image {path} does not exist; check the path in the pair set.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not an image that can be read; use PNG or JPEG.") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} would unpack to far too many pixels (a decompression bomb); shrink it first.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"The image {path} is broken ({error}); replace the file.") from error


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image from top to bottom, ``STRIP`` rows at a time, each with its first row."""
    for top in range(0, image.height, STRIP):
        yield top, image.crop((0, top, image.width, min(top + STRIP, image.height)))


def _as_rgb(image: Image.Image) -> Image.Image:
    image.load()
    low, high = _range(image)
    result = Image.new("RGB", image.size)
    for top, strip in strips(image):
        if high is not None:  # PIL would cut off at 255
            values = (np.asarray(strip, dtype=np.float64) - low) / max(high - low, 1e-300)
            strip = Image.fromarray((values * 255).astype(np.uint8))
        elif strip.has_transparency_data:  # what lies under it is white, not the black that the file may hold there
            strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip.convert("RGBA"))
        result.paste(strip.convert("RGB"), (0, top))
    return result


def _range(image: Image.Image) -> tuple[float, float | None]:
    """The values that are black and white where a mode has more than 8 bits: 16 bits whole, floats of 0 to 1 as such, others from
    their smallest to their largest."""
    if image.mode.startswith("I;16"):
        return 0, 257 * 255
    if image.mode not in ("I", "F"):
        return 0, None
    if image.mode == "F" and not all(np.isfinite(np.asarray(strip)).all() for _, strip in strips(image)):
        raise ValueError("it holds values that are no finite numbers")
    low, high = (float(value) for value in image.getextrema())  # type: ignore[arg-type]
    return (0, 1) if image.mode == "F" and low >= 0 and high <= 1 else (low, high)


def check_picture(image: Image.Image, path: Path) -> None:
    """Raises UserError when nothing can be read in it: it is of one colour, or a strip."""
    if all(low == high for low, high in image.getextrema()):  # type: ignore[misc]
        raise UserError(f"{path} is blank, all of one colour; leave it out or scan it again.")
    if max(image.size) > MAX_ASPECT * min(image.size):
        raise UserError(f"{path} is {image.width} x {image.height} pixels, more than {MAX_ASPECT} times as long as wide; leave it out.")


def check_processor(processor: Any, name: str, paths: Iterable[Path]) -> None:
    """Open every picture and prepare one of each size for the model ``name``: a processor fails by size.

    Raises:
        UserError: a picture cannot be opened, or the processor refuses it.
    """
    sizes = set()
    for path in paths:
        image = open_image(path)
        if image.size not in sizes:
            sizes.add(image.size)
            try:
                processor.image_processor(images=image, return_tensors="pt")
            except Exception as error:  # every family's processor fails in its own way
                size = f"{image.width} x {image.height} pixels"
                raise UserError(f"The processor of {name} cannot take {path}, {size} ({first_line(error)}); leave it out.") from error


def without_metadata(path: Path) -> bytes:
    """The file's own bytes where it says nothing but how it is to be read, else the upright picture alone in the same format."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            image.load()  # a PNG may say more behind its pixels
            private = {str(name) for name in image.info} - TECHNICAL
            if image.format == "TIFF":
                private = {str(tag) for tag in image.getexif() if tag not in TECHNICAL_TAGS}
            private |= {marker for marker, content in getattr(image, "applist", ()) if not _technical(marker, content)}
    if not private:
        return path.read_bytes()
    buffer = io.BytesIO()
    suffix = path.suffix.lower()
    how = {"quality": 95, "subsampling": 0} if suffix in (".jpg", ".jpeg") else {"lossless": True} if suffix == ".webp" else {}
    open_image(path).save(buffer, format=Image.registered_extensions()[suffix], **how)
    return buffer.getvalue()


def _technical(marker: str, content: bytes) -> bool:
    return marker in ("APP0", "APP14") or (marker == "APP2" and content.startswith(b"ICC_PROFILE"))


def file_of(image: Image.Image, **how: Any) -> bytes:
    """The image as the bytes of a file; ``how`` is passed to PIL."""
    buffer = io.BytesIO()
    image.save(buffer, **how)
    return buffer.getvalue()
