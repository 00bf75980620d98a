"""Distil an English sentence-embedding model into a multilingual student."""

__version__ = "0.1.0"
