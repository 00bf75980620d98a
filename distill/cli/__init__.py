"""The command line."""

from distill.cli.group import main

__all__ = ["main"]
