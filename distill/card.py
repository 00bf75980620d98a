"""The model card: what the model is, how to use it, what it was made from, how it scores."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from distill import __version__
from distill.corpora import Corpus
from distill.corpora_report import cleaning_markdown, corpora_markdown, overlap_markdown
from distill.evaluate import Score
from distill.recipe import Recipe
from distill.recipe.values import is_path
from distill.report import MAIN_METRICS, score_markdown

LIBRARIES = ("torch", "transformers", "sentence-transformers", "accelerate", "datasets", "tokenizers")


MOST_LABELS = 20
"""Most labels of a head that a card lists."""

EXAMPLES = {"uk": "Кіт спить.", "da": "Katten sover.", "sv": "Katten sover.", "nb": "Katten sover."}


def usage(path: str, languages: Sequence[str] = ()) -> str:
    """Return the three lines of Python that use a model, with a sentence in one of its languages."""
    example = next((EXAMPLES[code] for code in languages if code in EXAMPLES), "The cat sleeps.")
    return (
        "from sentence_transformers import SentenceTransformer\n"
        f'model = SentenceTransformer("{path}")\n'
        f'print(model.similarity(model.encode(["A cat is sleeping."]), model.encode(["{example}"])))'
    )


def model_card(
    recipe: Recipe,
    corpora: Sequence[Corpus],
    scores: Sequence[Score],
    models: Sequence[str],
    sizes: Mapping[str, Any],
    facts: Mapping[str, str],
    recipe_yaml: str,
    heads: Mapping[str, Sequence[str]],
) -> str:
    """Return the README of a model: YAML front matter and Markdown.

    Args:
        recipe: the recipe of the run.
        corpora: what it was trained on.
        scores: all scores.
        models: columns of the score table; one is `student`.
        sizes: dimensions and longest input of the student.
        facts: name → value of further facts, such as other sizes, training time and command.
        recipe_yaml: the resolved recipe.
        heads: classification head → its labels.
    """
    languages = ", ".join(recipe.languages)
    facts = {
        "vector": f"{sizes['dimension']} dimensions",
        "longest input": f"{sizes['max_tokens']} tokens",
        **facts,
        "distill": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in LIBRARIES},
    }
    lines = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    licence = recipe.license or "not stated: the licences of the teacher and of the corpora apply"
    return f"""---
{_front_matter(recipe, [s for s in scores if s.model == "student" and s.metric in MAIN_METRICS])}
---

# {recipe.name}

A sentence-embedding model for English and {languages}: it puts a sentence and its translations where
{_linked(recipe.teacher.model)} puts the English one
([Reimers & Gurevych 2020](https://arxiv.org/abs/2004.09813)).{_skip_note(recipe)}

```python
{usage(recipe.name, recipe.languages)}  # "{recipe.name}": this folder, or the model's name on the Hub
```

{heads_markdown(recipe.name, heads)}## Scores

{score_markdown(scores, models)}

## Training data

{corpora_markdown(corpora)}

{overlap_markdown(corpora)}

### Cleaning

{cleaning_markdown(corpora, examples=False)}

## Facts

| | |
|---|---|
{lines}
| licence | {licence} |

## Recipe

```yaml
{recipe_yaml.strip()}
```
"""


def _skip_note(recipe: Recipe) -> str:
    if not recipe.skip:
        return ""
    return """ A skip connection moves the English vectors too: embed a
collection and its queries with this model, not one of them with its teacher."""


def heads_markdown(model: str, heads: Mapping[str, Sequence[str]]) -> str:
    """Return the section on a model's classification heads, nothing if it has none."""
    if not heads:
        return ""
    lines = "\n".join(f"| {name} | {_shortened(labels)} |" for name, labels in heads.items())
    return f"""## Heads

Classifiers on the model's vectors, in `heads.json` and `heads/`:

| head | labels |
|---|---|
{lines}

```bash
distill predict {model} --head {next(iter(heads))} texts.txt
```

"""


def _shortened(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:MOST_LABELS])
    return shown if len(labels) <= MOST_LABELS else f"{shown}, … ({len(labels)})"


def _front_matter(recipe: Recipe, scores: Sequence[Score]) -> str:
    """Return the YAML that the Hub reads: languages, licence, data sets, the student's scores."""
    hub_sets = [section.hub for section in recipe.corpora.values() if section.hub]
    base = recipe.student_model or recipe.teacher.model
    data = ModelCardData(
        language=["en", *recipe.languages],
        license=recipe.license,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "feature-extraction", "multilingual", "knowledge-distillation"],
        base_model=None if is_path(base) else base,
        datasets=hub_sets or None,
        model_name=recipe.name,
        eval_results=[_eval_result(score) for score in scores] or None,
    )
    return str(data.to_yaml())


def _linked(model: str) -> str:
    """Return a model's name, linked where it is on the Hub."""
    return Path(model).name if is_path(model) else f"[{model}](https://huggingface.co/{model})"


def _eval_result(score: Score) -> EvalResult:
    return EvalResult(
        task_type="sentence-similarity",
        dataset_type=score.suite,
        dataset_name=f"{score.suite} {score.pair}",
        dataset_config=score.pair,
        metric_type=score.metric,
        metric_name=score.metric.replace("_", " "),
        metric_value=score.value,
    )
