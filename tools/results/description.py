"""Descriptions of tables: NAME.ini. RESULTS.md says what each key means.

A table has parts (tables below each other, such as levels of noise), data sets, rows, and pairs of rows to compare.
Keys of a [part] are put for {key} into [data] and [row] values.
"""

import configparser
import shlex
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple


class Wrong(Exception):
    """Something that the user can mend; the text says how."""


class Data(NamedTuple):
    name: str
    kind: str  # "synth" or "import"
    source: str  # import: the folder below --data
    options: Tuple[str, ...]  # of `m3bsr data synth` or `m3bsr data import`
    import_options: Tuple[str, ...]  # synth: of the import that follows
    candidates: Tuple[str, ...]  # behaviors whose items are all candidates; empty: those of the set

    def recipe(self) -> List[object]:
        return [self.kind, self.source, self.options, self.import_options, self.candidates]


class Row(NamedTuple):
    name: str
    about: str
    baseline: str  # "", "popularity", "trend" or "itemknn"
    data: str
    settings: Tuple[str, ...]  # key=value
    grid: Tuple[Tuple[str, ...], ...]  # alternatives, each further key=value; empty: none


class Part(NamedTuple):
    name: str
    title: str
    data: Dict[str, Data]
    rows: List[Row]


class Table(NamedTuple):
    name: str
    title: str
    about: str
    settings: Path
    metric: str
    metrics: Tuple[str, ...]
    truth: Tuple[Tuple[str, str], ...]  # column, dotted path
    seeds: Tuple[int, ...]
    choose_seeds: int
    pairs: Tuple[Tuple[str, str], ...]
    short_seeds: Tuple[int, ...]
    short_settings: Tuple[str, ...]
    parts: List[Part]


METRICS = tuple(f"{name}@{k}" for name in ("hr", "ndcg", "mrr") for k in (5, 10, 20))
KEYS = {
    "table": {"title", "about", "settings", "metric", "metrics", "truth", "seeds", "choose_seeds", "pairs"},
    "short": {"seeds", "set"},
    "data": {"synth", "import", "options", "candidates"},
    "row": {"about", "baseline", "data", "set", "grid", "parts"},
}


def words(text: str) -> Tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def numbers(text: str, where: str) -> Tuple[int, ...]:
    if not words(text) or not all(word.isdecimal() for word in words(text)):
        raise Wrong(f"{where}: '{text}' is no list of seeds; write 1,2,3")
    return tuple(int(word) for word in words(text))


