"""The time-stamped facts beside TempQA-WD, as a data set with timed facts.

    python -m kg_r1.data.tempqa --source FOLDER --out data_kg

In: a folder with `cr_tkgqa_tkg.txt`, a fact a line: head, relation, tail and an xsd:dateTime, parted by tabs,
with underscores for the spaces of names. Out: `tempqa/` with `triples.tsv`, `facts_timed.tsv`, `names.tsv`
and the manifest.

Each line names one time, and not whether it is the start of something, its end or the whole of it, so that
a fact's window is that time and no longer. The source writes a year as its 1st of January: over half of its
lines have that day, where one in 365 would by chance, so it is read as the year.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from kg_r1.data.files import write_lines
from kg_r1.data.manifest import drop_manifest, write_manifest
from kg_r1.kg.errors import DataError, KGError
from kg_r1.kg.knowledge_graph import Triple
from kg_r1.kg.lines import data_error, numbered_lines, split_fields
from kg_r1.kg.timed_facts import FILE_NAME, PartialDate

DATASET = "tempqa"
SOURCE_FILE = "cr_tkgqa_tkg.txt"
FIELDS = ("head", "relation", "tail", "time")

_TIME = re.compile(r'"(-?\d{4,6})-(\d{2}-\d{2})T00:00:00Z"\^\^xsd:dateTime', re.ASCII)


def build_tempqa(source: Path, out: Path) -> str:
    """Builds `out`/tempqa from the facts in `source`; returns what was written, in one line.

    Raises:
        DataError: a file is missing, or a line is bad; names file and line.
    """
    path = source / SOURCE_FILE
    if not path.is_file():
        raise DataError(f"{source}: has no {SOURCE_FILE}", "Name the folder of the TempQA-WD files")
    facts = read_facts(path)
    triples = list(dict.fromkeys(triple for triple, _ in facts))
    entities = sorted({entity for head, _, tail in triples for entity in (head, tail)})
    folder = out / DATASET
    drop_manifest(folder)
    write_lines(folder / "triples.tsv", ("\t".join(triple) for triple in triples))
    write_lines(folder / FILE_NAME, ("\t".join((*triple, time, time)) for triple, time in facts))
    write_lines(folder / "names.tsv", (f"{entity}\t{name_of(entity)}" for entity in entities))
    files = [folder / name for name in ("triples.tsv", FILE_NAME, "names.tsv")]
    counts = {
        "num_triples": len(triples),
        "num_timed_facts": len(facts),
        "num_entities": len(entities),
        "num_relations": len({relation for _, relation, _ in triples}),
    }
    write_manifest(folder, files, {"dataset": DATASET, **counts})
    shown = ", ".join(f"{value:,} {name.removeprefix('num_')}" for name, value in counts.items())
    return f"{folder}: {shown}".replace("_", " ")


def read_facts(path: Path) -> list[tuple[Triple, str]]:
    """Every distinct fact with its time in ISO 8601, in the order of the file.

    Raises:
        DataError: a line is bad.
    """
    facts: dict[tuple[Triple, str], None] = {}
    for number, text in numbered_lines(path):
        head, relation, tail, time = split_fields(path, number, text, "\t", FIELDS)
        match = _TIME.fullmatch(time)
        if match is None:
            raise data_error(path, number, f'{time} is no time such as "1998-02-01T00:00:00Z"^^xsd:dateTime')
        year, day = match.groups()
        iso = year if day == "01-01" else f"{year}-{day}"
        try:
            PartialDate.parse(iso)
        except ValueError as error:
            raise data_error(path, number, str(error)) from error
        facts[(head, relation, tail), iso] = None
    return list(facts)


def name_of(entity: str) -> str:
    """What an entity is called: its id with spaces for underscores."""
    return " ".join(entity.replace("_", " ").split()) or entity


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the conversion; returns the exit code, 2 for a user's mistake, told in one line."""
    parser = argparse.ArgumentParser(
        prog="python -m kg_r1.data.tempqa", description="Time-stamped facts of TempQA-WD as a data set."
    )
    parser.add_argument("--source", type=Path, required=True, help=f"the folder with {SOURCE_FILE}")
    parser.add_argument("--out", type=Path, required=True, help="the folder of the data sets (data_kg)")
    options = parser.parse_args(arguments)
    try:
        text = build_tempqa(options.source, options.out)
    except (KGError, OSError) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 2
    sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
