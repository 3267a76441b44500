"""What is wrong with a data set, as a page and as JSON: python -m genreclf.audit data=folder data.path=DIR."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from genreclf.config import build
from genreclf.data.audit import Audit, audit
from genreclf.data.audit_page import audit_page
from genreclf.data.leaks import HELD_OUT, SHARED, Leak
from genreclf.data.membership import membership
from genreclf.data.sources import DataConfig
from genreclf.data.split import SplitConfig
from genreclf.data.store import open_store, prepared_store
from genreclf.errors import GenreclfError, one_line
from genreclf.hydra_command import run_command

PAGE, FIGURES = "audit.html", "audit.json"
LEAKS = 1


@dataclass(frozen=True)
class AuditConfig:
    """The keys of audit.yaml that stand outside its groups."""

    out: Path
    strict: bool


def run_audit(config: dict[str, Any], overrides: list[str]) -> None:
    """Audits `data` with `split`, writes the page and the JSON to `out`; with `strict`, exits 1 if the split leaks."""
    data, split = build(DataConfig, config["data"], "data"), build(SplitConfig, config["split"], "split")
    own = build(AuditConfig, {key: config[key] for key in AuditConfig.__annotations__}, "")
    store = open_store(prepared_store(data))
    found = audit(store, membership(store.rows, data, split), split)
    about = {"name": data.name, "path": str(data.path), "table": str(data.table or ""), "split": split.name}
    facts = {"data": {**about, "store_digest": store.digest}, "split": asdict(split)}
    _write(own.out, {PAGE: audit_page(found, store, about), FIGURES: json.dumps({**facts, **found.plain()}, indent=1)})
    _show(found, own.out)
    if own.strict and found.chosen_leaks:
        sys.exit(LEAKS)


def _write(folder: Path, files: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            # Names of files need not be UTF-8.
            (folder / name).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise GenreclfError(f"out={folder}: cannot be written ({error}); choose another folder") from error


def _show(found: Audit, folder: Path) -> None:
    console = Console()
    faults = ", ".join(f"{kind} {len(clips)}" for kind, clips in found.findings.items() if clips)
    print(f"{found.clips} clips of {len(found.classes)} classes; findings: {faults or 'none'}")
    print(f"pairs of one recording: {len(found.pairs)}, in groups: {len(found.duplicate_groups)}")
    print(f"recordings with more than one class: {len(found.label_conflicts)}")
    table = Table(title="clips that share with training")
    for heading in ("clips", "split", *(f"same {shared}" for shared in SHARED)):
        table.add_column(heading)
    for part in reversed(HELD_OUT):
        for name, held_out in found.leaks.items():
            shares = [_share(held_out[part][shared]) for shared in SHARED]
            table.add_row(part, name, *(shares if held_out[part]["recording"].of else ["no such clips"]))
    console.print(table)
    for reason in found.refusals:
        print(one_line(f"a training would refuse this split: {reason}"))
    print(f"the chosen split {'leaks' if found.chosen_leaks else 'does not leak, by what is known'}")
    print(f"page: {folder / PAGE}\nfigures: {folder / FIGURES}")


def _share(leak: Leak) -> str:
    return "unknown" if leak.share is None else f"{leak.share:.1%} of {leak.of:.0f}"


def main() -> None:
    """The command line."""
    # Hydra takes no flags but its own.
    sys.argv[1:] = ["strict=true" if word == "--strict" else word for word in sys.argv[1:]]
    run_command("audit", run_audit)


if __name__ == "__main__":
    main()
