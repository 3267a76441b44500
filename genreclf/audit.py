"""Checks a data set and its split, or compares it with other collections: python -m genreclf.audit DIR."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from genreclf.audit_collections import show_shared
from genreclf.config import build
from genreclf.data.audit import Audit, audit
from genreclf.data.audit_page import audit_page
from genreclf.data.build_store import prepared_store
from genreclf.data.collections import compare_collections, other_collection, own_collection, pairs_csv
from genreclf.data.collections_page import collections_page
from genreclf.data.data_config import DataConfig
from genreclf.data.data_folder import data_folder
from genreclf.data.findings import notes
from genreclf.data.leaks import HELD_OUT, SHARED, Leak, not_compared_line, pieces_line
from genreclf.data.membership import membership
from genreclf.data.path_list import write_paths
from genreclf.data.sources import clip_rows
from genreclf.data.split import SPLITS, SplitConfig
from genreclf.data.store import Store
from genreclf.errors import GenreclfError
from genreclf.files import write_atomically
from genreclf.frontend.folder import folder_contents, ignored_note
from genreclf.grouping import grouped
from genreclf.hydra_command import run_command
from genreclf.inference.results import check_output, check_output_folder
from genreclf.terminal import print_table
from genreclf.text import one_line, shell_command

PAGE, NUMBERS = "audit.html", "audit.json"
PAIRS_PAGE, PAIRS_NUMBERS, PAIRS_TABLE = "pairs.html", "pairs.json", "pairs.csv"
UNUSED = "clips without a class"  # includes dropped clips
FOUND = 1  # the exit code with --strict


@dataclass(frozen=True)
class AuditConfig:
    """The settings in audit.yaml outside its groups."""

    out: Path  # the folder for the page and the tables
    strict: bool  # exit with 1 if the split leaks, a clip is in another collection, or nothing could be compared
    against: tuple[Path, ...]  # collections to compare the data with; if there are any, the split is not checked
    drop_list: Path | None  # the file for the list of clips that are also in another collection


def run_audit(config: dict[str, Any], overrides: list[str]) -> int:
    """Audits `data` with `split`, or compares it with other collections; writes the results, returns the exit code."""
    data = build(DataConfig, config["data"], "data")
    options = build(AuditConfig, {key: config[key] for key in AuditConfig.__annotations__}, "")
    check_output_folder("out=", options.out)
    check_output(options.drop_list)
    if options.against:
        return _compare(data, options)
    if options.drop_list is not None:
        raise GenreclfError(f"--drop-list {options.drop_list}: names clips of other collections; give --against OTHER")
    split = build(SplitConfig, config["split"], "split")
    store = prepared_store(data)
    found = audit(store, membership(store.rows, data, split), _ignored(data, store), task=data.task)
    about = {"name": data.name, "path": str(data.path), "table": str(data.table or ""), "split": split.name}
    context = {"data": {**about, "store_digest": store.digest}, "split": asdict(split)}
    numbers = json.dumps({**context, **found.plain()}, indent=1)
    _write(options.out, {PAGE: audit_page(found, store, about), NUMBERS: numbers})
    _show(found)
    for note in notes(store.rows):
        print(one_line(note))
    for what, name in (("page", PAGE), ("numbers", NUMBERS)):
        print(one_line(f"{what}: {options.out / name}"))
    return FOUND if options.strict and found.verdict in ("leaks", "unknown") else 0


def _ignored(data: DataConfig, store: Store) -> dict[str, list[str]]:
    """Returns the folder's files that are not in the store: by extension, or, for clips, by why they have no class."""
    folder = data_folder(data)
    contents, used = folder_contents(folder), {row.path for row in store.rows}
    unused = [path for path in contents.clips if path not in used]
    reasons = clip_rows(replace(data, table=None), unused).reasons
    left_out = [f"{UNUSED}: {why}" if why else UNUSED for why in reasons]
    return {**contents.ignored, **grouped(zip(left_out, unused, strict=True))}


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content.rstrip("\n") + "\n")


