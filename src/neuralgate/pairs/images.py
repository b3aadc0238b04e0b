"""Opening image files that nobody vouches for."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from neuralgate.errors import UserError

MAX_PIXELS = 64_000_000


def open_image(path: Path | str) -> Image.Image:
    """An RGB image from ``path``.

    Raises:
        UserError: the file is missing, is not an image, is cut off, or unpacks to more than 64 megapixels.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UserError(
                        f"{path} would unpack to {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} may, shrink it first."
                    )
                return _as_rgb(ImageOps.exif_transpose(image))  # cameras write down how they were held
    except FileNotFoundError as error:
        raise UserError(f"The image {path} does not exist; check the path in the pair set.") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not an image that can be read; use PNG or JPEG.") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} would unpack to far too many pixels (a decompression bomb); shrink it first.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"The image {path} is broken ({error}); replace the file.") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # PIL would cut 16 bits off at 255
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.has_transparency_data:  # what lies under it is white, not the black that the file may hold there
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return image.convert("RGB")
