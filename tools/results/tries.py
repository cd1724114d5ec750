"""Tries: one training with its figures each, the log that keeps them, and the commands that make them."""

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from description import Data, Part, Row, Table, Wrong

Key = Tuple[str, str, Optional[int], str]  # checksum of the data, settings, seed, version


class Try(NamedTuple):
    part: Part
    row: Row
    alternative: Tuple[str, ...]  # settings of the grid on top of the row's
    seed: Optional[int]  # a baseline has none
    rank: bool  # on the test split too

    def settings(self) -> Tuple[str, ...]:
        return (*self.row.settings, *self.alternative)


class Prepared(NamedTuple):
    """A data set file, or with --table-only what the log says of it."""

    checksum: str
    size: Dict[str, object]  # users, items, events, target
    path: Optional[Path] = None
    truth: Optional[Path] = None  # folder


def digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def yaml_lines(path: Path) -> List[str]:
    """What a settings file says, without comments, data and seed, which a try gives itself."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from None
    kept = (re.sub(r"(^|\s)#.*", "", line).rstrip() for line in text.splitlines())
    return [line for line in kept if line and not re.match(r"(data|seed)\s*:", line)]


FROM_DATA = {"data", "seed", "behaviors", "modalities", "length", "items"}  # a try gives them, or its set


def resolved_settings(path: Path) -> Dict[str, str]:
    """All settings of a run, defaults too, but for those that its data give."""
    found = re.findall(r"^(\w+): (.*?)(?:  # .*)?$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {key: value.strip('"') for key, value in found if key not in FROM_DATA}


def current_defaults() -> Dict[str, str]:
    """The defaults of this source tree, which m3bsr-config(5) lists; none elsewhere."""
    page = Path(__file__).parents[1] / "man" / "m3bsr-config.5.scd"
    if not page.exists():
        return {}
    found = re.findall(r"^\*([\w\\]+)\* \((.*)\)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {key.replace("\\", ""): "" if value == "empty" else value for key, value in found}


def changed_default(line: dict, given: Set[str], defaults: Dict[str, str]) -> Optional[Tuple[str, str, str]]:
    """A key that a try took by a default which is another one by now, with both values. A key that is newer than the
    try is none: a new key's default does what was done before, or its change of the code is told by the revision."""
    for key, was in line.get("resolved", {}).items():
        if key not in given and defaults.get(key, was) != was:
            return key, was, defaults[key]
    return None


def keys_of(assignments: Iterable[str]) -> Set[str]:
    return {re.split("[:=]", one, maxsplit=1)[0].strip() for one in assignments}


def base_settings(table: Table) -> List[str]:
    """What all rows begin with: the settings file, and the table's metric, which also chooses the epoch."""
    return [*yaml_lines(table.settings), f"metric={table.metric}"]


def settings_key(base: Sequence[str], row: Row, alternative: Sequence[str]) -> str:
    return digest(["baseline", row.baseline] if row.baseline else [base, row.settings, alternative])


class Log:
    """tries.jsonl: a line a try, appended when it ends. The last line of a key counts; a failed try is none."""

    def __init__(self, path: Path):
        self.path = path
        self.lines: List[dict] = []
        self.by_key: Dict[Key, dict] = {}
        self.failed: Set[Key] = set()
        self.lock = threading.Lock()
        if not path.exists():
            return
        for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                self.note(json.loads(text))
            except (ValueError, KeyError, TypeError):
                print(f"{path}:{number}: is no line of a try, as after a crash; left out")

    @staticmethod
    def key(line: dict) -> Key:
        return line["checksum"], line["settings"], line["seed"], line["version"]

    def note(self, line: dict) -> None:
        key = self.key(line)
        if "failed" in line:
            self.failed.add(key)
        else:
            self.by_key[key] = line
        self.lines.append(line)

    def append(self, line: dict) -> None:
        """One write of one line, so that lines never mix and a crash cuts none but the last."""
        with self.lock:
            self.note(line)
            text = (json.dumps(line) + "\n").encode()
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                if os.fstat(file).st_size > 0 and not ends_with_newline(self.path):
                    text = b"\n" + text  # the line before was cut short
                if os.write(file, text) != len(text):
                    raise Wrong(f"{self.path}: a line was not written whole; is the disk full?")
            finally:
                os.close(file)


def ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


class Interrupted(Exception):
    pass


class Ended(NamedTuple):
    status: int
    out: str
    said: str
    seconds: float
    cpu: float  # seconds of all threads
    mib: float  # peak of the resident memory


