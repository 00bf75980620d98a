"""Building the student: a pretrained encoder, a transplant of the teacher's own layers, or piece vectors alone."""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import nn
from transformers import PreTrainedModel

from distill.attention import use_own_attention
from distill.corpora import Corpus, english_columns
from distill.earlier import check_known, earlier_student, known_counts
from distill.encode import is_static
from distill.errors import ModelError
from distill.layers import keep_layers
from distill.models import load_model, longest_input, token_embeddings
from distill.recipe import PretrainedStudent, StaticStudent, StudentSection, TransplantStudent
from distill.rows import Translations, start_rows
from distill.sides import piece_ids, texts_by_language, texts_of
from distill.skip import layers_of
from distill.spread import spread_over
from distill.static import assemble, static_student
from distill.teacher import Teacher
from distill.trimming import POSITIONS_FROM_PADDING, plain_tokenizer, renumber_config, trim_vocabulary, with_backend
from distill.vocabulary import add_words, extended_tokenizer, replaced_tokenizer, spellings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

log = logging.getLogger("distill")


def build_student(
    section: StudentSection,
    teacher: Teacher,
    corpora: Sequence[Corpus],
    device: torch.device,
    *,
    with_vectors: bool = True,
) -> SentenceTransformer:
    """Return the student before its first training step, with vectors as long as the teacher's.

    Args:
        section: what the student is.
        teacher: its teacher.
        corpora: what its vocabulary and its first vectors are learnt from.
        device: where it goes.
        with_vectors: False for its tokenizer, sizes and speed alone: vectors of pieces that would have to be computed
            are 0.

    Raises:
        ModelError: it cannot be loaded or made.
    """
    if isinstance(section, StaticStudent):
        return _static(section, teacher, corpora, with_vectors=with_vectors).to(device)
    if isinstance(section, PretrainedStudent):
        student = _pretrained(section, corpora)
    else:
        student = transplant(section, teacher, corpora, with_vectors=with_vectors)
        if teacher.projection:  # it starts in the teacher's space: English vectors are the projected teacher's
            student = _with_modules([*_without_normalize(student), teacher.projection.dense()])
    if section.layers:
        keep_layers(student[0].model, section.layers)
    _match_dimension(student, teacher)
    return student.to(device)


def _pretrained(section: PretrainedStudent, corpora: Sequence[Corpus]) -> SentenceTransformer:
    """Return a model from the Hub or a folder, its vocabulary, pooling and longest input as the recipe says."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    student = load_model(
        "student", section.model, revision=section.revision, trust_remote_code=section.trust_remote_code
    )
    check_encoder(f"student: {section.model}", student)
    student = layers_of(student, section.model)
    remember_sizes(student)
    limit = _position_limit(student)
    if limit and section.max_tokens > limit:
        raise ModelError(
            f"student: {section.model}", f"max_tokens is {section.max_tokens}", expected=f"at most {limit}"
        )
    student.max_seq_length = section.max_tokens
    if section.vocabulary.mode == "trim":
        sides = (texts_of(corpora, english=True), texts_of(corpora, english=False))
        trim_vocabulary(
            student,
            lambda: itertools.chain.from_iterable(side() for side in sides),
            languages=1 + len({corpus.language for corpus in corpora} - {"en"}),
            min_count=section.vocabulary.min_count,
            size=section.vocabulary.size,
            where="student.vocabulary.size",
        )
    for place, module in enumerate(student):
        if isinstance(module, Pooling) and section.pooling:
            student[place] = Pooling(module.embedding_dimension, section.pooling)
    # Normalize is set by the teacher's, below; prompts are not kept: it is trained on plain sentences.
    return _with_modules(_without_normalize(student))


def check_encoder(where: str, model: SentenceTransformer) -> None:
    """Check that a model is a transformers encoder and not, say, piece vectors alone.

    Raises:
        ModelError: it is not.
    """
    if not isinstance(getattr(model[0], "model", None), PreTrainedModel):
        raise ModelError(where, f"its first module is {type(model[0]).__name__}", expected="a transformers encoder")


def _without_normalize(student: SentenceTransformer) -> list[nn.Module]:
    from sentence_transformers.sentence_transformer.modules import Normalize

    return [module for module in student if not isinstance(module, Normalize)]


def _position_limit(student: SentenceTransformer) -> int | None:
    """Return the longest input that the position embeddings allow, None if there is no such limit."""
    config = student[0].model.config
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or positions <= 0:  # XLNet has -1
        return None
    # RoBERTa and its kin number positions from the padding id + 1.
    offset = (config.pad_token_id or 0) + 1 if config.model_type in POSITIONS_FROM_PADDING else 0
    return int(positions) - offset


def _match_dimension(student: SentenceTransformer, teacher: Teacher) -> None:
    """Append a `Dense` module where dimensions differ, and `Normalize` where the teacher's vectors have length 1."""
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    own = int(student.get_embedding_dimension() or 0)
    if own != teacher.dimension:
        dense = Dense(own, teacher.dimension, bias=False, activation_function=nn.Identity())
        nn.init.orthogonal_(dense.linear.weight)
        student.append(dense)
        log.info("student: a Dense module takes its %d dimensions to the teacher's %d", own, teacher.dimension)
    if teacher.unit_length and not isinstance(student[-1], Normalize):
        student.append(Normalize())


