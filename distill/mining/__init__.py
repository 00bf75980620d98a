"""Mining out of local files: hard negatives, similar names, and triplets that a person reviews."""

from distill.mining.candidates import MakeFind, bm25, dense
from distill.mining.models import DEFAULT_MODEL, Judge, cosines, load_encoder, load_judge
from distill.mining.names import name_columns, similar_names
from distill.mining.negatives import NegativeSettings, mine_negatives, negative_columns
from distill.mining.review import accept, check_review, write_review
from distill.mining.tables import check_format, read_texts, write_rows
from distill.mining.triplets import TripletSettings, mine_triplets

__all__ = [
    "DEFAULT_MODEL",
    "Judge",
    "MakeFind",
    "NegativeSettings",
    "TripletSettings",
    "accept",
    "bm25",
    "check_format",
    "check_review",
    "cosines",
    "dense",
    "load_encoder",
    "load_judge",
    "mine_negatives",
    "mine_triplets",
    "name_columns",
    "negative_columns",
    "read_texts",
    "similar_names",
    "write_review",
    "write_rows",
]
