"""Converting images to 8-bit sRGB."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from compressgan.images.tiff import eight_bits

ON_WHITE = "transparency is shown on white"  # said of pictures that are transparent somewhere
# Colours from all over the RGB cube, to test whether a profile changes anything.
_SAMPLES = Image.fromarray(np.indices((9, 9, 9), np.uint8).reshape(3, 1, -1).transpose(1, 2, 0) * 31)


def to_srgb(image: Image.Image, icc_profile: bytes | None, note: Callable[[str], None]) -> Image.Image:
    """Converts to sRGB, using the embedded profile if there is one, and shows transparency on white."""
    image = _eight_bit(image)
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    try:
        colours = _by_profile(image, icc_profile) if icc_profile else image.convert("RGB")
    except (ImageCms.PyCMSError, OSError):
        note("its colour profile cannot be used and is ignored")
        colours = image.convert("RGB")
    if alpha and alpha.getextrema()[0] < 255:
        note(ON_WHITE)
        colours = Image.composite(colours, Image.new("RGB", colours.size, "white"), alpha)
    return colours


def _eight_bit(image: Image.Image) -> Image.Image:
    """Converts grey images with more than 8 bits or with floating-point values to 8 bits."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    # 16-bit grey has the mode I;16 or, from some readers, I.
    return Image.fromarray(eight_bits(np.asarray(image), 16))


def _by_profile(image: Image.Image, icc_profile: bytes) -> Image.Image:
    """Returns the image in sRGB, without its transparency.

    Raises:
        PyCMSError, OSError: the profile is damaged, or for another colour space.
    """
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
    space = profile.profile.xcolor_space.strip()
    of_grey = image.mode in ("L", "LA", "1")
    fits = {"CMYK": image.mode == "CMYK", "GRAY": of_grey, "RGB": image.mode != "CMYK"}
    if not fits.get(space):
        raise ImageCms.PyCMSError("profile of another colour space")
    mode = "L" if space == "GRAY" else space
    # Without this flag, curves are simplified, which some profiles do not bear: XYB's blue would be 4 levels off.
    flags = ImageCms.Flags.NOOPTIMIZE
    to_srgb = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)
    samples = _SAMPLES.convert(mode)
    change = np.asarray(ImageCms.applyTransform(samples, to_srgb), np.int16) - samples.convert("RGB")
    # Rounding must not change a photo that is already sRGB. The profile's name is not a reliable sign of that.
    return image.convert("RGB") if np.abs(change).max() <= 1 else ImageCms.applyTransform(image.convert(mode), to_srgb)
