"""What a model tells of a clip: its genre, or all of its genres."""

MULTICLASS, MULTILABEL = "multiclass", "multilabel"  # one genre a clip, or several; torchmetrics' words
TASKS = (MULTICLASS, MULTILABEL)
