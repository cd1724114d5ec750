"""The table as Markdown. It depends on the description and the log alone, so it can be written again at any time."""

import shlex
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import figures
from description import Data, Part, Row, Table
from tries import Log, Prepared


class Chosen(NamedTuple):
    """A row of a part with the setting that validation chose, and its tries by seed."""

    row: Row
    alternative: Optional[Tuple[str, ...]]  # None: the grid is not finished
    choices: Sequence[Tuple[Tuple[str, ...], Optional[float]]]  # of the grid, with the mean of their metric
    tries: Dict[Optional[int], dict]


def follow(value: object, path: str) -> Optional[float]:
    """The number at a dotted path; whole numbers go into lists, negative ones from the end."""
    for word in path.split("."):
        try:
            value = value[int(word)] if isinstance(value, list) else value[word]  # type: ignore[index]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return float(value) if isinstance(value, (int, float)) else None


def number(value: Optional[float], digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def summary(values: Sequence[float], digits: int = 4) -> str:
    if not values:
        return ""
    spread = figures.deviation(values)
    return number(figures.mean(values), digits) + ("" if spread is None else f" ± {spread:.{digits}f}")


def table_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> List[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def collect(one: Chosen, get: Callable[[dict], Optional[float]]) -> List[float]:
    values = (get(line) for line in one.tries.values())
    return [value for value in values if value is not None]


def seconds_of(line: dict) -> Optional[float]:
    """Of a training. On processors their own time, which does not depend on what else runs there."""
    return line.get("cpu" if str(line.get("device", "")).startswith("cpu") else "seconds")


def row_of(table: Table, one: Chosen, truth: bool) -> List[str]:
    row = one.row
    settings = " ".join((*row.settings, *(one.alternative or ())))
    what = row.about + (f" `{settings}`" if settings else "")
    cells = [row.name, what.strip(), summary(collect(one, lambda line: follow(line, f"valid.{table.metric}")))]
    cells += [summary(collect(one, lambda line, name=name: follow(line, f"test.{name}"))) for name in table.metrics]
    if truth:
        cells += [summary(collect(one, lambda line, path=path: follow(line.get("truth"), path)), 3)
                  for _, path in table.truth]
    seconds = collect(one, seconds_of)
    mib = collect(one, lambda line: line.get("mib"))
    ranked = sum("test" in line for line in one.tries.values())
    cells += ["" if row.baseline else str(ranked), number(figures.mean(seconds), 0) if seconds else "",
              number(max(mib), 0) if mib else ""]
    return cells


def tests_by_seed(table: Table, one: Chosen) -> Dict[Optional[int], float]:
    values = {seed: follow(line, f"test.{table.metric}") for seed, line in one.tries.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def pair_of(table: Table, first: Chosen, second: Chosen) -> Optional[List[str]]:
    a, b = tests_by_seed(table, first), tests_by_seed(table, second)
    # A baseline has one figure for all seeds.
    seeds = sorted(seed for seed in {*a, *b} - {None} if {seed, None} & a.keys() and {seed, None} & b.keys())
    if not seeds:
        return None
    left = [a.get(seed, a.get(None, 0.0)) for seed in seeds]
    right = [b.get(seed, b.get(None, 0.0)) for seed in seeds]
    pair = figures.paired(left, right)
    to = figures.mean(right)
    relative = 100 / to if to > 0 else None
    cells = [first.row.name, second.row.name, f"{pair.difference:+.4f}"]
    if pair.half is None:
        return [*cells, "", "" if relative is None else f"{pair.difference * relative:+.1f} %", "", "", "1"]
    low, high = pair.difference - pair.half, pair.difference + pair.half
    cells.append(f"{low:+.4f} to {high:+.4f}")
    if relative is None:
        cells += ["", ""]
    else:
        cells += [f"{pair.difference * relative:+.1f} %", f"{low * relative:+.1f} to {high * relative:+.1f} %"]
    return [*cells, "yes" if low > 0 or high < 0 else "no", str(pair.count)]


def told_value(value: Optional[float]) -> str:
    return "not finished" if value is None else "failed" if value < 0 else number(value)


def choices_of(table: Table, rows: Sequence[Chosen], seeds: Sequence[int]) -> List[str]:
    lines = []
    for one in rows:
        if not one.row.grid:
            continue
        told = ", ".join(f"`{' '.join(words) or 'as it is'}` {told_value(value)}"
                         for words, value in one.choices)
        lines.append(f"- {one.row.name}: {told}.")
    if not lines:
        return []
    first = ", ".join(map(str, seeds[:table.choose_seeds]))
    told = f"Chosen by the mean {table.metric} on validation over seeds {first}:"
    return ["", told, "", *lines]


def differing(settings: Sequence[Dict[str, str]]) -> List[str]:
    """Keys that have several values. Tries of an earlier revision may lack some."""
    keys = {key for one in settings for key in one}
    return sorted(key for key in keys if len({one[key] for one in settings if key in one}) > 1)


def notes_of(rows: Sequence[Chosen], seeds: Sequence[int]) -> List[str]:
    """What a reader must know before believing the rows."""
    notes = []
    left = [one.row.name for one in rows if not one.tries]
    if left:
        notes.append(f"- Not made: {', '.join(left)}.")
    for one in rows:
        name = one.row.name
        if one.row.grid and one.alternative is None:
            notes.append(f"- {name}: not all alternatives are finished, so none is chosen.")
        missing = [str(seed) for seed in seeds if seed not in one.tries]
        if not one.row.baseline and missing and one.tries:
            notes.append(f"- {name}: seeds {', '.join(missing)} are missing.")
        other = differing([line.get("resolved", {}) for line in one.tries.values()])
        if other:
            again = f"`--fresh --rows '{name}'` makes them anew"
            notes.append(f"- {name}: its tries differ in {', '.join(other)}; {again}.")
    samples = {line["samples"] for one in rows for line in one.tries.values() if "samples" in line}
    if len(samples) > 1:
        counts = ", ".join(map(str, sorted(samples)))
        notes.append(f"- Rows have other numbers of test samples ({counts}) and cannot be compared.")
    return ["", *notes] if notes else []


def part_of(table: Table, part: Part, rows: Sequence[Chosen], data: Dict[str, Prepared], seeds: Sequence[int]) \
        -> List[str]:
    lines = []
    if part.title:
        lines += ["", f"## {part.title}"]
    lines.append("")
    for name, one in data.items():
        size = one.size
        lines.append(f"- Data `{name}`: {size['users']:,} users, {size['items']:,} candidates, {size['events']:,} "
                     f"events, target `{size['target']}`, checksum {one.checksum}; {recipe(part.data[name])}")
    samples = sorted({line["samples"] for one in rows for line in one.tries.values() if "samples" in line})
    if samples:
        lines.append(f"- Test samples: {', '.join(f'{count:,}' for count in samples)}")
    truth = any("truth" in line for one in rows for line in one.tries.values())
    header = ["row", "what", f"validation {table.metric}", *(f"test {name}" for name in table.metrics)]
    if truth:
        header += [column for column, _ in table.truth]
    header += ["seeds", "time, s", "MiB"]
    shown = [row_of(table, one, truth) for one in rows if one.tries]
    lines += ["", *table_of(header, shown)]
    by_name = {one.row.name: one for one in rows}
    pairs = [pair_of(table, by_name[a], by_name[b]) for a, b in table.pairs if a in by_name and b in by_name]
    told = [pair for pair in pairs if pair is not None]
    if told:
        lines += ["", f"Differences of test {table.metric}, paired by seed:", ""]
        lines += table_of(["row", "against", "difference", "95 % interval", "relative", "95 % interval", "excludes 0",
                           "seeds"], told)
    return lines + choices_of(table, rows, seeds) + notes_of(rows, seeds)


def recipe(data: Data) -> str:
    def joined(words: Sequence[str]) -> str:
        return " ".join(shlex.quote(word) for word in words)

    if data.kind == "synth":
        text = f"`m3bsr data synth {joined(data.options)}`"
        options = data.import_options
    else:
        text = f"`{data.source}`"
        options = data.options
    if options:
        text += f", imported with `{joined(options)}`"
    if data.candidates:
        text += f", candidates are all items of {', '.join(data.candidates)}"
    return text


def conditions_of(table: Table, log: Log, shown: Sequence[dict], seeds: Sequence[int], command: str) -> List[str]:
    def of(key: str) -> str:
        return "; ".join(sorted({str(line[key]) for line in shown if line.get(key)}))

    # A try is one training or one baseline; a later line that only adds the test figures is none of its own.
    made = [line for line in log.lines if line.get("step") != "test"]
    trained = [line for line in made if line.get("step") != "baseline"]
    failed = [line for line in trained if "failed" in line]
    ranked = [line for line in log.lines if "test" in line and line.get("step") != "baseline"]
    dates = sorted(str(line["date"])[:10] for line in shown if "date" in line)
    lines = [
        f"- Made by `{command}`, from `{table.name}.ini` and `{table.settings.name}`.",
        f"- Seeds {', '.join(map(str, seeds))}. Figures are means ± standard deviations over seeds. Time is the mean of "
        f"a training ({of('threads') or '1'} thread(s); on `cpu` processor time), MiB the largest peak of its process.",
        "- Full ranking. Intervals are Student's, over seeds: they say what another seed would change, not what other "
        "users would.",
        f"- Settings are chosen on validation alone; the test split was ranked {len(ranked)} times for {len(trained)} "
        f"trainings ({len(failed)} failed), all of them in `{table.name}.tries.jsonl`.",
    ]
    if shown:
        when = " to ".join(sorted({dates[0], dates[-1]}))
        revision = of("revision") or "unknown"
        lines.append(f"- {of('version')}, revision {revision}; {of('machine')}; {of('device')}; {when}.")
    return lines


def write(table: Table, log: Log, parts: Sequence[Tuple[Part, List[Chosen], Dict[str, Prepared]]], seeds: Sequence[int],
          command: str) -> str:
    shown = [line for _, rows, _ in parts for one in rows for line in one.tries.values()]
    lines = [f"# {table.title}"]
    if table.about:
        lines += ["", table.about]
    lines += ["", *conditions_of(table, log, shown, seeds, command)]
    for part, rows, data in parts:
        lines += part_of(table, part, rows, data, seeds)
    return "\n".join(lines) + "\n"
