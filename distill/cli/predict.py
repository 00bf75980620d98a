"""`distill predict`: labels of texts by a head that was shipped with a model."""

from __future__ import annotations

import json
from typing import TextIO

import click

from distill.cli.hub import quiet_libraries
from distill.errors import DataError


@click.command()
@click.argument("model")
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@click.option("--head", "name", required=True, help="Name of the head: that of its objective in the recipe.")
@click.option("--jsonl", is_flag=True, help="Write JSON lines with the probabilities of all labels, not TSV.")
def predict(model: str, file: TextIO, name: str, jsonl: bool) -> None:
    """Write label, probability and text of each line of FILE (- for standard input).

    MODEL is the folder of a model with heads, or a run directory.
    """
    try:
        texts = [line.rstrip("\r\n") for line in file]
    except UnicodeDecodeError as error:
        raise DataError(file.name, "not UTF-8", hint="save it as UTF-8") from error
    if empty := next((number for number, text in enumerate(texts, start=1) if not text.strip()), None):
        raise DataError(f"{file.name}:{empty}", "an empty line", expected="a text in each line")
    quiet_libraries()
    from distill.encode import encode, speed_up
    from distill.models import load_model
    from distill.named_models import model_folder
    from distill.objectives import load_head

    folder = model_folder(model)
    head = load_head(folder, name)
    encoder = load_model("model", str(folder))
    speed_up(encoder)
    found = head.probabilities(encode(encoder, texts))
    for text, probabilities in zip(texts, found, strict=True):
        best = int(probabilities.argmax())
        if jsonl:
            every = dict(zip(head.labels, (round(float(p), 6) for p in probabilities), strict=True))
            content = {"text": text, "label": head.labels[best], "probability": every[head.labels[best]]}
            click.echo(json.dumps({**content, "probabilities": every}, ensure_ascii=False))
        else:
            click.echo(f"{head.labels[best]}\t{probabilities[best]:.4f}\t{text}")