def transplant(
    section: TransplantStudent, teacher: Teacher, corpora: Sequence[Corpus], *, with_vectors: bool = True
) -> SentenceTransformer:
    """Return the teacher's own layers, or an earlier student's, with a vocabulary for the corpora's languages.

    Its embeddings of new languages start from the English ones, see `distill.rows`. Languages that an earlier student
    knows stay as they are, as far as the corpora show them: words are cut as before, and pieces keep their rows unless
    they are far more frequent in the new languages.

    Raises:
        ModelError: the tokenizer is of a kind that cannot be changed, or an earlier student is not of this teacher or
            does not know a language that is not to be added.
    """
    if section.model:
        student = earlier_student(section, section.model, teacher, corpora)
    else:
        student = layers_of(copy.deepcopy(teacher.model), teacher.section.model)
    where = f"student: {section.model}" if section.model else f"teacher: {teacher.section.model}"
    check_encoder(where, student)
    student.requires_grad_(True)
    remember_sizes(student)
    new = [corpus for corpus in corpora if section.add is None or corpus.language in section.add]
    known = [corpus for corpus in corpora if section.add and corpus.language not in section.add]
    old_tokenizer = _tokenizer_of(student, where)
    check_known(old_tokenizer, section.model, known)
    sides = (texts_of(corpora, english=True), texts_by_language(new))
    size, min_count = section.vocabulary.size, section.vocabulary.min_count
    if section.vocabulary.mode == "replace":
        tokenizer = replaced_tokenizer(old_tokenizer, *sides, size=size, min_count=min_count)
    else:
        known_texts = texts_of(known, english=False)
        tokenizer = extended_tokenizer(old_tokenizer, *sides, size=size, min_count=min_count, known=known_texts)
    n, width = token_embeddings(student).weight.shape
    if with_vectors:
        counts = known_counts(old_tokenizer, known, n) if section.model else None
        rows = _start_rows(section, student, old_tokenizer, tokenizer, new, counts)
    else:
        rows = torch.zeros(tokenizer.get_vocab_size(), width)
    student.prompts, student.default_prompt_name = {}, None  # it is trained on plain sentences
    _set_vocabulary(student, old_tokenizer, tokenizer, rows)
    limit = _position_limit(student)
    if limit and section.max_tokens > limit:
        log.warning("student.max_tokens is %d, but the teacher reads %d: %d is used", section.max_tokens, limit, limit)
    student.max_seq_length = min(section.max_tokens, limit or section.max_tokens)
    kept = len(set(old_tokenizer.get_vocab()) & set(tokenizer.get_vocab()))
    whose = "the earlier student's" if section.model else "the teacher's"
    log.info("student: %d of %s pieces and %d new ones", kept, whose, len(tokenizer.get_vocab()) - kept)
    return student


