"""The schedule: which rows are trained on in which step, a pure function of recipe, seed and step.

Every process computes the same schedule and takes its own slice of each batch, so the global batch does not
depend on the number of processes, and a resumed run skips exactly the steps already done.
"""

from distill.mixture.data_sets import Stream
from distill.mixture.schedule import Schedule, Step

__all__ = ["Schedule", "Step", "Stream"]
