"""Test sets: suites and local files, read and checked."""

from distill.testsets.declaration import Declaration, SetSection, read_declaration
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
from distill.testsets.suites import COMMAND_LINE, hub_sets, list_suites, load_suites

__all__ = [
    "COMMAND_LINE",
    "BitextSet",
    "ClassificationSet",
    "Declaration",
    "RetrievalSet",
    "SetSection",
    "StsSet",
    "TestSet",
    "digest",
    "hub_sets",
    "label",
    "list_suites",
    "load_suites",
    "read_declaration",
    "read_test_file",
    "sentences",
    "sentences_by_suite",
]
