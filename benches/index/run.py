"""Measures the libraries on one data set, side by side.

Every library is a process that stays until the end; one at a time works. Search is measured in
rounds, in each of which every library has its turn, so that a noisy neighbour hits all; what is
told is the median over the rounds.
"""

import statistics
import time

from processes import Worker

TARGETS = (0.95, 0.99, 0.999)
SHARES = (0.1, 0.01, 0.001)
FILTER_TARGET = 0.95
CURVE_STEP = 1.5  # a curve's knobs grow by this factor
BUILD_TURNS = 3  # of one thread and of two
BUILD_SECONDS = 40  # no more turns after so long


class Bench:
    def __init__(self, data_name, peers, *, rows, rounds, seconds, builds, say, log):
        self.data_name, self.names = data_name, peers
        self.rows, self.rounds, self.seconds = rows, rounds, seconds
        self.builds = builds  # threads of each build; the index of the last one is kept
        self.say, self.log = say, log
        self.libraries, self.figures = {}, {name: {} for name in peers}

    def run(self):
        """Return the figures of each peer, or why it has none."""
        try:
            for name in self.names:
                self.build(name)
            self.search()
            self.curves()
            for name in self.libraries:
                self.rest(name)
            return {"peers": self.figures, "scan": self.scan()}
        finally:
            for library in self.libraries.values():
                library.stop()

    def start(self, name, threads):
        library = Worker("index.worker", name, log=self.log)
        for reply in (library.first, library.ask("open", data_name=self.data_name, rows=self.rows)):
            if failure(reply):
                library.stop()
                return None, reply
        built = library.ask("build", threads=threads)
        if failure(built):
            library.stop()
            return None, built
        return library, {**reply, "build": built}

    def turns(self):
        """Yield the threads of one build after another."""
        start = time.perf_counter()
        for turn in range(BUILD_TURNS if len(self.builds) > 1 else 1):
            if turn and time.perf_counter() - start > BUILD_SECONDS:
                return
            yield from self.builds

    def build(self, name):
        figures, digests, library = self.figures[name], [], None
        least = figures.setdefault("least_build_s", {})
        for threads in self.turns():
            if library is not None:
                library.stop()
            library, reply = self.start(name, threads)
            if library is None:
                figures["skipped"] = failure(reply)
                self.say(f"{name}: skipped, {failure(reply)}")
                return
            figures["version"] = reply["version"]
            figures.setdefault("build", {}).setdefault(str(threads), reply["build"])
            wall = reply["build"]["wall_s"]
            least[str(threads)] = min(wall, least.get(str(threads), wall))
            digests.append(library.ask("digest").get("sha256"))
        if len(digests) > 1 and all(digests):
            figures["same_file"] = len(set(digests)) == 1
        figures["knobs"] = {str(target): library.ask("knob", target=target) for target in TARGETS}
        self.libraries[name] = library
        knobs = [knob.get("knob", "-") for knob in figures["knobs"].values()]
        self.say(f"{name}: built in {reply['build']['cpu_s']:.2f} CPU s, knobs {knobs}")

    def cells(self, name):
        """Yield what is measured of a library's search: its key and the command."""
        for target, found in self.figures[name]["knobs"].items():
            if "knob" not in found:
                continue
            knob = {"knob": found["knob"], "shape": found["shape"]}
            yield f"{target} batch", {**knob, "threads": 1, "how": "batch"}
            yield f"{target} single", {**knob, "threads": 1, "how": "single"}
            if float(target) == TARGETS[0]:
                yield f"{target} batch, 2 threads", {**knob, "threads": 2, "how": "batch"}

    def search(self):
        runs = {name: {} for name in self.libraries}
        for number in range(self.rounds):
            for name, library in self.libraries.items():
                for key, command in self.cells(name):
                    reply = library.ask("speed", seconds=self.seconds, **command)
                    runs[name].setdefault(key, []).append(reply)
            self.say(f"searched, round {number + 1} of {self.rounds}")
        for name, cells in runs.items():
            self.figures[name]["search"] = {key: summary(cell) for key, cell in cells.items()}

    def curves(self):
        """Recall against speed from the smallest knob past the one of the highest target."""
        for name, library in self.libraries.items():
            found = [knob for knob in self.figures[name]["knobs"].values() if "knob" in knob]
            if not found:
                continue
            points, knob, shape = [], float(library.ask("least")["least"]), found[-1]["shape"]
            while knob < CURVE_STEP * found[-1]["knob"]:
                points.append(
                    library.ask("curve", knob=int(knob), shape=shape, seconds=self.seconds / 2)
                )
                knob = max(knob * CURVE_STEP, knob + 1)
            self.figures[name]["curve"] = points
        self.say("measured the curves")

    def rest(self, name):
        library, figures = self.libraries[name], self.figures[name]
        figures["overhead"] = library.ask("overhead", seconds=self.seconds)
        figures["files"] = library.ask("files", repeats=max(1, self.rounds))
        figures["filtered"] = {
            str(share): library.ask(
                "filtered", share=share, target=FILTER_TARGET, seconds=self.seconds
            )
            for share in SHARES
        }
        self.say(f"{name}: measured calls, files and filters")

    def scan(self):
        """An int8 scan of the rows that a filter passes, in whichever process is there."""
        library = next(iter(self.libraries.values()), None)
        if library is None:
            return {}
        return {
            str(share): library.ask("scan", share=share, seconds=self.seconds) for share in SHARES
        }


def failure(reply):
    return reply.get("unsupported") or reply.get("error")


def summary(runs):
    """Return the medians over the rounds, and how far the rounds are apart."""
    failed = next((run for run in runs if failure(run)), None)
    if failed is not None:
        return failed
    figures = {"rounds": [run["wall_s"] for run in runs]}
    for clock in ("wall", "cpu"):
        seconds = statistics.median(run[f"{clock}_s"] for run in runs)
        figures[f"qps_{clock}"] = runs[0]["queries"] / seconds
    return figures
