"""Why an image cannot be read, or not as it was."""

from __future__ import annotations


class DamagedImage(Exception):  # noqa: N818, always caught
    """The image is damaged. The message says where."""


class UnsupportedImage(Exception):  # noqa: N818, always caught
    """The image is apparently valid, but of a kind that cannot be read correctly. The message says which."""


class Corruption(str):
    """A note that an image was read in spite of damage, which matters for each image."""