class Tool:
    """The command m3bsr. Commands run side by side; stop() ends them all."""

    def __init__(self, path: str):
        self.path = path
        self.running: Dict[int, subprocess.Popen] = {}
        self.lock = threading.Lock()
        self.stopped = False
        self.version = self.text("--version").strip()

    def run(self, *arguments: object) -> Ended:
        words = [self.path, *map(str, arguments)]
        begin = time.monotonic()
        with open_nameless() as out, open_nameless() as said:
            with self.lock:
                if self.stopped:
                    raise Interrupted
                try:
                    child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=said)
                except OSError as error:
                    raise Wrong(f"{self.path}: {error.strerror}; build m3bsr, or name it in M3BSR") from None
                self.running[child.pid] = child
            _, status, usage = os.wait4(child.pid, 0)
            with self.lock:
                del self.running[child.pid]
            child.returncode = os.waitstatus_to_exitcode(status)
            # A terminal's Ctrl-C goes to the commands too, which may end before this process hears of it.
            if self.stopped or child.returncode in (130, -signal.SIGINT, -signal.SIGTERM):
                raise Interrupted
            return Ended(child.returncode, read_all(out), read_all(said), time.monotonic() - begin,
                         usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)

    def text(self, *arguments: object) -> str:
        ended = self.run(*arguments)
        if ended.status != 0:
            command = " ".join(["m3bsr", *map(str, arguments)])
            raise Wrong(f"`{command}` ended with status {ended.status}: {ended.said.strip()[-2000:]}")
        return ended.out

    def json(self, *arguments: object) -> dict:
        return json.loads(self.text(*arguments, "--json"))

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            for child in self.running.values():
                os.kill(child.pid, signal.SIGKILL)  # what it has made by now is not used


def open_nameless():
    return open(os.memfd_create("m3bsr"), "w+b")


def read_all(file) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


