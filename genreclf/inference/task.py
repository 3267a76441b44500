"""What a model predicts for a clip: its genre, or all of its genres."""

MULTICLASS, MULTILABEL = "multiclass", "multilabel"  # one genre per clip, or several; torchmetrics' terms
TASKS = (MULTICLASS, MULTILABEL)