def _static(
    section: StaticStudent, teacher: Teacher, corpora: Sequence[Corpus], *, with_vectors: bool
) -> SentenceTransformer:
    """Return a student that is nothing but piece vectors, fitted to the teacher's stored vectors.

    Raises:
        ModelError: the corpora have no English texts.
    """
    if not any(english_columns(corpus) for corpus in corpora):
        raise ModelError("student", "the corpora have no English texts to fit it to", hint="add parallel rows")
    vocabulary = section.vocabulary
    sides = (texts_of(corpora, english=True), texts_by_language(corpora))
    old = _tokenizer_of(teacher.model, f"teacher: {teacher.section.model}")
    tokenizer = extended_tokenizer(old, *sides, size=vocabulary.size, min_count=vocabulary.min_count)
    tokenizer = add_words(tokenizer, *sides, most=vocabulary.words, min_count=vocabulary.min_count)
    tokenizer.enable_truncation(section.max_tokens)
    log.info("student: %d pieces, %d of them the teacher's", tokenizer.get_vocab_size(), old.get_vocab_size())
    if not with_vectors:
        nothing = np.zeros((tokenizer.get_vocab_size(), teacher.dimension), np.float32)
        return assemble(tokenizer, nothing, unit_length=teacher.unit_length)
    return static_student(section, teacher, corpora, tokenizer)


def _tokenizer_of(model: SentenceTransformer, where: str) -> Tokenizer:
    """Return the tokenizer of a teacher or earlier student, or raise `ModelError` if it cannot be changed."""
    tokenizer: Any = getattr(model[0], "tokenizer", None)
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(where, "has no fast tokenizer", hint="use a student of kind: pretrained")
    return plain_tokenizer(tokenizer.backend_tokenizer)


def _start_rows(
    section: TransplantStudent,
    model: SentenceTransformer,
    old: Tokenizer,
    new: Tokenizer,
    corpora: Sequence[Corpus],
    known: npt.NDArray[np.int64] | None,
) -> torch.Tensor:
    """Return the embedding matrix of a model's new vocabulary, (pieces, hidden)."""
    embeddings = model[0].model.get_input_embeddings().weight.detach().cpu().float().numpy()
    old_ids, new_ids = old.get_vocab(), new.get_vocab()
    same = np.full(new.get_vocab_size(), -1)  # a Unigram vocabulary may hold a piece twice
    for piece, row in new_ids.items():
        same[row] = old_ids.get(piece, -1)
    spelled = sparse.lil_array((len(same), len(embeddings)), dtype=np.float32)
    for piece, ids in spellings(old, new_ids).items():
        for i in ids:
            spelled[new_ids[piece], i] += 1 / len(ids)
    translations = _translations(section, old, new, corpora)
    alignment = section.alignment
    rows = start_rows(
        embeddings,
        same,
        translations,
        spelled.tocsr(),
        rounds=alignment.rounds,
        hmm_rounds=alignment.hmm_rounds,
        known=known,
    )
    return torch.from_numpy(rows)


