"""From a YAML file and `--set` overrides to a `Recipe`, every mistake with its key and line."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from distill.errors import RecipeError, nearest
from distill.recipe.corpora import CORPUS_FORMATS, CorpusSection, is_readable
from distill.recipe.document import Document, Key, read_document
from distill.recipe.evaluation import declared_suites
from distill.recipe.explain import explain
from distill.recipe.mixture import WeightedSampling
from distill.recipe.recipe import Recipe
from distill.recipe.values import is_path


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a YAML file with `key.sub=value` overrides applied.

    Raises:
        RecipeError: the file is missing or malformed, or keys or values are wrong.
    """
    document = read_document(Path(path), overrides)
    _refuse_package_of_another_model(document)
    _make_paths_absolute(document)
    try:
        recipe = Recipe.model_validate(document.data)
    except ValidationError as error:
        raise explain(error.errors(include_url=False), document) from None
    if mistakes := list(_missing_files(recipe, document)):
        mistakes[0].others = tuple(mistakes[1:])
        raise mistakes[0]
    recipe.mixture_with_weights()
    return recipe


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema of recipes, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def _refuse_package_of_another_model(document: Document) -> None:
    """Check that an override does not name a model that the file's `package` would be used instead of."""
    teacher, overridden = document.data.get("teacher"), document.overrides
    model_alone = ("teacher", "model") in overridden and ("teacher", "package") not in overridden
    if model_alone and isinstance(teacher, dict) and (package := teacher.get("package")):
        raise RecipeError(
            document.where(("teacher", "model")),
            f"the recipe's teacher.package, {package}, would be used instead",
            hint="replace the whole teacher: --set 'teacher={model: …}'",
        )


def _make_paths_absolute(document: Document) -> None:
    """Make every path in a document absolute.

    A path is relative to the recipe's folder, in an override to the current one; a corpus's to `data_root` where
    there is one; `runs` to the current folder.
    """
    root = document.data.get("data_root")
    data_root = document.folder(("data_root",)) / Path(root).expanduser() if isinstance(root, str) else None
    for key, text in list(document.texts()):
        match key:
            case ("runs",):
                base = Path.cwd()
            case ("corpora", _, "folder" | "files"):
                base = data_root or document.folder(key)
            case ("mixture", *_, "weights_file"):
                base = document.folder(key)
            case ("data_root",):
                base = document.folder(key)
            case (
                ("teacher" | "student", "model")
                | ("evaluation", "baselines", str())
                | (*_, "cleaning", "similarity", "model")
            ) if is_path(text):
                base = document.folder(key)
            case ("evaluation", "suites") | ("evaluation", "suites", int()) if (
                is_path(text) or "/" in text or Path(text).suffix
            ):
                base = document.folder(key)
            case _:
                continue
        document.put(key, str(base / Path(text).expanduser()))


def _missing_files(recipe: Recipe, document: Document) -> Iterator[RecipeError]:
    """Yield an error for each file, folder or package that a recipe names and that is not there."""
    models: dict[Key, str] = {("teacher", "model"): recipe.teacher.model}
    if recipe.student_model:
        models["student", "model"] = recipe.student_model
    models |= {("evaluation", "baselines", name): model for name, model in recipe.evaluation.baselines.items()}
    for key, model in models.items():
        if is_path(model) and not Path(model).is_dir():
            found = f"{model} is a file" if Path(model).exists() else f"no folder {model}"
            yield RecipeError(document.where(key), found, expected="a model's folder or a Hub id")
    for name, corpus in recipe.corpora.items():
        yield from _missing_corpus_files(corpus, ("corpora", name), document)
    for key, sampling, _ in recipe.mixture.samplings():
        if isinstance(sampling, WeightedSampling) and (path := sampling.weights_file) and not path.is_file():
            near = nearest(path.name, [file.name for file in path.parent.glob("*.json")])
            yield RecipeError(document.where(("mixture", *key, "weights_file")), f"no file {path}", hint=near)
    declared = declared_suites()
    for place, suite in enumerate(recipe.evaluation.suites):
        if suite not in declared and not Path(suite).exists():
            yield RecipeError(
                document.where(("evaluation", "suites", place)),
                f"no suite or file {suite!r}",
                expected=f"one of {', '.join(declared)}, or a path",
                hint=nearest(Path(suite).name, declared),
            )
    for place, tracker in enumerate(recipe.training.trackers):
        if importlib.util.find_spec(tracker) is None:
            yield RecipeError(
                document.where(("training", "trackers", place)),
                f"the package {tracker} is not installed",
                hint=f"pip install 'distill-multilingual[{tracker}]', or leave it out",
            )


def _missing_corpus_files(corpus: CorpusSection, key: Key, document: Document) -> Iterator[RecipeError]:
    if corpus.folder:
        yield from _missing_languages(corpus, corpus.folder, key, document)
    if corpus.files:
        where = document.where((*key, "files"))
        if corpus.files.is_dir():
            yield RecipeError(
                where,
                f"{corpus.files} is a folder",
                expected="a file",
                hint=f"for all files in it: {corpus.files}/*.tsv",
            )
            return
        for language in corpus.languages:
            found = corpus.matching_files(language)
            if not found:
                yield RecipeError(
                    where,
                    f"no file {str(corpus.files).replace('{language}', language)}",
                    expected="a file that exists",
                    hint=nearest(corpus.files.name, [p.name for p in corpus.files.parent.glob("*")]),
                )
            for path in found:
                if not is_readable(path, language):
                    known = ", ".join((*CORPUS_FORMATS, ".zip", ".en", f".{language}"))
                    yield RecipeError(where, f"{path} is of no known format", expected=f"one of {known}")


def _missing_languages(corpus: CorpusSection, folder: Path, key: Key, document: Document) -> Iterator[RecipeError]:
    if not folder.is_dir():
        yield RecipeError(
            document.where((*key, "folder")),
            f"{folder} is a file" if folder.exists() else f"no folder {folder}",
            expected="a folder with en-XX folders inside",
        )
        return
    there = [path.name for path in sorted(folder.glob("en-*"))]
    for language in corpus.languages:
        if not corpus.split_file(language):
            yield RecipeError(
                document.where((*key, "languages")),
                f"no {folder / f'en-{language}'}/train.parquet (or another format)",
                expected=f"languages of {', '.join(there)}" if there else "a folder with en-XX folders inside",
            )
