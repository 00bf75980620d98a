"""The mixture: in which order and proportion data sets get batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from distill.errors import nearest
from distill.recipe.corpora import CorpusSection
from distill.recipe.section import Section
from distill.recipe.values import MisfitError, NotNegative, Positive, PositiveInt, Text, Texts

Key = tuple[str | int, ...]


class ProportionalSampling(Section):
    """Every epoch has each row once."""

    kind: Literal["proportional"] = "proportional"


class RoundRobinSampling(Section):
    """Data sets take turns, one batch each (with `batches: cross`, as many rows of each in a batch)."""

    kind: Literal["round_robin"]
    until: Literal["smallest", "largest"] = Field(
        "smallest",
        description="What ends an epoch: the end of the smallest data set, or of the largest, the others repeated.",
    )


class EqualSampling(Section):
    """Every data set has the same share, in a random order."""

    kind: Literal["equal"]


class TemperatureSampling(Section):
    """A data set's share is in proportion to rows^(1/temperature) (Arivazhagan et al. 2019)."""

    kind: Literal["temperature"]
    temperature: Positive = Field(description="1: by rows; the higher, the more equal.")


class CappedSampling(Section):
    """A data set's share is in proportion to its rows, but to no more than a cap (Raffel et al. 2020)."""

    kind: Literal["capped"]
    cap: PositiveInt = Field(description="Rows beyond which a data set's share does not grow.")


