"""The packages of the extra `mining`."""

from __future__ import annotations

from importlib import import_module

from distill.errors import DistillError


def require(*packages: str) -> None:
    """Check that packages are installed.

    Raises:
        DistillError: one is not.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise DistillError(
                "distill mine",
                f"the package {package} cannot be imported: {error}",
                hint='pip install "distill-multilingual[mining]"',
            ) from error
