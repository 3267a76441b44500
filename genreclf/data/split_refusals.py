"""Finds the reasons why a split cannot be used for training. Pure: no I/O."""

from collections.abc import Sequence

from genreclf.data.split import GIVEN, SPLITS, SplitConfig


def refusals(
    config: SplitConfig,
    splits: Sequence[str | None],
    labels: Sequence[str],
    groups: Sequence[str],
    remedies: Sequence[str] = (),
) -> list[str]:
    """Returns the reasons why this split cannot be used for training, a line each. `remedies` bring back lost clips.

    They are: fewer than two classes, a needed split that is empty, and the classes that are missing in a needed split.
    """
    reasons = []
    classes = sorted(set(labels))
    if len(classes) < 2:
        remedy = ", or ".join([*remedies, "add clips of other genres"])
        reasons.append(f"fewer than two classes have usable clips ({', '.join(classes) or 'none'}); {remedy}")
    absent = [split for split in needed_splits(config, splits) if split not in splits]
    if config.name in GIVEN and splits and absent:
        remedy = ", or give split.validation=false temperature=NUMBER" if absent == ["val"] else ""
        return [*reasons, f"split={config.name}: no clip is in {' or '.join(absent)}; add some{remedy}"]
    rare = rare_classes(config, splits, labels)
    if rare:
        listed = ", ".join(_count(label, missing, labels, groups) for label, missing in rare.items())
        change = ", change split.shares or split.salt" if config.name == "hashed" else ""
        others = "leave them out with data.rare_classes=drop, or train on all clips with split=all, without scores"
        where = f"for split={config.name} in {len(rare)} of {len(classes)} classes: {listed}"
        reasons.append(f"too few clips of different groups {where}; give them clips of other groups{change}, {others}")
    return reasons


def needed_splits(config: SplitConfig, splits: Sequence[str | None]) -> list[str]:
    """Returns the splits that need clips of each class."""
    optional = {"published": {"test"}, "all": {"val", "test"}}.get(config.name, set())
    if config.name in GIVEN and "test" not in splits:
        optional = {"test"}  # a test list may be withheld: training needs only the other two
    return [split for split in SPLITS if split not in optional and (split != "val" or config.validation)]


def rare_classes(config: SplitConfig, splits: Sequence[str | None], labels: Sequence[str]) -> dict[str, list[str]]:
    """Returns the classes without clips in a needed split, with these splits."""
    have, needed = set(zip(splits, labels, strict=True)), needed_splits(config, splits)
    missing = {label: [split for split in needed if (split, label) not in have] for label in sorted(set(labels))}
    return {label: absent for label, absent in missing.items() if absent}


def _count(label: str, missing: Sequence[str], labels: Sequence[str], groups: Sequence[str]) -> str:
    of_class = [group for group, other in zip(groups, labels, strict=True) if other == label]
    count = len(set(of_class))
    in_groups = f" in {count} group{'s' if count > 1 else ''}" if count < len(of_class) else ""
    return f"{label!r} ({len(of_class)} clips{in_groups}, none in {' and '.join(missing)})"


def divided_groups(name: str, paths: Sequence[str], groups: Sequence[str], parts: Sequence[str | None]) -> list[str]:
    """Returns a reason why the split `name` cannot be used, for each declared group that has clips in two parts.

    `parts` are splits, or a table's numbered folds, any two of which are training and test data of some run. `groups`
    has "" for a clip without a declared group; `parts` has "" or None for a clip in no part.
    """
    first: dict[str, tuple[str, str]] = {}
    reasons: dict[str, str] = {}
    for path, group, part in zip(paths, groups, parts, strict=True):
        if not (group and part):
            continue
        other, other_part = first.setdefault(group, (path, part))
        if part != other_part:
            where = f"{other!r} is in {other_part!r}, {path!r} in {part!r}"
            remedy = "keep its clips together, choose split=hashed or split=folds, or declare no such group"
            reasons.setdefault(group, f"split={name}: group {group!r} is divided: {where}; {remedy}")
    return list(reasons.values())
