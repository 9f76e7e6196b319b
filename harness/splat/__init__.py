# SPDX-License-Identifier: GPL-2.0-only
"""Console text -> Splats: what the kernel reported about itself. Pure, streaming, bounded.

A report is recognised by its first line (signatures.py, anchored after printk's prefix), believed
once a line follows that only the real report prints, and read to its last line; how is said by its
`Family`. Most of a console is never split into lines: without one of WORDS there is nothing in it.
docs/splats.md lists the kinds and the limits.
"""

from dataclasses import replace

from harness.model import Splat
from harness.splat.families import SINGLE
from harness.splat.lines import LINE_MAX, Line, parse, unglue
from harness.splat.report import Report
from harness.splat.restart import Restarts, is_banner, told_of
from harness.splat.signatures import WORDS, find
from harness.splat.stream import HEADER_MAX, Stream

_STAMPED_CONSOLE = 4  # lines with a time: from then on one without is not the kernel's
_STAMPS_WITHIN = 3000
_SEEN_MAX = 1000
_STREAMS_MAX = 64
_USER = "user space"
_SMALL = b"abcdefghijklmnopqrstuvwxyz0123456789 "
_CAPITALS = {word: word.translate(None, _SMALL) for word in WORDS}


class SplatScanner:
    """Feed it the console in any pieces; what it answers does not depend on where they are cut.

    Splats come in the order of their first lines.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._line = 0
        self._stamped = 0
        self._timeless = False
        self._before: list[bytes] = []
        self._streams: dict[str, Stream] = {}
        self._restarts = Restarts()
        self._latest = 0.0
        self._seen: dict[tuple[str, str], None] = {}
        self._waiting: list[tuple[Report, bool]] = []
        self._boot_of_last = -1
        self._done: list[Splat] = []

    @property
    def line(self) -> int:
        """Number of lines seen, the one that is not ended yet included."""
        return self._line + bool(self._rest)

    @property
    def pending(self) -> Splat | None:
        """The report that is being read, as far as it goes, once it is known to be real.

        The last line of most reports can only be told by the line after it. For a caller that
        wants to know about a console that has gone silent.
        """
        known = [(one, one.ended or one.panicked) for one in self._open() if one.proven]
        known = [(report, whole) for report, whole in known if not report.quoted]
        both = sorted([*known, *self._waiting], key=lambda pair: pair[0].line_from)
        return self._build(*both[0]) if both else None

    def feed(self, chunk: bytes) -> tuple[Splat, ...]:
        """The splats that were completed since the last call."""
        data = self._rest + chunk
        end = data.rfind(b"\n") + 1
        self._rest = data[end:][:LINE_MAX]
        self._read_lines(data, end)
        return self._take()

    def finish(self) -> tuple[Splat, ...]:
        """The rest. A report without its end is not `complete`; a panic may just stop."""
        if self._rest:
            raw, self._rest = self._rest, b""
            self._look_back()
            self._read(raw)
        self._cut()
        return self._take()

    def _read_lines(self, data: bytes, end: int) -> None:
        """Go through whole lines; those that cannot matter are only counted."""
        start = 0
        words = _Words(data, end)
        while start < end:
            if self._idle:
                found = words.next_line(start)
                self._skip(data, start, found)
                start = found
                if start >= end:
                    return
            stop = data.find(b"\n", start)
            raw = data[start : min(stop, start + LINE_MAX)]
            if not self._idle:
                self._read(raw)
            elif _matters(raw):
                self._look_back()
                self._read(raw)
            else:
                self._skip(data, start, stop + 1)
            start = stop + 1

    def _skip(self, data: bytes, start: int, end: int) -> None:
        """Pass by quiet lines, but keep the last of them: a report may turn out to begin there."""
        self._line += data.count(b"\n", start, end)
        first = end
        for _ in range(HEADER_MAX):
            if first <= start:
                break
            first = data.rfind(b"\n", start, first - 1) + 1 or start
        lines = data[first:end].split(b"\n")[:-1]
        self._before = [*self._before, *(line[:LINE_MAX] for line in lines)][-HEADER_MAX:]

    def _look_back(self) -> None:
        """Read the quiet lines before one that is not."""
        before, self._before = self._before, []
        self._line -= len(before)
        for raw in before:
            self._read(raw)

    @property
    def _idle(self) -> bool:
        known = self._stamped >= _STAMPED_CONSOLE or self._line >= _STAMPS_WITHIN
        return (known or self._timeless) and not self._streams and not self._restarts.waiting

    def _read(self, raw: bytes) -> None:
        self._line += 1
        line = parse(raw, self._line)
        self._stamped += line.stamped
        bare = not line.stamped and self._stamped < _STAMPED_CONSOLE
        # printk.time=0: what has a time here comes from dmesg.
        self._timeless = self._timeless or (bare and is_banner(line.text))
        foreign = line.user or not (line.stamped or bare or self._timeless)
        doubtful = False
        if not line.stamped:
            glued = unglue(line)
            if glued is not None:
                line, doubtful, foreign = glued, True, False
        if self._restarts.see(line, foreign=foreign):
            self._cut(alive=line.text.startswith("reboot: "))
            self._latest = 0.0
            if self._restarts.certain:
                self._seen.clear()
                self._stamped, self._timeless = 0, False
        if (reboot := self._restarts.unexpected()) is not None:
            self._done.append(reboot)
        if foreign:
            if not _from_user(line.text) and _USER not in self._streams:
                self._age("")
                return
            line = replace(line, caller=_USER)
        self._hand_out(line, doubtful=doubtful)
        self._age(line.caller)
        if line.at is not None:
            self._latest = max(self._latest, line.at)

    def _hand_out(self, line: Line, *, doubtful: bool) -> None:
        stream = self._streams.get(line.caller) or self._gathering(line) or Stream(self._end)
        begun = stream.read(line, doubtful=doubtful)
        if begun is not None:
            self._begin(begun)
        if stream.idle:
            for caller in [one for one, known in self._streams.items() if known is stream]:
                del self._streams[caller]
        elif line.caller not in self._streams:
            self._streams[line.caller] = stream
            if len(self._streams) > _STREAMS_MAX:
                self._streams.pop(next(iter(self._streams))).cut()
        self._emit()

    def _gathering(self, line: Line) -> Stream | None:
        """A watchdog's report for which this CPU shows its stack."""
        if not line.caller or not line.text.startswith("NMI backtrace"):
            return None
        for stream in self._streams.values():
            if stream.report is not None and stream.report.family.gathers:
                return stream
        return None

    def _age(self, caller: str) -> None:
        """All but one stream were passed by."""
        if not self._streams:
            return
        own = self._streams.get(caller)
        for name, stream in list(self._streams.items()):
            if stream is not own:
                stream.pass_by()
                if stream.idle:
                    del self._streams[name]
        self._emit()

    def _begin(self, report: Report) -> None:
        """Was it printed before? Then something reads the log back, with its old times."""
        first = report.first
        report.boot = self._restarts.boots
        key = (first.stamp, first.text)
        if first.at is not None and key in self._seen:
            report.quoted = first.at < self._latest or report.family is SINGLE
        elif first.at is not None:
            self._seen[key] = None
            if len(self._seen) > _SEEN_MAX:
                del self._seen[next(iter(self._seen))]

    def _end(self, report: Report, complete: bool) -> None:
        self._waiting.append((report, complete))

    def _open(self) -> list[Report]:
        return [report for stream in self._streams.values() for report in stream.open]

    def _cut(self, *, alive: bool = False) -> None:
        for stream in set(self._streams.values()):
            stream.cut(alive=alive)
        self._streams.clear()
        self._emit()

    def _emit(self) -> None:
        """Give what is over, but nothing that began after a report that is still open."""
        if not self._waiting:
            return
        begun = [one.begun for one in self._streams.values() if not one.idle]
        limit = min(begun, default=self._line + 1)
        self._waiting.sort(key=lambda pair: pair[0].line_from)
        while self._waiting and self._waiting[0][0].line_from < limit:
            report, complete = self._waiting.pop(0)
            if report.quoted:
                continue
            splat = self._build(report, complete)
            self._boot_of_last = report.boot
            if splat.fatal:
                self._restarts.crashed = report.boot
            self._done.append(splat)

    def _build(self, report: Report, complete: bool) -> Splat:
        return report.build(complete=complete, first=report.boot != self._boot_of_last)

    def _take(self) -> tuple[Splat, ...]:
        done, self._done = tuple(self._done), []
        return done


