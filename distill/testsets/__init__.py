"""Test sets: suites and local files, read and checked."""

from distill.testsets.files import read_test_file
from distill.testsets.sets import (
    BitextSet,
    ClassificationSet,
    RetrievalSet,
    StsSet,
    TestSet,
    digest,
    label,
    sentences,
    sentences_by_suite,
)
from distill.testsets.suites import load_suites

__all__ = [
    "BitextSet",
    "ClassificationSet",
    "RetrievalSet",
    "StsSet",
    "TestSet",
    "digest",
    "label",
    "load_suites",
    "read_test_file",
    "sentences",
    "sentences_by_suite",
]
