"""Students of all kinds: trained from the command line, they load as plain sentence-transformers models."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import CommandServer, Ended, Moment
from tiny_models import with_own_code

from distill.encode import encode
from distill.errors import ModelError
from distill.models import load_model
from distill.recipe import PretrainedStudent, TeacherSection
from distill.skip import without_skip
from distill.student import build_student
from distill.teacher import load_teacher

CPU = torch.device("cpu")
SENTENCES = ["A cat is sleeping.", "Кіт спить, а собака гавкає."]
TRAINING: dict[str, Any] = {
    "batch_size": 16,
    "epochs": 2,
    "learning_rate": 3e-3,
    "precision": "fp32",
    "trackers": [],
}


@pytest.fixture(scope="session")
def tiny_xlmr(tmp_path_factory: pytest.TempPathFactory, everyday_rows: list[dict[str, str]]) -> Path:
    """Folder of an untrained XLM-R of two layers and 48 dimensions with a Unigram tokenizer, without pooling."""
    from tokenizers import SentencePieceUnigramTokenizer
    from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

    texts = [row[code] for row in everyday_rows[:200] for code in ("en", "uk", "da")]
    trained = SentencePieceUnigramTokenizer()
    trained.train_from_iterator(texts, vocab_size=600, unk_token="<unk>", show_progress=False)
    learnt = [(piece, score) for piece, score in json.loads(trained.to_str())["model"]["vocab"] if piece != "<unk>"]
    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    tokenizer = XLMRobertaTokenizer(vocab=[*special, *learnt, ("<mask>", 0.0)])
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=96,
        max_position_embeddings=66,
        type_vocab_size=1,
    )
    folder = tmp_path_factory.mktemp("tiny-xlmr")
    XLMRobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def run(distill: CommandServer, write_recipe: Callable[..., Path]) -> Callable[..., Ended]:
    """Return a function that trains a student of a section."""

    def run(student: dict[str, Any], *, evaluation: dict[str, Any] | None = None, **training: Any) -> Ended:
        recipe = write_recipe(
            student={"max_tokens": 32, **student},
            training={**TRAINING, **training},
            evaluation=evaluation or {"suites": []},
        )
        return distill.run("run", recipe)

    return run


def dev_losses(run: Path) -> list[float]:
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [event["loss"] for event in events if event["event"] == "dev"]


SIZES = {
    "pretrained bert": [r"vocabulary\W+[\d,]+ pieces", r"layers\W+2\b"],
    "trimmed xlm-r of one layer": [r"vocabulary\W+604 → 400 pieces", r"layers\W+2 → 1\b"],
    "transplant of one layer and 16 dimensions": [
        r"vocabulary\W+1,200 → 1,[89]\d\d pieces",
        r"layers\W+2 → 1\b",
        r"parameters\W+58,720 → [\d,]+ \([\d,]+ of them token embeddings\)",
        r"size\W+0 MB",
    ],
}
"""What report and card say of the sizes of some students."""


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("pretrained bert", ["Transformer", "Pooling", "Normalize"]),
        ("pretrained xlm-r", ["Transformer", "Pooling", "Dense", "Normalize"]),
        ("transplant, replaced vocabulary", ["Transformer", "Pooling", "Normalize"]),
        ("trimmed xlm-r of one layer", ["Transformer", "Pooling", "Dense", "Normalize"]),
        ("transplant of one layer and 16 dimensions", ["Transformer", "Pooling", "Dense", "Normalize"]),
    ],
)
def test_a_student_learns_and_loads_without_this_package(
    name: str,
    modules: list[str],
    run: Callable[..., Ended],
    plain_encoder: Path,
    tiny_xlmr: Path,
    tmp_path: Path,
) -> None:
    sections: dict[str, dict[str, Any]] = {
        "pretrained bert": {"kind": "pretrained", "model": str(plain_encoder), "pooling": "mean"},
        "pretrained xlm-r": {"kind": "pretrained", "model": str(tiny_xlmr)},
        "transplant, replaced vocabulary": {"kind": "transplant", "vocabulary": {"mode": "replace", "size": 900}},
        "trimmed xlm-r of one layer": {
            "kind": "pretrained",
            "model": str(tiny_xlmr),
            "vocabulary": {"mode": "trim", "size": 400},
            "layers": {"last": 1},
        },
        "transplant of one layer and 16 dimensions": {
            "kind": "transplant",
            "vocabulary": {"size": 800},
            "layers": {"keep": [0]},
            "dimensions": 16,
        },
    }
    ended = run(sections[name])
    assert ended.code == 0, ended.errors
    folder = tmp_path / "runs" / "small"
    losses = dev_losses(folder)
    assert losses[-1] < 0.9 * losses[0]

    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder / "model"), device="cpu")
    assert [type(module).__name__ for module in model] == modules
    assert "distill" not in (folder / "model" / "modules.json").read_text()
    vectors = model.encode(SENTENCES)
    assert vectors.shape == (2, sections[name].get("dimensions", 32))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1], abs=1e-5)
    for file in (folder / "report.md", folder / "model" / "README.md"):
        text = file.read_text()
        assert all(re.search(shown, text) for shown in SIZES.get(name, [])), text
    untrained = SentenceTransformer(str(folder / "untrained"), device="cpu")
    assert not np.allclose(untrained.encode(SENTENCES), vectors, atol=1e-2)


def test_a_model_is_trimmed_from_the_command_line(
    distill: CommandServer, tiny_xlmr: Path, everyday_rows: list[dict[str, str]], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    texts = [row[code] for row in everyday_rows[:100] for code in ("en", "uk")]
    (tmp_path / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    model = shutil.copytree(tiny_xlmr, tmp_path / "model")
    for name in ("heads.json", "heads/topic.safetensors"):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text(name)
    command = [
        "trim",
        model,
        "--languages",
        "en,ua",
        "--texts",
        tmp_path / "texts.txt",
        "--out",
        tmp_path / "small",
    ]
    ended = distill.run(*command)
    assert ended.code == 0, ended.errors
    whole, small = (SentenceTransformer(str(folder), device="cpu") for folder in (tiny_xlmr, tmp_path / "small"))
    assert f"vocabulary: {len(whole.tokenizer):,} → {len(small.tokenizer):,} pieces" in ended.output
    parameters = [sum(p.numel() for p in model.parameters()) for model in (whole, small)]
    assert "parameters: {:,} → {:,}".format(*parameters) in ended.output
    assert "lost: 0.000 % of the pieces in the texts" in ended.output
    assert len(small.tokenizer) < len(whole.tokenizer)
    assert np.allclose(small.encode(texts), whole.encode(texts), atol=1e-5)
    for name in ("heads.json", "heads/topic.safetensors"):
        assert (tmp_path / "small" / name).read_text() == name
    again = distill.run(*command)
    assert again.code == 2
    assert "is there already" in again.errors
    too_small = distill.run(*command[:-1], tmp_path / "other", "--size", "10")
    assert too_small.code == 2
    assert "special tokens" in too_small.errors
    assert "--size: found 10" in too_small.errors
    rare_left_out = distill.run(*command[:-1], tmp_path / "other", "--min-count", "20")
    lost = re.search(r"lost: ([\d.]+) % of the pieces in the texts", rare_left_out.output)
    assert lost
    assert float(lost[1]) > 1


def test_where_a_trimmed_model_cannot_be_written_is_said_before_the_work(
    distill: CommandServer, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("A cat.\n", encoding="utf-8")
    for out in (tmp_path / "file" / "small", tmp_path / "file" / "x" / "small", tmp_path / ("x" * 300)):
        command = ["trim", tmp_path / "no-model", "--languages", "en", "--texts", tmp_path / "file", "--out", out]
        ended = distill.run(*command)
        assert ended.code == 2, ended.errors
        assert str(out) in ended.errors
        assert "name another folder" in ended.errors or "choose another folder" in ended.errors
        assert "no-model" not in ended.errors


def test_a_trimmed_model_is_whole_or_not_there(distill: CommandServer, tiny_xlmr: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("A cat.\n", encoding="utf-8")
    command = ["trim", tiny_xlmr, "--languages", "en", "--texts", tmp_path / "texts.txt", "--out", tmp_path / "small"]
    killed = Moment("open", r"/modules\.json$")
    assert distill.run(*command, kill_at=killed).code == -9
    assert not (tmp_path / "small").exists()
    command = ["trim", tiny_xlmr, "--languages", "en", "--texts", tmp_path / "texts.txt", "--out", tmp_path / "small"]
    ended = distill.run(*command, disk_bytes=20_000)
    assert ended.code == 2, ended.errors
    assert "the disk is full" in ended.errors
    assert [path.name for path in tmp_path.iterdir() if "small" in path.name] == []
    assert distill.run(*command).code == 0
    assert (tmp_path / "small" / "modules.json").is_file()
    assert [path.name for path in tmp_path.iterdir() if "small" in path.name] == ["small"]


def test_languages_that_are_hardly_in_the_texts_are_named(
    distill: CommandServer, tiny_xlmr: Path, everyday_rows: list[dict[str, str]], tmp_path: Path
) -> None:
    for code in ("en", "uk"):
        (tmp_path / code).write_text("\n".join(row[code] for row in everyday_rows[:100]), encoding="utf-8")
    command = ["trim", tiny_xlmr, "--languages", "en,uk", "--texts", tmp_path / "en", "--out"]
    assert "0 of 100 lines are in uk" in distill.run(*command, tmp_path / "small").errors
    both = distill.run(*command, tmp_path / "other", "--texts", tmp_path / "uk")
    assert both.code == 0, both.errors
    assert "lines are in" not in both.errors


def test_a_model_that_is_not_there_is_not_asked_of_the_hub(distill: CommandServer, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("A cat.\n", encoding="utf-8")
    command = ["trim", "./missing", "--languages", "en", "--texts", tmp_path / "texts.txt", "--out", tmp_path / "small"]
    ended = distill.run(*command)
    assert ended.code == 2
    assert "model: ./missing: no such folder" in ended.errors


def test_a_trimmed_model_of_half_precision_stays_so(distill: CommandServer, tiny_xlmr: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModel

    model = shutil.copytree(tiny_xlmr, tmp_path / "half")
    AutoModel.from_pretrained(tiny_xlmr).half().save_pretrained(model)
    (tmp_path / "texts.txt").write_text("A cat.\n", encoding="utf-8")
    ended = distill.run(
        "trim", model, "--languages", "en", "--texts", tmp_path / "texts.txt", "--out", tmp_path / "small"
    )
    assert ended.code == 0, ended.errors
    before, after = (load_file(folder / "model.safetensors") for folder in (model, tmp_path / "small"))
    assert {tensor.dtype for tensor in after.values()} == {torch.float16}
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items() if "word_embed" not in name)


def test_a_model_with_code_of_its_own_is_trimmed_when_allowed(
    distill: CommandServer, tiny_xlmr: Path, tmp_path: Path
) -> None:
    model = with_own_code(tiny_xlmr, tmp_path / "own")
    (tmp_path / "texts.txt").write_text("A cat.\n", encoding="utf-8")
    command = ["trim", model, "--languages", "en", "--texts", tmp_path / "texts.txt", "--out", tmp_path / "small"]
    refused = distill.run(*command)
    assert refused.code == 2
    assert "read that code, then give --trust-remote-code" in refused.errors
    ended = distill.run(*command, "--trust-remote-code")
    assert ended.code == 0, ended.errors
    assert (tmp_path / "small" / "modeling_own.py").is_file()


def test_what_cannot_be_trimmed_is_refused(distill: CommandServer, tiny_xlmr: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = load_model("model", str(tiny_xlmr)).tokenizer
    static_model = tmp_path / "static"
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu")
    static.save_pretrained(str(static_model))
    latin, empty, texts = (tmp_path / name for name in ("latin.txt", "empty.txt", "texts.txt"))
    latin.write_bytes("blåbær".encode("latin-1"))
    empty.write_text("\n \n", encoding="utf-8")
    texts.write_text("A cat.\n", encoding="utf-8")
    for model, file, error in (
        (static_model, texts, "its first module is StaticEmbedding"),
        (tiny_xlmr, latin, "latin.txt: not UTF-8"),
        (tiny_xlmr, empty, "empty.txt: no text"),
    ):
        ended = distill.run("trim", model, "--languages", "da", "--texts", file, "--out", tmp_path / "small")
        assert ended.code == 2, ended.errors
        assert error in ended.errors
        assert not (tmp_path / "small").exists()


def test_components_of_a_run_that_ended_early_are_not_used(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = write_recipe(training={**TRAINING, "epochs": 0}, evaluation={"suites": []})
    written = Moment("os.rename", r"\.tmp-untrained$")
    assert distill.run("run", recipe, "--set", "student.dimensions=16", kill_at=written).code == -9
    assert (tmp_path / "runs" / "small" / "projection.npy").exists()
    ended = distill.run("run", recipe, "--set", "student.dimensions=8")
    assert ended.code == 0, ended.errors
    assert np.load(tmp_path / "runs" / "small" / "projection.npy").shape == (8, 32)
    refused = distill.run("run", recipe, "--set", "student.dimensions=32", "--set", "name=longer")
    assert refused.code == 2
    assert "fewer than the teacher's 32" in refused.errors


def test_the_teacher_is_scored_with_all_its_dimensions(run: Callable[..., Ended], tmp_path: Path) -> None:
    suites = {"suites": ["everyday"], "pairs": ["en-en", "en-uk"]}
    scores = {}
    for name, section in (("whole", {}), ("cut", {"dimensions": 4})):
        student = {"kind": "transplant", "vocabulary": {"size": 800}, **section}
        assert run(student, evaluation=suites, epochs=0).code == 0
        (tmp_path / "runs" / "small").rename(tmp_path / "runs" / name)
        found = json.loads((tmp_path / "runs" / name / "scores.json").read_text())["scores"]
        scores[name] = {(s["model"], s["pair"], s["metric"]): s["value"] for s in found}
    teacher = {key: value for key, value in scores["whole"].items() if key[0] == "teacher"}
    assert teacher == {key: value for key, value in scores["cut"].items() if key[0] == "teacher"}
    assert scores["whole"]["student", "en-en", "spearman"] != scores["cut"]["student", "en-en", "spearman"]
    assert ("student", "en-uk", "mse") in scores["cut"]


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_static_student_may_be_trained(epochs: int, run: Callable[..., Ended], tmp_path: Path) -> None:
    # Drawn to its start so strongly that training makes it better.
    ended = run({"kind": "static", "dimensions": 16, "fit": {"ridge": 1e6}}, epochs=epochs)
    assert ended.code == 0, ended.errors
    folder = tmp_path / "runs" / "small"
    losses = dev_losses(folder)
    assert bool(losses) == bool(epochs)
    assert not losses or losses[-1] < 0.95 * losses[0]

    from sentence_transformers import SentenceTransformer

    model, untrained = (SentenceTransformer(str(folder / name), device="cpu") for name in ("model", "untrained"))
    assert [type(module).__name__ for module in model] == ["StaticEmbedding", "Normalize"]
    vectors = model.encode(SENTENCES)
    assert vectors.shape == (2, 16)
    assert np.array_equal(vectors, untrained.encode(SENTENCES)) == (epochs == 0)
    card = (folder / "model" / "README.md").read_text()
    assert "| longest input | 32 tokens |" in card


def test_what_only_layers_have_is_refused(run: Callable[..., Ended]) -> None:
    ended = run({"kind": "static"}, gradient_checkpointing=True)
    assert ended.code == 2
    assert "training.gradient_checkpointing" in ended.errors
    assert "a static student has no layers" in ended.errors


@pytest.mark.parametrize("pooling", [None, "mean", "cls"])
def test_vectors_of_a_plain_encoder_are_pooled_as_asked(
    pooling: str | None, tiny_teacher: Path, plain_encoder: Path
) -> None:
    from transformers import AutoModel, AutoTokenizer

    teacher = load_teacher(TeacherSection(model=str(tiny_teacher)), CPU)
    section = PretrainedStudent(kind="pretrained", model=str(plain_encoder), pooling=pooling, max_tokens=16)
    student = build_student(section, teacher, [], CPU)
    tokenizer, encoder = (kind.from_pretrained(str(plain_encoder)) for kind in (AutoTokenizer, AutoModel))
    inputs = tokenizer(SENTENCES, padding=True, truncation=True, max_length=16, return_tensors="pt")
    with torch.inference_mode():
        states = encoder(**inputs).last_hidden_state
    mask = inputs["attention_mask"][..., None]
    pooled = states[:, 0] if pooling == "cls" else (states * mask).sum(1) / mask.sum(1)
    expected = torch.nn.functional.normalize(pooled, dim=1).numpy()
    assert encode(student, SENTENCES) == pytest.approx(expected, abs=1e-5)


def test_a_student_that_is_no_transformer_is_refused(tiny_teacher: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = load_model("model", str(tiny_teacher)).tokenizer
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)], device="cpu")
    static.save_pretrained(str(tmp_path / "static"))
    teacher = load_teacher(TeacherSection(model=str(tiny_teacher)), CPU)
    section = PretrainedStudent(kind="pretrained", model=str(tmp_path / "static"))
    with pytest.raises(ModelError, match="its first module is StaticEmbedding"):
        build_student(section, teacher, [], CPU)


def test_the_longest_input_is_that_of_the_position_embeddings(tiny_teacher: Path, tiny_xlmr: Path) -> None:
    teacher = load_teacher(TeacherSection(model=str(tiny_teacher)), CPU)
    section = PretrainedStudent(kind="pretrained", model=str(tiny_xlmr), max_tokens=64)
    student = build_student(section, teacher, [], CPU)
    assert encode(student, [" ".join(SENTENCES * 20)]).shape == (1, 32)
    with pytest.raises(ModelError, match="max_tokens is 65") as error:
        build_student(section.model_copy(update={"max_tokens": 65}), teacher, [], CPU)
    assert error.value.expected == "at most 64"


GOLDEN_LOSSES = {0: [0.28645, 0.06227, 0.13968, 0.07648, 0.06143], 3: [0.34191, 0.05714, 0.17667, 0.07437, 0.0907]}
"""By rounds of the hidden Markov model."""


@pytest.mark.parametrize("hmm_rounds", GOLDEN_LOSSES)
def test_golden_losses(
    distill: CommandServer, write_recipe: Callable[..., Path], tmp_path: Path, hmm_rounds: int
) -> None:
    """A run whose every part is fixed has the losses it had when they were written down."""
    recipe = write_recipe(
        name="golden",
        teacher={"model": str(golden_teacher(tmp_path / "teacher"))},
        student={
            "kind": "transplant",
            "vocabulary": {"size": 100},
            "alignment": {"hmm_rounds": hmm_rounds},
            "max_tokens": 32,
        },
        corpora={"golden": {"files": str(golden_corpus(tmp_path / "uk.tsv")), "languages": ["uk"], "dev_rows": 8}},
        objectives={"mse": {"loss": "mse", "english_share": 0.5}},
        training={**TRAINING, "max_steps": 5, "warmup": 0.4, "weight_decay": 0.1},
        evaluation={"suites": []},
    )
    ended = distill.run("run", recipe)
    assert ended.code == 0, ended.errors
    events = [json.loads(line) for line in (tmp_path / "runs" / "golden" / "log.jsonl").read_text().splitlines()]
    losses = [event["loss"] for event in events if event["event"] == "train"]
    assert losses == pytest.approx(GOLDEN_LOSSES[hmm_rounds], abs=1e-4)


def golden_teacher(folder: Path) -> Path:
    """Write a small BERT whose vocabulary and weights follow from this code alone, and return its folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz."
    words = ["the", "cat", "dog", "bird", "horse", "sees", "likes", "house", "tree", "river", "street"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    plain = folder / "plain"
    tokenizer = BertTokenizer(vocab={piece: number for number, piece in enumerate(pieces)}, do_lower_case=True)
    tokenizer.save_pretrained(plain)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.3,  # vectors far apart, as a trained model's are
    )
    BertModel(config).save_pretrained(plain)
    modules = [Transformer(str(plain), max_seq_length=32), Pooling(16, "mean"), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def golden_corpus(path: Path) -> Path:
    """Write 64 short sentences with their Ukrainian translations and return the file."""
    who = [("the cat", "кіт"), ("the dog", "пес"), ("the bird", "птах"), ("the horse", "кінь")]
    does = [("sees", "бачить"), ("likes", "любить"), ("does not see", "не бачить"), ("does not like", "не любить")]
    what = [("the house.", "дім."), ("the tree.", "дерево."), ("the river.", "річку."), ("the street.", "вулицю.")]
    rows = [
        "\t".join(" ".join(part[side] for part in parts) for side in (0, 1))
        for parts in itertools.product(who, does, what)
    ]
    path.write_text("\n".join(["english\tnon_english", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["transplant", "pretrained"])
def test_a_skip_connection_is_fitted_after_the_same_training(
    run: Callable[..., Ended], tiny_xlmr: Path, tmp_path: Path, kind: str
) -> None:
    from sentence_transformers import SentenceTransformer

    sections = {"transplant": {"vocabulary": {"size": 800}}, "pretrained": {"model": str(tiny_xlmr), "pooling": "mean"}}
    section, path = {"kind": kind, **sections[kind]}, tmp_path / "runs" / "small"
    scored = {"suites": ["everyday"], "pairs": ["en-uk"]}
    plain = run(section, evaluation=scored, dropout=0.1)
    assert plain.code == 0, plain.errors
    without = SentenceTransformer(str(path / "model"), device="cpu").encode(SENTENCES)
    path.rename(tmp_path / "plain")
    skipping = run({**section, "skip": 0.5}, evaluation={**scored, "every": 5}, dropout=0.1)
    assert skipping.code == 0, skipping.errors
    untrained, model = (SentenceTransformer(str(path / name), device="cpu") for name in ("untrained", "model"))
    vectors = model.encode(SENTENCES)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.abs(vectors - without).max() > 1e-3
    maps = [found[-2].linear.weight.detach() for found in (untrained, model)]
    assert not torch.allclose(*maps, atol=1e-3)  # fitted anew
    assert "A skip connection moves the English vectors too" in (path / "model" / "README.md").read_text()
    np.testing.assert_allclose(without_skip(model).encode(SENTENCES), without, atol=1e-6)
