"""What becomes of faults that ``mutate_kernels.py`` plants: its files, the list of those explained, its tables."""

import collections
import dataclasses
import json
import os
import statistics
import tomllib
from pathlib import Path

SURVIVORS = Path(__file__).with_name("mutation_survivors.toml")


@dataclasses.dataclass
class Result:
    """What became of a mutant.

    ``verdict`` is killed, survived or did not build; ``how`` tells what
    showed the fault, ``where`` on which device, ``cases`` after how many.
    """

    verdict: str
    how: str = ""
    where: str = ""
    cases: int = 0
    seconds: float = 0.0


def read_survivors(path=SURVIVORS):
    """Return the reason for each listed survivor, by the mutant's identity.

    Raises
    ------
    ValueError
        If an entry lacks something.
    """
    if not path.exists():
        return {}
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", [])
    listed = {}
    for number, entry in enumerate(entries, 1):
        needed = ("file", "kind", "function", "line", "mutated", "reason")
        # A macro before all functions is in none.
        missing = [key for key in needed if not entry.get(key) and (key != "function" or key not in entry)]
        if missing:
            raise ValueError(f"{path}: entry {number} has no {', '.join(missing)}.")
        identity = *(entry[key] for key in ("file", "kind", "function", "line", "mutated")), entry.get("occurrence", 1)
        listed[identity] = entry["reason"]
    return listed


def table(title, rows):
    """Return lines: for each key how many were killed, survived, explained and did not build."""
    columns = ("killed", "survived", "explained", "did not build")
    counts = collections.defaultdict(collections.Counter)
    for key, verdict in rows:
        counts[key][verdict] += 1
    lines = [f"{title:<26}" + "".join(f"{column:>15}" for column in columns) + f"{'killed of built':>17}"]
    total = sum(counts.values(), collections.Counter())
    for key, count in [*sorted(counts.items()), ("all", total)]:
        built = count["killed"] + count["survived"]
        share = f"{count['killed'] / built:.1%}" if built else "-"
        lines.append(f"{key:<26}" + "".join(f"{count[column]:>15}" for column in columns) + f"{share:>17}")
    return lines


def show(mutant):
    """Return a mutant as text."""
    where = f"{mutant.file}:{mutant.number}"
    return f"{where} ({mutant.function}) {mutant.kind}\n    - {mutant.line}\n    + {mutant.mutated}"


def explained(mutant, result, listed):
    """Return the Result of a mutant, which is no survivor if it is listed."""
    if result.verdict != "survived" or mutant.identity not in listed:
        return result
    return dataclasses.replace(result, verdict="explained", how=listed[mutant.identity])


def write_outcomes(path, outcomes):
    """Write what became of each mutant, as JSON."""
    rows = []
    for mutant, result in outcomes:
        row = dataclasses.asdict(mutant) | dataclasses.asdict(result)
        del row["source"]
        rows.append(row)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def read_outcomes(path, chosen, listed):
    """Return (mutant, Result) for those of the chosen that a former run killed, or that did not build in it."""
    fields = [field.name for field in dataclasses.fields(Result)]
    by_identity = {mutant.identity: mutant for mutant in chosen}
    outcomes = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        identity = *(row[key] for key in ("file", "kind", "function", "line", "mutated")), row["occurrence"]
        mutant = by_identity.get(identity)
        if mutant is not None and row["verdict"] in ("killed", "did not build"):
            outcomes.append((mutant, Result(**{name: row[name] for name in fields})))
    return outcomes


def report(outcomes, listed, found, available):
    """Print the tables, the survivors and the listed ones that no longer apply; return whether all is explained."""
    print()
    for title, key in (("kind", lambda mutant: mutant.kind), ("file", lambda mutant: mutant.file)):
        print("\n".join(table(title, [(key(mutant), result.verdict) for mutant, result in outcomes])), end="\n\n")
    survivors = [mutant for mutant, result in outcomes if result.verdict == "survived"]
    if survivors:
        print("Survived, and not explained:", *map(show, survivors), "", sep="\n")
    files, existing = {mutant.file for mutant in found}, {mutant.identity for mutant in found}
    stale = [
        f"{identity}: no such fault is planted"
        for identity in listed
        if identity[0] in files and identity not in existing
    ]
    stale += [
        f"{mutant.identity}: {result.verdict}"
        for mutant, result in outcomes
        if mutant.identity in listed and result.verdict != "explained"
    ]
    if stale:
        print(f"Listed in {SURVIVORS.name}, but no longer true:", *stale, "", sep="\n")
    seconds = [result.seconds for _, result in outcomes]
    if seconds:
        cases = [result.cases for _, result in outcomes if result.verdict == "killed" and result.cases]
        print(
            f"{statistics.mean(seconds):.1f} s a mutant, {statistics.median(seconds):.1f} s in the median, "
            f"{sum(seconds) / 60:.1f} min in all; {available} mutants would take about "
            f"{statistics.mean(seconds) * available / 60:.0f} min."
        )
        if cases:
            spent = [result.seconds for _, result in outcomes if result.verdict == "killed" and result.cases]
            print(
                f"The first case to fail was number {statistics.median(cases):.0f} in the median, "
                f"{statistics.median(spent):.1f} s after the start, the compiler's time included."
            )
    return not survivors and not stale