class _Words:
    """Where the next line that may matter begins."""

    def __init__(self, data: bytes, end: int) -> None:
        self._data = data
        self._end = end
        self._next: dict[bytes, int] | None = None

    def next_line(self, start: int) -> int:
        """The start of the first line from `start` on with one of WORDS in it, or the end."""
        if self._next is None:
            self._next = dict.fromkeys(self._there(), -1)
        for word, at in self._next.items():
            if at < start:
                self._next[word] = self._find(word, start)
        first = min(self._next.values(), default=self._end)
        if first == self._end:
            return first
        return max(start, self._data.rfind(b"\n", start, first) + 1)

    def _there(self) -> list[bytes]:
        """The words that may be in the data. What has capitals is first looked for in a quarter
        of it, what is left of both without small letters: that cannot lose any."""
        left = self._data.translate(None, _SMALL)
        return [word for word, capitals in _CAPITALS.items() if capitals in left]

    def _find(self, word: bytes, start: int) -> int:
        at = self._data.find(word, start, self._end)
        return self._end if at < 0 else at


def _matters(raw: bytes) -> bool:
    """A line with one of WORDS in it does begin a report, or tells of a restart."""
    line = parse(raw, 0)
    glued = None if line.stamped else unglue(line)
    texts = [line.text, *([glued.text] if glued else [])]
    return any(find(text) is not None or told_of(text) for text in texts)


def _from_user(text: str) -> bool:
    """Reports that never come from printk: QEMU's, and what is read from debugfs's kmemleak."""
    return text == "Triple fault" or text.startswith(("BUG: memory leak", "unreferenced object 0x"))


def scan(data: bytes) -> tuple[Splat, ...]:
    """All splats of a whole console."""
    scanner = SplatScanner()
    return scanner.feed(data) + scanner.finish()