def _translations(
    section: TransplantStudent, old: Tokenizer, new: Tokenizer, corpora: Sequence[Corpus]
) -> list[Translations]:
    """Return the pieces of the sentence pairs that the rows of the new vocabulary are learnt from, by language.

    A replaced vocabulary has new pieces on the English side too.
    """
    parallel = [corpus for corpus in corpora if corpus.kind == "parallel"]
    languages = {corpus.language for corpus in parallel}
    if alone := sorted({corpus.language for corpus in corpora} - languages - {"en"}):
        log.warning("student: no parallel rows of %s: the new pieces start from their spelling alone", ", ".join(alone))
    translations = []
    for language in dict.fromkeys(corpus.language for corpus in parallel):
        own = [corpus for corpus in parallel if corpus.language == language]
        chosen = spread_over([corpus.train for corpus in own], section.alignment.max_pairs)
        found = Translations([], [])
        for corpus, rows in zip(own, chosen, strict=True):
            for english, non_english in corpus.batches(rows):
                found.sources.extend(piece_ids(old, english))
                found.targets.extend(piece_ids(new, non_english))
                if section.vocabulary.mode == "replace":
                    found.english.extend(piece_ids(new, english))
        translations.append(found)
    return translations or [Translations([], [])]


def _set_vocabulary(student: SentenceTransformer, old: Tokenizer, tokenizer: Tokenizer, rows: torch.Tensor) -> None:
    """Give a model another tokenizer than its old one, and the embedding matrix (pieces, hidden) that goes with it."""
    transformer = student[0]
    model = transformer.model
    transformer.processor = with_backend(transformer.tokenizer, tokenizer)
    pad_id = transformer.tokenizer.pad_token_id
    if model.config.model_type in POSITIONS_FROM_PADDING and pad_id != model.config.pad_token_id:
        raise ModelError(
            "teacher",
            f"its padding would get the id {pad_id} in a new vocabulary",
            expected=f"{model.config.pad_token_id}, from which its positions are numbered",
            hint="set student.vocabulary.mode: extend",
        )
    model.resize_token_embeddings(len(rows), mean_resizing=False)
    embedding = model.get_input_embeddings()  # of the class it was: some multiply what they look up
    embedding.weight.data.copy_(rows)
    embedding.padding_idx = pad_id
    ids = tokenizer.get_vocab()
    renumber_config(model, {id_: ids[piece] for piece, id_ in old.get_vocab().items() if piece in ids})
    model.config.pad_token_id = pad_id


def _with_modules(modules: Sequence[nn.Module]) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(modules=list(modules), device="cpu")


def set_dropout(model: nn.Module, probability: float) -> None:
    """Set the probability of every dropout in a model, attention's included."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        for name in ("dropout_prob", "attention_dropout", "dropout_p"):  # plain numbers in attention modules
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, probability)


def save_student(model: SentenceTransformer, folder: Path) -> None:
    """Save a model as plain sentence-transformers files; the model card is written apart."""
    if not is_static(model):
        use_own_attention(model[0].model)
    model.save_pretrained(str(folder), create_model_card=False, safe_serialization=True)


def load_student(folder: Path, device: torch.device, *, trust_remote_code: bool = False) -> SentenceTransformer:
    """Return a student saved before; Python code that its model came with is run only if it is trusted."""
    return load_model("student", str(folder), device=str(device), trust_remote_code=trust_remote_code)


def remember_sizes(model: SentenceTransformer) -> None:
    """Note the sizes of a model with an encoder in its config.json, for reports on what is made from it."""
    model[0].model.config.made_from = _sizes(model)


def describe(model: SentenceTransformer) -> dict[str, Any]:
    """Return sizes of a model: parameters, of these embeddings, vocabulary, layers, dimension; `before`: see above."""
    return {
        **_sizes(model),
        "before": None if is_static(model) else getattr(model[0].model.config, "made_from", None),
        "embedding_parameters": token_embeddings(model).weight.numel(),
        "dimension": model.get_embedding_dimension(),
        "max_tokens": longest_input(model),
    }


def _sizes(model: SentenceTransformer) -> dict[str, Any]:
    return {
        "vocabulary": len(token_embeddings(model).weight),
        "layers": None if is_static(model) else getattr(model[0].model.config, "num_hidden_layers", None),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "bytes": sum(parameter.nbytes for parameter in model.parameters()),
    }
