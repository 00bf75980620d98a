"""The packages of the extra `mining`."""

from __future__ import annotations

from importlib.util import find_spec

from distill.errors import DistillError


def require(*packages: str) -> None:
    """Check that packages are installed.

    Raises:
        DistillError: one is not.
    """
    for package in packages:
        if find_spec(package) is None:
            raise DistillError(
                "distill mine",
                f"the package {package} is not installed",
                hint='pip install "distill-multilingual[mining]"',
            )
