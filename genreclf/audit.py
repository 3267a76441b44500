"""Checks a data set and a split of it: python -m genreclf.audit data=folder data.path=DIR."""

import json
import sys
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from genreclf.config import build
from genreclf.data.audit import Audit, audit
from genreclf.data.audit_page import audit_page
from genreclf.data.build_store import prepared_store
from genreclf.data.leaks import HELD_OUT, LEAKS, SHARED, Leak
from genreclf.data.membership import membership
from genreclf.data.sources import DataConfig
from genreclf.data.split import SplitConfig
from genreclf.data.store import open_store
from genreclf.errors import GenreclfError, one_line
from genreclf.files import write_atomically
from genreclf.hydra_command import run_command

PAGE, NUMBERS = "audit.html", "audit.json"
LEAKS_FOUND = 1  # the exit code with --strict


@dataclass(frozen=True)
class AuditConfig:
    """The keys of audit.yaml outside its groups."""

    out: Path  # the folder for the page and the JSON file
    strict: bool  # exit with 1 if the split leaks


def run_audit(config: dict[str, Any], overrides: list[str]) -> int:
    """Audits `data` with `split` and writes the page and the JSON to `out`; the exit code."""
    data, split = build(DataConfig, config["data"], "data"), build(SplitConfig, config["split"], "split")
    options = build(AuditConfig, {key: config[key] for key in AuditConfig.__annotations__}, "")
    store = open_store(prepared_store(data))
    found = audit(store, membership(store.rows, data, split))
    about = {"name": data.name, "path": str(data.path), "table": str(data.table or ""), "split": split.name}
    context = {"data": {**about, "store_digest": store.digest}, "split": asdict(split)}
    numbers = json.dumps({**context, **found.plain()}, indent=1)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        write_atomically(options.out / PAGE, audit_page(found, store, about) + "\n")
        write_atomically(options.out / NUMBERS, numbers + "\n")
    except OSError as error:
        raise GenreclfError(f"out={options.out}: cannot be written ({error}); choose another folder") from error
    _show(found, options.out)
    return LEAKS_FOUND if options.strict and found.chosen_leaks else 0


def _show(found: Audit, folder: Path) -> None:
    faults = ", ".join(f"{kind} {len(clips)}" for kind, clips in found.findings.items() if clips)
    print(f"{found.clips} clips of {len(found.classes)} classes; findings: {faults or 'none'}")
    print(f"pairs of one recording: {len(found.pairs)}, in groups: {len(found.duplicate_groups)}")
    print(f"recordings in more than one class: {len(found.label_conflicts)}")
    table = Table(title="held-out clips that share something with training")
    for heading in ("clips", "split", *(f"same {shared}" for shared in SHARED)):
        table.add_column(heading)
    for part in reversed(HELD_OUT):
        for name, held_out in found.leaks.items():
            shares = [_share(held_out[part][shared]) for shared in SHARED]
            table.add_row(part, name, *(shares if held_out[part]["recording"].of else ["no such clips"]))
    Console().print(table)
    for reason in found.refusals:
        print(one_line(f"training would refuse this split: {reason}"))
    print(_verdict(found))
    print(f"page: {folder / PAGE}\nnumbers: {folder / NUMBERS}")


def _share(leak: Leak) -> str:
    return "unknown" if leak.share is None else f"{leak.share:.1%} of {leak.of:.0f}"


def _verdict(found: Audit) -> str:
    if found.chosen_leaks:
        chosen = found.leaks["chosen"].values()
        shared = [name for name in LEAKS if any(leaks[name].clips for leaks in chosen)]
        return f"the chosen split leaks: held-out clips share {', '.join(shared)} with training"
    unknown = f"; {len(found.not_compared)} clips could not be compared by sound" if found.not_compared else ""
    return f"no leak was found in the chosen split{unknown}"


main = partial(run_command, "audit", run_audit)

if __name__ == "__main__":
    sys.exit(main())
