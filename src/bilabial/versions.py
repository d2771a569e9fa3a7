"""Versions of installed packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def version_of(package: str) -> str:
    """The version of a package, "not installed" for one that is not, or runs from its sources alone."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
