"""The recipe: one YAML file, read into frozen, validated sections."""

from distill.recipe.corpora import CorpusSection
from distill.recipe.evaluation import EvaluationSection
from distill.recipe.load import load_recipe, recipe_schema
from distill.recipe.mixture import MixtureSection
from distill.recipe.models import (
    AlignmentSection,
    LayersSection,
    PretrainedStudent,
    StaticFit,
    StaticStudent,
    StaticVocabulary,
    StudentSection,
    TeacherSection,
    TransplantStudent,
    TrimmingSection,
    VocabularySection,
)
from distill.recipe.objectives import MseObjective, Objective
from distill.recipe.recipe import Recipe
from distill.recipe.training import EarlyStopping, LearningRate, TrainingSection

__all__ = [
    "AlignmentSection",
    "CorpusSection",
    "EarlyStopping",
    "EvaluationSection",
    "LayersSection",
    "LearningRate",
    "MixtureSection",
    "MseObjective",
    "Objective",
    "PretrainedStudent",
    "Recipe",
    "StaticFit",
    "StaticStudent",
    "StaticVocabulary",
    "StudentSection",
    "TeacherSection",
    "TrainingSection",
    "TransplantStudent",
    "TrimmingSection",
    "VocabularySection",
    "load_recipe",
    "recipe_schema",
]
