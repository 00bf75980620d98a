"""Recipes: what is read, and that every mistake is reported with its place, what was found and what was expected."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from distill.cli import main
from distill.errors import RecipeError
from distill.recipe import LearningRate, load_recipe, recipe_schema

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
BASE = """\
name: small
teacher:
  model: owner/teacher
student:
  kind: transplant
  vocabulary: {size: 800}
corpora:
  small:
    bundled: everyday
    languages: [uk, da]
    dev_rows: 20
training:
  batch_size: 16
  epochs: 1
  learning_rate: 1e-3
evaluation:
  suites: [everyday]
"""
CORPUS = "bundled: everyday\n    languages: [uk, da]\n    dev_rows: 20"
MORE = "kind: transplant\n  model: ./no/model\n  add: [da]"
SAME = "columns: {english: a, non_english: a}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recipe.yaml"


def error_of(path: Path, text: str | bytes, *overrides: str) -> RecipeError:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return caught.value


def changed(old: str, new: str) -> str:
    assert BASE.count(old) == 1, f"{old!r} does not stand once in the recipe"
    return BASE.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        # unknown keys
        ("epochs: 1", "epocs: 1", "14: training.epocs", 'unknown key "epocs" … batch_size, … did you mean "epochs"?'),
        ("size: 800", "sise: 800", "6: student.vocabulary.sise", 'unknown key … did you mean "size"?'),
        ("dev_rows: 20", "dev_row: 2", "11: corpora.small.dev_row", 'unknown key … did you mean "dev_rows"?'),
        ("name: small", "name: small\nepochs: 3", "2: epochs", 'unknown key … "epochs" is a key of training'),
        (
            "kind: transplant\n  vocabulary: {size: 800}",
            "kind: pretrained\n  model: a/b\n  alignment: {rounds: 3}",
            "7: student.alignment",
            "is a key of student (transplant)",
        ),
        (
            "kind: transplant",
            "kind: pretrained\n  model: a/b",
            "7: student.vocabulary.size",
            "does not go with mode: keep … set mode: trim",
        ),
        (
            "kind: transplant",
            "kind: transplant\n  layers: {first: 2, last: 2}",
            "6: student.layers",
            "found first and last … one of keep, every, first and last",
        ),
        ("name: small", "name: small\n3: 4", "2: 3", 'unknown key "3"'),
        # missing keys
        ("model: owner/teacher", "prompt: x", "2: teacher", '"model" is missing … Hub id … add "model:"'),
        ("name: small\n", "", "1: recipe", '"name" is missing … add "name:"'),
        ("  kind: transplant\n", "", "4: student", '"kind" is missing … transplant or pretrained'),
        # wrong types
        ("batch_size: 16", "batch_size: many", "13: training.batch_size", "found 'many' … a whole number"),
        ("batch_size: 16", "batch_size: '16'", "13: training.batch_size", "found '16' … write it without quotes"),
        ("batch_size: 16", "batch_size: 16.5", "13: training.batch_size", "found 16.5 … a whole number"),
        ("epochs: 1", "epochs: true", "14: training.epochs", "found True … a whole number"),
        ("epochs: 1", "epochs:", "14: training.epochs", "found nothing … a whole number … or leave the key out"),
        ("epochs: 1", "warmup: 100", "14: training.warmup", "found 100 … at most 1 (Share of the steps"),
        ("epochs: 1", "epochs: -1", "14: training.epochs", "found -1 … at least 0"),
        ("epochs: 1", "precision: fp23", "14: training.precision", "found 'fp23' … 'bf16' … did you mean \"fp32\"?"),
        ("1e-3", "-5e-5", "15: training.learning_rate", "found -5e-05 … a number above 0"),
        ("1e-3", ".inf", "15: training.learning_rate", "found inf … a finite number"),
        ("1e-3", "fast", "15: training.learning_rate", "found 'fast' … One number, or {body"),
        ("1e-3", "{body: 1}", "15: training.learning_rate", '"embeddings" is missing'),
        ("name: small", "name: 2024", "1: name", "found 2024 … a text … put it in quotes"),
        ("name: small", "name: a/b", "1: name", "found 'a/b' … letters, digits"),
        ("name: small", "name: small\nseed: 2147483648", "2: seed", "found 2147483648 … a number below 2147483648"),
        # a student that learns more languages
        ("kind: transplant", MORE, "6: student.model", "no folder … /no/model … a model's folder"),
        ("kind: transplant", MORE.replace("\n  add: [da]", ""), "4: student", "without `add` … the languages that it"),
        ("kind: transplant", "kind: transplant\n  add: [da]", "6: student.add", "without an earlier student"),
        ("kind: transplant", MORE.replace("[da]", "[da, sv]"), "7: student.add.1", "no corpus in 'sv' … of da, uk"),
        ("{size: 800}", "{mode: replace}\n  model: a/b\n  add: [da]", "6: student.vocabulary.mode", "would be lost"),
        ("{size: 800}", "{}\n  dimensions: 8\n  model: a/b\n  add: [da]", "7: student.dimensions", "has its own"),
        # lists and keys in each other's place, empty sections
        ("model: owner/teacher", "- model: a/b", "2: teacher", "found [{'model' … keys and values below it"),
        ("kind: transplant", "kind: transplants", "5: student.kind", "transplant or pretrained … did you mean"),
        ("[uk, da]", "{uk: 1}", "10: corpora.small.languages", "found {'uk': 1} … a list"),
        ("[everyday]", "{a: b}", "17: evaluation.suites", "found {'a': 'b'} … a list"),
        (CORPUS, "", "8: corpora.small", "found nothing … keys and values below it"),
        ("{size: 800}", "", "6: student.vocabulary", "found nothing … keys and values … or leave the key out"),
        # impossible values and combinations
        ("owner/teacher", "a/b/c", "3: teacher.model", "found 'a/b/c' … begins with ./"),
        ("owner/teacher", "''", "3: teacher.model", "found '' … a Hub id"),
        ("owner/teacher", "/\n  revision: x", "4: teacher.revision", "of the folder / … only the Hub has revisions"),
        ("owner/teacher", "/\n  package: x", "4: teacher.package", "instead of the folder / … leave out"),
        ("[uk, da]", "[ukrainian]", "10: corpora.small.languages.0", "'ukrainian' is not a language code … uk, nb"),
        ("[uk, da]", "[uk, en]", "10: corpora.small.languages.1", "found 'en' … non-English"),
        ("[uk, da]", "[]", "10: corpora.small.languages", "found [] … at least 1 item"),
        ("[uk, da]", "[uk, fr]", "10: corpora.small.languages", "'fr' is not in everyday … uk, da, sv, nb"),
        ("bundled: everyday", "hub: a b", "9: corpora.small.hub", "found 'a b' … owner/name … `folder`"),
        ("    bundled: everyday\n", "", "8: corpora.small", "no source given … one of bundled, hub, folder, files"),
        ("dev_rows: 20", "hub: a/b", "8: corpora.small", "bundled and hub given … one of bundled, hub"),
        ("dev_rows: 20", "split: all", "11: corpora.small.split", "not from the Hub … with `hub` only"),
        ("dev_rows: 20", "columns: {english: en}", "11: corpora.small.columns", "given for a bundled corpus"),
        ("bundled: everyday", "hub: a/b\n    config: 'en-{lang}'", "10: corpora.small.config", "{lang} … {language}"),
        ("bundled: everyday", "hub: a/b\n    config: en-uk", "10: corpora.small.config", "is the same for 2 languages"),
        ("bundled: everyday", "hub: a/b\n    dev_split: train", "10: corpora.small.dev_split", "'train', as `split`"),
        (
            "bundled: everyday",
            "hub: a/b\n    data_dir: uk",
            "10: corpora.small.data_dir",
            "is the same for 2 languages",
        ),
        (
            "bundled: everyday",
            "hub: a/b\n    config: '{language}'\n    data_dir: '{language}'",
            "11: corpora.small.data_dir",
            "config and data_dir given",
        ),
        ("bundled: everyday", "bundled: everyday\n    where: {a: b}", "10: corpora.small.where", "not from the Hub"),
        ("bundled: everyday", f"hub: a/b\n    {SAME}", "10: corpora.small.columns.non_english", "'a' for english too"),
        ("epochs: 1", "micro_batch_size: 32", "14: training.micro_batch_size", "found 32 … training.batch_size, 16"),
        (
            "name: small",
            "name: small\nobjectives: {a: {loss: similarity, form: mse, temperature: 0.1}}",
            "2: objectives.a.temperature",
            "found 0.1, which form: mse does not read … leave it out",
        ),
        (
            "name: small",
            "name: small\nobjectives: {a: {loss: similarity}, b: {loss: scored, form: cosine, scale: 10}}",
            "2: objectives.b.scale",
            "found 10, which form: cosine does not read … leave it out",
        ),
        ("evaluation:", "  trackers: [mlflow]\nevaluation:", "16: training.trackers.0", "not installed … pip install"),
        (
            "[everyday]",
            "[everydy]",
            "17: evaluation.suites.0",
            "no suite or file 'everydy' … did you mean \"everyday\"?",
        ),
        ("[everyday]", "[everyday]\n  pairs: [en+uk]", "18: evaluation.pairs.0", "not a language pair … en-uk"),
        (
            "name: small",
            "name: small\nobjectives: {a: {loss: mse, corpora: [smal]}}",
            "2: objectives.a.corpora.0",
            "no corpus 'smal'",
        ),
        (
            "name: small",
            "name: small\nobjectives: {a: {loss: mse, corpora: []}}",
            "2: objectives.a.corpora",
            "at least 1 item",
        ),
    ],
)
def test_a_mistake_is_reported_with_line_and_key(path: Path, old: str, new: str, place: str, says: str) -> None:
    error = error_of(path, changed(old, new))
    assert error.where == f"{path}:{place}"
    assert re.search(".*".join(map(re.escape, says.split(" … "))), str(error), re.DOTALL), str(error)


def test_early_stopping_needs_dev_rows(path: Path) -> None:
    text = changed("dev_rows: 20", "dev_rows: 0").replace("epochs: 1", "early_stopping: {patience: 2}")
    error = error_of(path, text)
    assert error.where.endswith(":14: training.early_stopping")
    assert "every corpus has dev_rows: 0" in error.found


def test_a_corpus_that_no_objective_trains_on_is_a_mistake(path: Path) -> None:
    text = changed(
        "training:",
        "  more: {bundled: everyday, languages: [sv]}\nobjectives: {mse: {loss: mse, corpora: [small]}}\ntraining:",
    )
    assert error_of(path, text).where.endswith(":12: corpora.more")


def test_the_teacher_reads_english_or_parallel_rows(path: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("anchor\tpositive\na\tb\n")
    pairs = f"  pairs: {{files: {tmp_path / 'pairs.tsv'}, rows: pairs, languages: [nb]}}\n"
    objectives = "objectives: {a: {loss: mse}, b: {loss: similarity, corpora: [pairs]}}\n"
    error = error_of(path, changed("training:", f"{pairs}{objectives}training:"))
    assert error.where.endswith("objectives.b.corpora.0")
    assert "is in nb, which the teacher does not read" in error.found
    taken = "objectives: {a: {loss: mse}, b: {loss: contrastive}}\n"
    path.write_text(changed("training:", f"{pairs}{taken}training:"), encoding="utf-8")
    assert load_recipe(path).objectives["b"].corpora is None


def test_all_mistakes_are_reported_at_once(path: Path) -> None:
    error = error_of(path, changed("epochs: 1", "epocs: 1").replace("16", "x").replace("[uk, da]", "[uk, zz]"))
    assert [mistake.where.split(": ")[-1] for mistake in (error, *error.others)] == [
        "corpora.small.languages.1",
        "training.batch_size",
        "training.epocs",
    ]
    assert str(error).count("\n  expected: ") == 3


@pytest.mark.parametrize(
    ("text", "line", "found", "hint"),
    [
        (BASE + "name: b\n", 18, "key 'name' a second time, first in line 1", "keep one"),
        (changed("epochs: 1", "epochs: 1\n  epochs: 2"), 15, "key 'epochs' a second time, first in line 14", ""),
        (changed("  epochs", "\tepochs"), 14, "'\\t'", "not with tabs"),
        (changed("[uk, da]", "[uk, da"), 11, "flow sequence from line 10", "look at line 11"),
        (changed("    dev_rows", "   dev_rows"), 11, "malformed YAML", "look at line 11"),
        (changed("batch_size: 16", "batch_size 16"), 14, "mapping values are not allowed here", "and the one before"),
        (changed("16", "*nothing"), 13, "undefined alias", ""),
        (changed("16", "!int 16"), 13, "!int", ""),
        (changed("name: small", "name: sm\aall"), 1, "U+0007", ""),
        (BASE + "---\nname: b\n", 18, "another document", "`---`"),
        (BASE + "? [a, b]\n: 1\n", 18, "list or mapping as a key", ""),
        ("# å\n".encode("latin-1") + BASE.encode(), 1, "byte 0xe5", "UTF-8"),
        (BASE.encode() + b"license: \xff\n", 18, "byte 0xff", "UTF-8"),
    ],
)
def test_malformed_yaml_is_reported_with_its_line(
    path: Path, text: str | bytes, line: int, found: str, hint: str
) -> None:
    error = error_of(path, text)
    assert error.where == f"{path}:{line}"
    assert found in error.found
    assert hint in error.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("hello\n", "a text, no keys"),
        ("- a\n", "a list, no keys"),
        ("[" * 3000, "nested too deeply"),
        ("a: &x {b: *x}\n", "nested too deeply, or in themselves"),
    ],
)
def test_a_file_without_keys_is_no_recipe(path: Path, text: str, found: str) -> None:
    assert found in error_of(path, text).found


def test_a_missing_recipe_offers_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text(BASE)
    with pytest.raises(RecipeError, match=r'no such file(.|\n)*did you mean "quickstart.yaml"'):
        load_recipe(tmp_path / "quikstart.yaml")


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BASE)
    with pytest.raises(RecipeError, match=r"is a folder(.|\n)*in it: a.yaml"):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("override", "where", "found"),
    [
        ("training.epocs=2", "--set training.epocs=2", "unknown key"),
        ("training.epochs=x", "--set training.epochs=x", "found 'x'"),
        ("training.epochs=", "--set training.epochs=", "found nothing"),
        ("training.epochs", "--set training.epochs", "not a key and a value"),
        ("training..epochs=2", "--set training..epochs=2", "not a key and a value"),
        ("=3", "--set =3", "not a key and a value"),
        ("training.epochs=[1", "--set training.epochs=[1", "not a YAML value"),
        ("name.x=1", "--set name.x=1", "name is 'small', not keys"),
        ("corpora.small.languages.0=zz", "--set corpora.small.languages.0=zz", "not a language code"),
        ("corpora.small.languages.7=uk", "--set corpora.small.languages.7=uk", "no item '7'"),
        ("corpora.small.languages.x=uk", "--set corpora.small.languages.x=uk", "no item 'x'"),
        ("corpora.new.bundled=everyday", "--set corpora.new.bundled=everyday", '"languages" is missing'),
        (
            "student.kind=pretrained",
            "recipe.yaml:4: student (with --set student.kind=pretrained)",
            '"model" is missing',
        ),
        ("training.micro_batch_size=99", "--set training.micro_batch_size=99", "found 99"),
        (
            "objectives.a={loss: mse, english_share: 0, similarity: {}}",
            "--set objectives.a={loss: mse, english_share: 0, similarity: {}}",
            "no step trains the English side",
        ),
    ],
)
def test_a_mistake_in_an_override_names_it(path: Path, override: str, where: str, found: str) -> None:
    error = error_of(path, BASE, override)
    assert error.where.removeprefix(f"{path.parent}/") == where
    assert found in error.found


def test_the_last_override_of_a_key_is_the_one_named(path: Path) -> None:
    assert error_of(path, BASE, "training.epochs=x", "training.epochs=y").where == "--set training.epochs=y"


def test_a_package_is_not_used_for_an_overridden_teacher(path: Path) -> None:
    text = changed("model: owner/teacher", "model: owner/teacher\n  package: some-package")
    error = error_of(path, text, "teacher.model=other/model")
    assert error.where == "--set teacher.model=other/model"
    assert "some-package, would be used instead" in error.found


def test_overrides_change_nested_keys_lists_and_whole_sections(path: Path) -> None:
    path.write_text(BASE)
    recipe = load_recipe(
        path,
        [
            "training.epochs=5",
            "training.learning_rate={body: 5e-5, embeddings: 1e-3}",
            "corpora.small.languages.1=no",
            "training.early_stopping.patience=3",
            "license=no",
        ],
    )
    assert recipe.training.epochs == 5
    assert recipe.training.learning_rate == LearningRate(body=5e-5, embeddings=1e-3)
    assert recipe.corpora["small"].languages == ("uk", "nb")
    assert recipe.training.early_stopping
    assert recipe.training.early_stopping.patience == 3
    assert recipe.license == "no"


@pytest.mark.parametrize("key", ["dropout: 0.1", "gradient_checkpointing: true"])
def test_a_static_student_has_no_layers(path: Path, key: str) -> None:
    text = changed("  kind: transplant\n  vocabulary: {size: 800}", "  kind: static").replace("epochs: 1", key)
    error = error_of(path, text)
    assert error.where.endswith(f":13: training.{key.split(':')[0]}")
    assert error.found == "a static student has no layers"


@pytest.mark.parametrize(
    ("student", "rates"),
    [
        ("{kind: transplant}", LearningRate(body=3e-4, embeddings=2e-3)),
        ("{kind: pretrained, model: a/b}", LearningRate(body=2e-5, embeddings=2e-5)),
        ("{kind: static}", LearningRate(body=2e-5, embeddings=2e-5)),
    ],
)
def test_what_a_transplant_learns_with_is_not_what_a_pretrained_student_does(
    path: Path, student: str, rates: LearningRate
) -> None:
    corpora = "{everyday: {bundled: everyday, languages: [uk]}}"
    path.write_text(f"name: a\nteacher: {{model: a/b}}\nstudent: {student}\ncorpora: {corpora}\n")
    assert load_recipe(path).training.learning_rate == rates
    assert load_recipe(path, ["training.epochs=2"]).training.learning_rate == rates
    given = load_recipe(path, ["training.learning_rate=1e-4"]).training.learning_rate
    assert given == LearningRate(body=1e-4, embeddings=1e-4)


@pytest.mark.parametrize("rate", ["5e-5", "5E-5", "0.00005", "5.0e-5"])
def test_a_number_sets_both_learning_rates(path: Path, rate: str) -> None:
    path.write_text(changed("1e-3", rate))
    assert load_recipe(path).training.learning_rate == LearningRate(body=5e-5, embeddings=5e-5)


@pytest.mark.parametrize(
    ("written", "languages"),
    [("uk", ("uk",)), ("no", ("nb",)), ("[no, uk]", ("nb", "uk")), ("[uk, ua, ukr]", ("uk",)), ("[UK]", ("uk",))],
)
def test_languages_are_read_as_they_are_written(path: Path, written: str, languages: tuple[str, ...]) -> None:
    path.write_text(changed("[uk, da]", written))
    assert load_recipe(path).corpora["small"].languages == languages


def test_a_code_that_is_changed_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text(changed("[uk, da]", "[ua]"))
    with caplog.at_level(logging.WARNING, "distill"):
        load_recipe(path)
    assert caplog.messages == ["languages: ua means uk"]


@pytest.mark.parametrize(
    "raw",
    [BASE.replace("\n", "\r\n").encode(), BASE.encode("utf-8-sig"), BASE.replace("[everyday]", "everyday").encode()],
    ids=["windows-lines", "byte-order-mark", "text-for-list"],
)
def test_harmless_variants_read_the_same(path: Path, raw: bytes) -> None:
    path.write_text(BASE)
    plain = load_recipe(path)
    path.write_bytes(raw)
    assert load_recipe(path) == plain


def test_merge_keys_are_followed_and_own_keys_win(path: Path) -> None:
    text = changed(
        "  small:\n    bundled: everyday",
        "  first: &first\n    bundled: everyday\n    languages: [sv]\n  small:\n    <<: *first",
    )
    path.write_text(text)
    recipe = load_recipe(path)
    assert recipe.corpora["first"].languages == ("sv",)
    assert recipe.corpora["small"].languages == ("uk", "da")
    assert recipe.corpora["small"].bundled == "everyday"


def test_paths_are_relative_to_the_recipe_and_those_of_overrides_to_here(
    tmp_path: Path, tsv_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(changed("bundled: everyday", "folder: ./corpus"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "here").symlink_to(tsv_corpus)
    monkeypatch.chdir(elsewhere)
    assert load_recipe(path).corpora["small"].folder == tsv_corpus
    assert load_recipe(path, ["corpora.small.folder=here"]).corpora["small"].folder == elsewhere / "here"
    assert load_recipe(path).runs.absolute() == elsewhere / "runs"


def test_data_root_is_where_corpora_lie(tmp_path: Path, tsv_corpus: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "data_root: corpus\n"
        + changed("bundled: everyday\n    languages: [uk, da]", "files: en-uk/*.tsv\n    languages: uk")
    )
    assert load_recipe(path).corpora["small"].matching_files("uk") == [tsv_corpus / "en-uk" / "train.tsv"]


def test_a_folder_may_spell_a_language_its_own_way(tmp_path: Path, tsv_corpus: Path) -> None:
    path = tmp_path / "recipe.yaml"
    (tsv_corpus / "en-uk").rename(tsv_corpus / "en-ua")
    (tsv_corpus / "en-da").rename(tsv_corpus / "en-no")
    path.write_text(changed("bundled: everyday\n    languages: [uk, da]", "folder: corpus\n    languages: [uk, nb]"))
    corpus = load_recipe(path).corpora["small"]
    assert corpus.split_file("uk") == tsv_corpus / "en-ua" / "train.tsv"
    assert corpus.split_file("nb") == tsv_corpus / "en-no" / "train.tsv"


@pytest.mark.parametrize(
    ("new", "key", "found", "expected"),
    [
        ("folder: corpora", "folder", "no folder", "en-XX"),
        ("folder: recipe.yaml", "folder", "is a file", "en-XX"),
        ("folder: corpus", "languages", "en-sv/train.parquet", "en-da, en-uk"),
        ("files: corpus", "files", "is a folder", "a file"),
        (
            "files: recipe.yaml",
            "files",
            "of no known format",
            ".jsonl, .tmx, .txt, .zip, .en, .sv",
        ),
        ("files: nothing*.tsv", "files", "no file", "exists"),
    ],
)
def test_missing_corpus_files_are_named(
    tmp_path: Path, tsv_corpus: Path, new: str, key: str, found: str, expected: str
) -> None:
    path = tmp_path / "recipe.yaml"
    error = error_of(path, changed("bundled: everyday\n    languages: [uk, da]", f"{new}\n    languages: [sv]"))
    assert error.where == f"{path}:{9 if key != 'languages' else 10}: corpora.small.{key}"
    assert found in error.found
    assert expected in error.expected


@pytest.mark.parametrize("section", ["teacher", "student"])
def test_a_missing_model_folder_is_named(path: Path, section: str) -> None:
    text = changed("kind: transplant\n  vocabulary: {size: 800}", "kind: pretrained\n  model: a/b")
    text = text.replace("a/b" if section == "student" else "owner/teacher", "./nowhere")
    error = error_of(path, text)
    assert error.where.endswith(f": {section}.model")
    assert error.found == f"no folder {path.parent / 'nowhere'}"


def test_the_fingerprint_is_of_what_decides_the_result(write_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe())
    moved = load_recipe(write_recipe(runs=str(tmp_path / "elsewhere"), license="mit"))
    other = load_recipe(write_recipe(seed=13))
    assert moved.fingerprint() == recipe.fingerprint()
    assert other.fingerprint() != recipe.fingerprint()


def test_the_schema_is_valid_and_accepts_all_recipes() -> None:
    result = CliRunner().invoke(main, ["schema"])
    schema = json.loads(result.stdout)
    assert schema == recipe_schema()
    Draft202012Validator.check_schema(schema)
    assert RECIPES
    for recipe in RECIPES:
        document = YAML(typ="safe").load(recipe.read_text(encoding="utf-8"))
        assert list(Draft202012Validator(schema).iter_errors(document)) == [], recipe.name


@pytest.mark.parametrize(
    ("old", "new", "valid"),
    [
        ("[uk, da]", "uk", True),
        ("1e-3", "{body: 1e-3, embeddings: 2e-3}", True),
        ("epochs: 1", "epocs: 1", False),
        ("epochs: 1", "epochs: many", False),
        ("kind: transplant", "kind: other", False),
    ],
)
def test_the_schema_accepts_what_is_accepted(old: str, new: str, valid: bool) -> None:
    document = YAML(typ="safe").load(changed(old, new))
    assert Draft202012Validator(recipe_schema()).is_valid(document) is valid


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_bundled_recipes_are_valid(recipe: Path, tmp_path: Path) -> None:
    data_root = YAML(typ="safe").load(recipe.read_text(encoding="utf-8")).get("data_root")
    if data_root and not (recipe.parent / data_root).is_dir():
        pytest.skip(f"its corpora are not in {data_root}")
    made = ("student.model", "evaluation.baselines.before") if recipe.stem == "add-sv" else ()  # by a run of ua-laptop
    earlier = [f"{key}={tmp_path}" for key in made]
    assert load_recipe(recipe, earlier).name == recipe.stem


@pytest.mark.parametrize("arguments", [["check", "RECIPE"], ["--help"], ["run", "--help"], ["run", "BAD"]])
def test_answers_at_once_without_the_heavy_libraries(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "good.yaml").write_text(BASE)
    (tmp_path / "bad.yaml").write_text(BASE + "epocs: 2\n")
    names = {"RECIPE": str(tmp_path / "good.yaml"), "BAD": str(tmp_path / "bad.yaml")}
    script = (
        "import sys\nfrom distill.cli import main\ntry:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'transformers', 'datasets', 'pyarrow', 'accelerate'} & set(sys.modules)\n"
        "    print('heavy:', sorted(heavy), file=sys.stderr)\n"
    )
    began = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", script, *(names.get(argument, argument) for argument in arguments)],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert time.monotonic() - began < 10.0
    assert result.stderr.endswith("heavy: []\n")
    assert result.returncode == (2 if "BAD" in arguments else 0)