def lines(text: str) -> List[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


class Reader:
    """One file; its methods put a part's values into texts and check what they find."""

    def __init__(self, path: Path, defined: Dict[str, str]):
        self.path = path
        self.defined = defined  # over the keys of parts
        self.ini = configparser.ConfigParser(interpolation=None, default_section="", delimiters=("=",))
        self.ini.optionxform = str  # keys keep their letters
        try:
            with path.open(encoding="utf-8") as file:
                self.ini.read_file(file)
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            raise Wrong(f"{path}: {error}") from None
        for section in self.ini.sections():
            self.check(section)
        if "table" not in self.ini:
            raise Wrong(f"{path}: there is no section [table]")

    def check(self, section: str) -> None:
        kind, _, name = section.partition(" ")
        if kind not in (*KEYS, "part") or bool(name) != (kind in ("data", "row", "part")):
            raise Wrong(f"{self.path}: [{section}] is no section; there are [table], [short], [part NAME], "
                        "[data NAME] and [row NAME]")
        if "," in name:
            raise Wrong(f"{self.path}: [{section}] has a comma in its name, where lists of names are split")
        for key in self.ini[section]:
            if kind != "part" and key not in KEYS[kind]:
                raise Wrong(f"{self.path}: [{section}] has no key '{key}'; it has {', '.join(sorted(KEYS[kind]))}")

    def named(self, kind: str) -> List[Tuple[str, configparser.SectionProxy]]:
        return [(section.partition(" ")[2], self.ini[section]) for section in self.ini.sections()
                if section.startswith(kind + " ")]

    def fill(self, text: str, values: Dict[str, str]) -> str:
        for key, value in values.items():
            text = text.replace("{" + key + "}", value)
        return text

    def assignments(self, text: str, where: str) -> Tuple[str, ...]:
        found = tuple(shlex.split(text))
        for one in found:
            if "=" not in one or one.startswith(("data=", "seed=")):
                raise Wrong(f"{self.path}: [{where}] cannot set '{one}'; write KEY=VALUE, without blanks, and not of "
                            "data or seed")
        return found

    def data(self, name: str, section: configparser.SectionProxy, values: Dict[str, str]) -> Data:
        def of(key: str) -> str:
            return self.fill(section.get(key, ""), values)

        if ("synth" in section) == ("import" in section):
            raise Wrong(f"{self.path}: [data {name}] needs one of synth = OPTIONS and import = FOLDER")
        options = tuple(shlex.split(of("options")))
        candidates = words(of("candidates"))
        if "synth" in section:
            return Data(name, "synth", "", tuple(shlex.split(of("synth"))), options, candidates)
        return Data(name, "import", of("import"), options, (), candidates)

    def row(self, name: str, section: configparser.SectionProxy, values: Dict[str, str], data: List[str]) -> Row:
        where = f"row {name}"
        row = Row(name, section.get("about", ""), section.get("baseline", ""), section.get("data", data[0]),
                  self.assignments(self.fill(section.get("set", ""), values), where),
                  tuple(self.assignments(self.fill(line, values), where) for line in lines(section.get("grid", ""))))
        if row.baseline not in ("", "popularity", "trend", "itemknn"):
            raise Wrong(f"{self.path}: [{where}] has no baseline '{row.baseline}'; there are popularity, "
                        "trend and itemknn")
        if row.baseline and (row.settings or row.grid):
            raise Wrong(f"{self.path}: [{where}] is a baseline, which has no settings; leave out set and grid")
        if row.data not in data:
            raise Wrong(f"{self.path}: [{where}] has no data '{row.data}'; there are {', '.join(data)}")
        return row

    def parts(self) -> List[Part]:
        found = []
        known = [name for name, _ in self.named("part")]
        datas = self.named("data")
        if not datas or not self.named("row"):
            raise Wrong(f"{self.path}: a table needs a [data NAME] and a [row NAME]")
        for name, section in self.named("row"):
            for part in words(section.get("parts", "")):
                if part not in known:
                    raise Wrong(f"{self.path}: [row {name}] is for the part '{part}'; there are {', '.join(known)}")
        for name, given in [(name, dict(section)) for name, section in self.named("part")] or [("", {})]:
            unknown = self.defined.keys() - given.keys()
            if unknown:
                raise Wrong(f"--define: the part '{name}' has no key '{min(unknown)}'; it has "
                            f"{', '.join(given) or 'none'}")
            values = {**given, **self.defined}
            data = {key: self.data(key, section, values) for key, section in datas}
            rows = [self.row(key, section, values, list(data)) for key, section in self.named("row")
                    if name in words(section.get("parts", name)) or "parts" not in section]
            found.append(Part(name, values.get("title", name), data, rows))
        return found


def read(path: Path, defined: Dict[str, str]) -> Table:
    """@param defined  Values over the keys of all parts."""
    reader = Reader(path, defined)
    table = reader.ini["table"]
    short = reader.ini["short"] if "short" in reader.ini else {}
    parts = reader.parts()
    metric = table.get("metric", "ndcg@10")
    metrics = words(table.get("metrics", metric))
    for one in (metric, *metrics):
        if one not in METRICS:
            raise Wrong(f"{path}: there is no metric '{one}'; there are {', '.join(METRICS)}")
    if "settings" not in table:
        raise Wrong(f"{path}: [table] names no settings = FILE")
    rows = {row.name for part in parts for row in part.rows}
    pairs = []
    for line in lines(table.get("pairs", "")):
        first, _, second = (word.strip() for word in line.partition(" against "))
        if first not in rows or second not in rows:
            raise Wrong(f"{path}: '{line}' is no pair of rows; write ROW against ROW")
        pairs.append((first, second))
    truth = []
    for line in lines(table.get("truth", "")):
        column, _, place = (word.strip() for word in line.partition("="))
        if not column or not place:
            raise Wrong(f"{path}: '{line}' is no figure of the truth; write COLUMN = dotted.path")
        truth.append((column, place))
    seeds = numbers(table.get("seeds", "1,2,3,4,5"), f"{path}: [table]")
    choose = table.get("choose_seeds", "2")
    if not choose.isdecimal() or int(choose) < 1:
        raise Wrong(f"{path}: choose_seeds cannot be '{choose}'; give 1 or more")
    return Table(path.stem, table.get("title", path.stem), table.get("about", "").strip(),
                 path.parent / table["settings"], metric, metrics, tuple(truth), seeds, int(choose), tuple(pairs),
                 numbers(short.get("seeds", "1,2"), f"{path}: [short]"),
                 reader.assignments(short.get("set", "epochs=1"), "short"), parts)
