"""The recipe: one YAML file, read into frozen, validated sections."""

from distill.recipe.load import load_recipe, recipe_schema
from distill.recipe.sections import (
    AlignmentSection,
    CorpusSection,
    EarlyStopping,
    EvaluationSection,
    LearningRate,
    MseObjective,
    PretrainedStudent,
    Recipe,
    StudentSection,
    TeacherSection,
    TrainingSection,
    TransplantStudent,
    VocabularySection,
)

__all__ = [
    "AlignmentSection",
    "CorpusSection",
    "EarlyStopping",
    "EvaluationSection",
    "LearningRate",
    "MseObjective",
    "PretrainedStudent",
    "Recipe",
    "StudentSection",
    "TeacherSection",
    "TrainingSection",
    "TransplantStudent",
    "VocabularySection",
    "load_recipe",
    "recipe_schema",
]