class Workshop:
    """Makes data sets and tries in a folder, for one table."""

    def __init__(self, tool: Tool, table: Table, folder: Path, sources: Optional[Path], threads: int, backend: str):
        self.tool = tool
        self.table = table
        self.folder = folder.resolve()
        self.sources = sources
        self.threads = threads
        self.backend = backend
        self.base = base_settings(table)
        self.conditions = {"version": tool.version, "revision": revision(), "machine": machine(), "threads": threads}

    # Data.

    def prepare(self, part: Part) -> Dict[str, Prepared]:
        """The data sets that rows of a part use. They are made anew each time, which takes seconds: the checksum tells
        whether they are those of earlier tries."""
        used = {row.data for row in part.rows}
        found = {name: self.make(data) for name, data in part.data.items() if name in used}
        counts = {name: one.size["items"] for name, one in found.items()}
        if len(set(counts.values())) > 1:
            raise Wrong(f"the data sets of the part '{part.name}' have other numbers of candidates: {counts}; rows "
                        "would not be comparable. `candidates = BEHAVIORS` makes all items of these behaviors "
                        "candidates")
        return found

    def make(self, data: Data) -> Prepared:
        place = self.folder / "data" / digest(data.recipe())
        place.mkdir(parents=True, exist_ok=True)
        source = self.source(data, place)
        options = data.options if data.kind == "import" else data.import_options
        if data.candidates:
            listed = place / "items.tsv"
            list_items(source / "interactions.tsv", data.candidates, listed)
            options = (*options, "--items", str(listed), "--keep-items")
        path = place / "set"
        described = self.tool.json("data", "import", source, "--out", path, "-q", *options)
        size = {key: described[key] for key in ("users", "items", "events", "target")}
        truth = source / "truth"
        return Prepared(described["checksum"], size, path, truth if truth.is_dir() else None)

    def source(self, data: Data, place: Path) -> Path:
        if data.kind == "import":
            if self.sources is None:
                raise Wrong(f"[data {data.name}] imports '{data.source}', which is not part of this project; name the "
                            "folder that it lies in with --data DIR or M3BSR_DATA")
            return self.sources / data.source
        source = place / "source"
        shutil.rmtree(source, ignore_errors=True)
        self.tool.text("data", "synth", "--out", source, "-q", *data.options)
        return source

    # Tries.

    def place(self, one: Try, data: Prepared) -> Path:
        return self.folder / "runs" / f"{self.settings(one)}-{data.checksum}-{one.seed}"

    def settings(self, one: Try) -> str:
        return settings_key(self.base, one.row, one.alternative)

    def key(self, one: Try, data: Prepared) -> Key:
        return data.checksum, self.settings(one), one.seed, self.tool.version

    def line(self, one: Try, data: Prepared) -> dict:
        return {"table": self.table.name, "part": one.part.name, "row": one.row.name, "set": list(one.settings()),
                "seed": one.seed, "data": one.row.data, "checksum": data.checksum, "size": data.size,
                "settings": self.settings(one), **self.conditions}

    def perform(self, one: Try, data: Prepared, known: Optional[dict]) -> dict:
        """Train, rank, or both: what the try needs and `known`, its line of the log, does not have."""
        if one.row.baseline:
            return self.rank_baseline(one, data)
        run = self.place(one, data)
        if known is not None and (run / "best.safetensors").exists():
            line = {**known, **self.conditions, "step": "test"}
        else:
            line = {**self.line(one, data), **self.train(one, data, run), "step": "train"}
            if one.rank:
                line["step"] = "train and test"
        if one.rank and "failed" not in line:
            try:
                line.update(self.rank(run, data))
            except Wrong as wrong:
                line["failed"] = self.without_folders(str(wrong))
        line["date"] = time.strftime("%Y-%m-%d %H:%M:%S")
        return line

    def without_folders(self, said: str) -> str:
        """The end of what was said, for the log, which is kept with the project: no place of this machine."""
        for place, name in ((self.folder, "WORK"), (self.sources, "DATA"), (Path(__file__).parents[2], ".")):
            if place is not None:
                said = said.replace(str(Path(place).resolve()), name).replace(str(place), name)
        return said[-500:]

    def train(self, one: Try, data: Prepared, run: Path) -> dict:
        shutil.rmtree(run, ignore_errors=True)
        run.parent.mkdir(parents=True, exist_ok=True)
        given = (f"metric={self.table.metric}", *one.settings(), f"data={data.path}")
        options = [word for text in given for word in ("--set", text)]
        ended = self.tool.run("train", self.table.settings, "--out", run, *options, "--seed", one.seed, "--threads",
                              self.threads, "--backend", self.backend, "-q", "--json")
        if ended.status != 0:
            return {"failed": self.without_folders(ended.said.strip()) or f"status {ended.status}",
                    "seconds": round(ended.seconds, 2)}
        result = json.loads(ended.out)
        with (run / "log.jsonl").open(encoding="utf-8") as log:
            device = json.loads(log.readline())["device"]
        return {"valid": json.loads((run / "metrics.json").read_text())["valid"], "epochs": result["epochs"],
                "best_epoch": result["best_epoch"], "seconds": round(ended.seconds, 2), "cpu": round(ended.cpu, 2),
                "mib": round(ended.mib, 1), "device": device, "resolved": resolved_settings(run / "settings.yaml")}

    def rank(self, run: Path, data: Prepared) -> dict:
        if not run.is_dir() or not (run / "best.safetensors").exists():
            return {}  # its training failed, or had no validation sample
        words = ("evaluate", run, "--split", "test", "--threads", self.threads, "--backend", self.backend, "-q")
        found = {}
        if data.truth is not None and self.table.truth:
            try:
                ranked = self.tool.json(*words, "--truth", data.truth)
                found["truth"] = {key: value for key, value in ranked["truth"].items() if key != "folder"}
            except Wrong as wrong:  # the metrics do not depend on it
                found["truth_failed"] = self.without_folders(str(wrong))
                ranked = self.tool.json(*words)
        else:
            ranked = self.tool.json(*words)
        return {"samples": ranked["samples"], "test": ranked["full"][0]["model"], "uni99": ranked["uni99"][0]["model"],
                **found}

    def rank_baseline(self, one: Try, data: Prepared) -> dict:
        line = self.line(one, data)
        for split, name in (("valid", "valid"), ("test", "test")):
            ranked = self.tool.json("evaluate", data.path, "--baselines", "--split", split, "-q")
            line[name] = ranked["full"][0][one.row.baseline]
        if one.row.baseline == "itemknn":
            line["damping"] = ranked["itemknn_damping"]
        if one.row.baseline == "trend":
            line["half_life"] = ranked["trend_half_life"]
        line.update(samples=ranked["samples"], uni99=ranked["uni99"][0][one.row.baseline], step="baseline",
                    date=time.strftime("%Y-%m-%d %H:%M:%S"))
        return line

    def clear(self, runs: Iterable[Path]) -> None:
        for run in runs:
            shutil.rmtree(run, ignore_errors=True)


def list_items(interactions: Path, behaviors: Sequence[str], to: Path) -> None:
    """An items file with the items of these behaviors: `import --keep-items` makes them candidates."""
    try:
        with interactions.open(encoding="utf-8-sig") as file:
            header = file.readline().rstrip("\r\n").split("\t")
            item, behavior = header.index("item_id"), header.index("behavior")
            rows = (line.rstrip("\r\n").split("\t") for line in file)
            items = {row[item] for row in rows if len(row) == len(header) and row[behavior] in behaviors}
    except OSError as error:
        raise Wrong(f"{interactions}: {error.strerror}") from None
    except ValueError:
        raise Wrong(f"{interactions}: candidates need the columns item_id and behavior") from None
    to.write_text("item_id\n" + "".join(f"{one}\n" for one in sorted(items)), encoding="utf-8")


def revision() -> str:
    """Of the source tree, with a + where sources differ from it; "" outside of a clone."""
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=Path(__file__).parents[2], check=True, capture_output=True,
                              text=True).stdout.strip()
    try:
        sources = ("core", "backends", "plugins", "shaders", "include", "tools/m3bsr")
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--", *sources) else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine() -> str:
    name = platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{name}, {len(os.sched_getaffinity(0))} cores"
