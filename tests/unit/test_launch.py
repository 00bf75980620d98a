"""Which of several failed processes is shown."""

from __future__ import annotations

import math

from distill.errors import DataError
from distill.launch import Failure, first_failure

LOST = Failure(0, 1, None, "connection closed by peer", 20.0)


def test_an_error_of_the_users_comes_before_a_lost_connection() -> None:
    error = Failure(1, 2, DataError("a.tsv:3", "1 field"), "", 30.0)
    assert first_failure([LOST, error]) is error


def test_a_process_ended_by_a_signal_comes_before_a_lost_connection() -> None:
    killed = Failure(1, -9, None, "", math.inf)
    assert first_failure([LOST, killed]) is killed


def test_the_earliest_traceback_is_the_cause() -> None:
    cause = Failure(1, 1, None, "ZeroDivisionError", 10.0)
    assert first_failure([LOST, cause]) is cause
