"""The tasks of models: to predict one genre for a clip, or all of its genres."""

MULTICLASS, MULTILABEL = "multiclass", "multilabel"  # one genre per clip, or several; torchmetrics' terms
TASKS = (MULTICLASS, MULTILABEL)