def _show(found: Audit) -> None:
    faults = ", ".join(f"{kind} {len(clips)}" for kind, clips in found.findings.items() if clips)
    print(f"{found.clips} clips of {len(found.classes)} classes; findings: {faults or 'none'}")
    if found.ignored:
        print(one_line(ignored_note(found.ignored)))
    if found.rates:
        print("sample rates: " + ", ".join(f"{rate:,} Hz {count}" for rate, count in found.rates.items()))
    print(f"pairs of one recording: {len(found.pairs)}, in groups: {len(found.duplicate_groups)}")
    print(f"recordings in more than one class: {len(found.label_conflicts)}")
    rows = []
    for part in reversed(HELD_OUT):
        for name, held_out in found.leaks.items():
            rows.append((part, name, *(_share(held_out[part][shared]) for shared in SHARED)))
    columns = ("clips", "split", *(f"same {shared}" for shared in SHARED))
    print_table([(name, "text") for name in columns], rows, "held-out clips that share something with training")
    for refusal in found.refusals:
        print(one_line(f"training would refuse this split: {refusal}"))
    print(one_line(_verdict(found)))


def _share(leak: Leak) -> str:
    if leak.share is None:
        return "unknown" if leak.unknown else "no such clips"
    return f"{leak.share:.1%} of {leak.of:.0f}"


def _verdict(found: Audit) -> str:
    if not found.held_out_clips:
        return "the chosen split has no validation or test clips, so it has no leak"
    absent = {part: found.not_compared[part] for part in SPLITS}
    unseen = f"; {not_compared_line(absent)}" if any(absent.values()) else ""
    chosen = found.leaks["chosen"].values()
    artists = "" if any(leaks["artist"].of for leaks in chosen) else "; artists unknown"
    if found.verdict == "unknown":
        pieces = f"; {pieces_line(found.divided_pieces)}" if found.divided_pieces else ""
        return f"whether the chosen split leaks is not known{pieces}{unseen}{artists}"
    if found.verdict == "leaks":
        shared = [name for name in SHARED if any(leaks[name].clips for leaks in chosen)]
        return f"the chosen split leaks: held-out clips share {', '.join(shared)} with training{unseen}"
    where = ", as far as clips could be compared" if unseen else ""
    return f"no leak was found in the chosen split{where}{unseen}{artists}"


def _compare(data: DataConfig, options: AuditConfig) -> int:
    """Compares the clips of `data` with other collections, writes what they share, and returns the exit code."""
    one = own_collection(data)
    others = [other_collection(path, data) for path in dict.fromkeys(options.against)]
    found = compare_collections(one, others)
    page, numbers = collections_page(found, one, others), json.dumps(found.plain(), indent=1)
    _write(options.out, {PAIRS_PAGE: page, PAIRS_NUMBERS: numbers, PAIRS_TABLE: pairs_csv(found.pairs)})
    show_shared(found)
    for what, name in (("page", PAIRS_PAGE), ("numbers", PAIRS_NUMBERS), ("table", PAIRS_TABLE)):
        print(one_line(f"{what}: {options.out / name}"))
    if options.drop_list is not None:
        _write_drop_list(options.drop_list, found.shared, data)
    return FOUND if options.strict and (found.pairs or found.is_blind) else 0


def _write_drop_list(file: Path, paths: Sequence[str], data: DataConfig) -> None:
    write_paths(file, paths)
    print(one_line(f"{len(paths)} clips to leave out: {file}"))
    use = shell_command("genreclf", "train", f"data={data.name}", f"data.path={data.path}", f"data.drop={file}")
    print(one_line(f"to leave them out: {use}"))


main = partial(run_command, "audit", run_audit, options=("against", "drop_list"))

if __name__ == "__main__":
    sys.exit(main())
