"""Why an image cannot be read."""

from __future__ import annotations


class DamagedImage(Exception):  # noqa: N818, always caught
    """The image is damaged. The message says where."""


class UnsupportedImage(Exception):  # noqa: N818, always caught
    """The image is apparently valid, but of a kind that cannot be read correctly. The message says which."""