class WeightedSampling(Section):
    """A data set's share is in proportion to its weight. Exactly one of `weights`, `weights_file` says which."""

    kind: Literal["weighted"]
    weights: dict[Text, NotNegative] | None = Field(
        None,
        description="Corpus, part of a corpus such as `talks en-uk`, or objective → weight. "
        "What has several data sets divides its weight among them by rows.",
    )
    weights_file: Path | None = Field(
        None,
        description="A data_config.json as of the flax-sentence-embeddings models: a list of {name, weight}. A name is "
        "that of a corpus, or of a file or folder that is one; the weights of several files of a corpus add up.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> WeightedSampling:
        given = [key for key in ("weights", "weights_file") if getattr(self, key) is not None]
        if len(given) != 1:
            raise MisfitError((), f"{' and '.join(given) or 'no weights'} given", expected="weights or weights_file")
        if self.weights is not None and not any(self.weights.values()):
            raise MisfitError(("weights",), "no weight is above 0", expected="at least one")
        return self


class BridgingSampling(Section):
    """English pairs and parallel data alternate; within each, every data set's share is in proportion to its rows."""

    kind: Literal["bridging"]
    english: Texts = Field(description="Corpora or objectives of English pairs.")
    parallel: Texts = Field(description="Corpora or objectives of parallel data.")
    ratio: str = Field(
        "1:1", pattern=r"^[1-9]\d{0,3}:[1-9]\d{0,3}$", description="English to parallel batches, such as 1:2."
    )

    @property
    def parts(self) -> tuple[int, int]:
        """The two numbers of the ratio."""
        english, parallel = self.ratio.split(":")
        return int(english), int(parallel)


def _kind(value: Any) -> Any:
    """Return a lone text as the section of that kind."""
    return {"kind": value} if isinstance(value, str) else value


_Simple = Literal["proportional", "round_robin", "equal"]
_Steady = (
    ProportionalSampling
    | RoundRobinSampling
    | EqualSampling
    | TemperatureSampling
    | CappedSampling
    | WeightedSampling
    | BridgingSampling
)


class PhaseSection(Section):
    """A part of a curriculum. The last one lasts to the end of the run; the others say `share` or `steps`."""

    share: Annotated[float, Field(gt=0, lt=1, strict=True)] | None = Field(
        None, description="Share of all steps of the run."
    )
    steps: PositiveInt | None = Field(None, description="Steps.")
    sampling: Annotated[
        _Steady,
        Field(discriminator="kind"),
        BeforeValidator(_kind, json_schema_input_type=_Simple | Annotated[_Steady, Field(discriminator="kind")]),
    ] = Field(ProportionalSampling(), description="Shares of the data sets; proportional: by rows.")
    corpora: Texts | None = Field(None, description="Names of the corpora of this phase; all if absent.")
    objectives: Texts | None = Field(None, description="Names of the objectives of this phase; all if absent.")

    @model_validator(mode="after")
    def _length(self) -> PhaseSection:
        if self.share is not None and self.steps is not None:
            raise MisfitError(("steps",), "share and steps given", expected="one of them")
        if isinstance(self.sampling, RoundRobinSampling) and "until" in self.sampling.model_fields_set:
            raise MisfitError(
                ("sampling", "until"), "given in a phase", expected="share or steps, which say when it ends"
            )
        return self


class CurriculumSampling(Section):
    """Phases one after the other, each with a sampling of its own."""

    kind: Literal["curriculum"]
    phases: tuple[PhaseSection, ...] = Field(min_length=2, description="The phases in order.")

    @model_validator(mode="after")
    def _lengths(self) -> CurriculumSampling:
        *others, last = self.phases
        for place, phase in enumerate(others):
            if phase.share is None and phase.steps is None:
                raise MisfitError(("phases", place), "says neither share nor steps", expected="one of them")
        if last.share is not None or last.steps is not None:
            key = "share" if last.share is not None else "steps"
            raise MisfitError(
                ("phases", len(others), key), "given for the last phase", hint="leave it out: the rest is its"
            )
        if (total := sum(phase.share or 0.0 for phase in others)) >= 1:
            raise MisfitError(("phases",), f"the shares add up to {total:g}", expected="less than 1 before the last")
        return self


Sampling = _Steady | CurriculumSampling


class MixtureSection(Section):
    """In which order and proportion data sets get batches. A data set is one language of a corpus in one objective."""

    sampling: Annotated[
        Sampling,
        Field(discriminator="kind"),
        BeforeValidator(_kind, json_schema_input_type=_Simple | Annotated[Sampling, Field(discriminator="kind")]),
    ] = Field(
        ProportionalSampling(),
        description="One of proportional, round_robin, equal, temperature, capped, weighted, bridging, curriculum; "
        "with settings, {kind: …, …}.",
    )
    batches: Literal["cross", "single"] = Field(
        "cross",
        description="cross: a batch has rows of all data sets of an objective, by their shares. single: of one.",
    )
    cluster_by: Literal["domain"] | None = Field(
        None,
        description="domain: the rows of a batch have the same value in the column `domain`, or none. A domain with "
        "less than half a batch of rows counts as none.",
    )

    @model_validator(mode="after")
    def _domains(self) -> MixtureSection:
        if self.cluster_by and self.batches == "cross" and self.sampling.kind != "proportional":
            raise MisfitError(
                ("cluster_by",),
                f"with sampling {self.sampling.kind}, a batch across data sets would have rows of several domains",
                hint="add batches: single",
            )
        return self

    def samplings(self) -> Iterator[tuple[Key, Sampling, PhaseSection | None]]:
        """Yield each sampling below the first with its key and phase."""
        yield ("sampling",), self.sampling, None
        if isinstance(self.sampling, CurriculumSampling):
            for place, phase in enumerate(self.sampling.phases):
                yield ("sampling", "phases", place, "sampling"), phase.sampling, phase

    def with_weights(self, weights_of: Mapping[Path, dict[str, float]]) -> MixtureSection:
        """Return the mixture with weights in place of their files."""

        def known(sampling: Any) -> Any:
            if isinstance(sampling, WeightedSampling) and sampling.weights_file:
                return WeightedSampling(kind="weighted", weights=weights_of[sampling.weights_file])
            return sampling

        sampling = known(self.sampling)
        if isinstance(sampling, CurriculumSampling):
            phases = tuple(p.model_copy(update={"sampling": known(p.sampling)}) for p in sampling.phases)
            sampling = sampling.model_copy(update={"phases": phases})
        return self.model_copy(update={"sampling": sampling})


def check_names(
    mixture: MixtureSection, corpora: Mapping[str, CorpusSection], objectives: Mapping[str, Iterable[str]]
) -> None:
    """Check that a mixture names what there is, and all of it.

    Args:
        mixture: the mixture.
        corpora: the recipe's.
        objectives: the corpora of each.

    Raises:
        MisfitError: with the key below `mixture`.
    """
    for key, sampling, phase in mixture.samplings():
        if phase:
            _check_phase(key[:-1], phase, corpora, objectives)
        pairs = pairs_of(phase, objectives)
        if isinstance(sampling, WeightedSampling) and sampling.weights is not None:
            _check_weights((*key, "weights"), sampling.weights, pairs, corpora, objectives)
        if isinstance(sampling, BridgingSampling):
            _check_sides(key, sampling, pairs, corpora, objectives)


def pairs_of(phase: PhaseSection | None, objectives: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Return the pairs of objective and corpus that are trained on in a phase, or all."""
    return [
        (objective, corpus)
        for objective, names in objectives.items()
        for corpus in names
        if phase is None
        or (
            (phase.objectives is None or objective in phase.objectives)
            and (phase.corpora is None or corpus in phase.corpora)
        )
    ]


def _check_phase(
    key: Key, phase: PhaseSection, corpora: Iterable[str], objectives: Mapping[str, Iterable[str]]
) -> None:
    for place, name in enumerate(phase.corpora or ()):
        _check_known((*key, "corpora", place), name, corpora, "corpus")
    for place, name in enumerate(phase.objectives or ()):
        _check_known((*key, "objectives", place), name, objectives, "objective")
    if not pairs_of(phase, objectives):
        raise MisfitError(key, "none of its objectives trains on any of its corpora")


def _check_weights(
    key: Key,
    weights: Mapping[str, float],
    pairs: list[tuple[str, str]],
    corpora: Mapping[str, CorpusSection],
    objectives: Iterable[str],
) -> None:
    parts = {corpus: [part_names(corpus, code) for code in section.languages] for corpus, section in corpora.items()}
    full, short = zip(*(names for found in parts.values() for names in found), strict=True)
    for name in weights:
        if name not in short:
            _check_known((*key, name), name, [*corpora, *objectives, *full], "corpus, part of a corpus or objective")
    for objective, corpus in pairs:
        missing = [names for names in parts[corpus] if not {objective, corpus, *names} & weights.keys()]
        if missing:
            raise MisfitError(key, f"no weight for {missing[0][0]!r}", hint="give it one; 0 leaves it out")


def _check_sides(
    key: Key,
    sampling: BridgingSampling,
    pairs: list[tuple[str, str]],
    corpora: Iterable[str],
    objectives: Iterable[str],
) -> None:
    known = [*corpora, *objectives]
    for side in ("english", "parallel"):
        for number, name in enumerate(getattr(sampling, side)):
            _check_known((*key, side, number), name, known, "corpus or objective")
    english = [pair for pair in pairs if set(pair) & set(sampling.english)]
    parallel = [pair for pair in pairs if set(pair) & set(sampling.parallel)]
    for pair in pairs:
        if (pair in english) == (pair in parallel):
            where = "both in english and in parallel" if pair in english else "neither in english nor in parallel"
            raise MisfitError(key, f"corpus {pair[1]!r} of objective {pair[0]!r} is {where}", expected="one of them")
    for side, there in (("english", english), ("parallel", parallel)):
        if not there:
            raise MisfitError((*key, side), "has no data set", expected="one or more")


def _check_known(key: Key, name: str, known: Iterable[str], what: str) -> None:
    if name not in (known := list(known)):
        raise MisfitError(key, f"no {what} {name!r}", expected=f"one of {', '.join(known)}", hint=nearest(name, known))


def part_names(corpus: str, language: str) -> tuple[str, str]:
    """Return the names that weights may call one language of a corpus."""
    return f"{corpus} en-{language}", f"{corpus} {language}"
