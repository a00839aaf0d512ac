"""Why an image cannot be read."""

from __future__ import annotations


class DamagedImage(Exception):  # noqa: N818, always caught
    """The image is damaged. The message says where."""


class UnsupportedImage(Exception):  # noqa: N818, always caught
    """The image is valid as far as it is known, but of a kind that cannot be read right. The message says which."""
