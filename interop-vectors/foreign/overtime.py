"""Transcripts over time: freshness, intents, clones."""

from .cbor import Refused, ensure, read
from .envelope import untag, verify_envelope
from .session import aad, steps

PLANES = {"writer": 0, "device": 1}
JUMP_MAX = 1 << 20
VERBS_MAX = 64
NONCES_MAX = 4


class Watch:
    """How old the word of a writer is at most."""

    def __init__(self, max_age):
        self.max_age, self.asked, self.anchor = max_age, [], None

    def hear(self, now, start, uptime, echo):
        """Returns what a heartbeat proves."""
        places = [place for place, (nonce, _) in enumerate(self.asked) if nonce == echo]
        if places:
            self.anchor = [start, uptime, self.asked[places[0]][1], uptime]
            self.asked = self.asked[places[0] + 1:]
            return "anchored"
        if self.anchor is None or self.anchor[0] != start or uptime <= self.anchor[3]:
            return "unproven"
        self.anchor[3] = uptime
        if uptime - self.anchor[1] > now - self.anchor[2]:
            self.anchor[1:3] = [uptime, now]
        return "later"

    def stale(self, now):
        """Tells whether the writer may have been silent for too long."""
        if self.anchor is None:
            return True
        _, first, own, newest = self.anchor
        return (now - own) - (newest - first) > self.max_age


def freshness(test):
    """Judges heartbeats over time."""
    watch, plane = Watch(test["max_age_ms"]), PLANES[test["role"]]
    root, incarnation, key = (bytes.fromhex(test[name]) for name in ("root", "incarnation", "public_key"))
    place = aad(4, root, test["tenant"], test["device"], incarnation, plane)

    def action(row):
        now = row["at_ms"]
        try:
            if "ask" in row:
                watch.asked = (watch.asked + [(bytes.fromhex(row["ask"]), now)])[-NONCES_MAX:]
            if "heartbeat" in row:
                opened, _, _, _ = verify_envelope(untag(bytes.fromhex(row["heartbeat"])), test["role"], plane, place, [key])
                ensure(opened.kind == 4, "kind-unknown")
                start, uptime, _, _, echo, _ = read(opened.payload)
                assert watch.hear(now, start, uptime, echo) == row["hearing"], row
        finally:
            assert watch.stale(now) == row["stale"], row

    steps(test["steps"], action)


def intents(test):
    """Judges intents over revisions."""
    taken, noted, first, shown, running = {}, set(), [True], {}, {}

    def judge(path, value):
        """Returns the outcome of one path, or None."""
        if type(value) is not int or value < 0:
            return 4
        mark = taken.get(path, 0)
        if value == mark:
            return None
        if value < mark:
            return 2
        if path not in taken and len(taken) >= VERBS_MAX:
            return 6
        return 3 if value - mark > JUMP_MAX else 1

    def action(row):
        actions, notes = [], []
        if row["restart"]:
            notes += [[path, value, 7] for path, value in sorted(running.items())]
            shown.update(running)
            running.clear()
        for path, value in sorted(row["intents"].items()):
            if first[0]:
                taken[path] = value
                notes.append([path, value, 0])
                continue
            outcome = judge(path, value)
            if outcome == 1:
                taken[path] = value
                actions.append([path, value])
                notes.append([path, value, 1])
            elif outcome is not None and (path, str(value)) not in noted:
                noted.add((path, str(value)))
                notes.append([path, 0 if outcome == 4 else value, outcome])
        first[0] = False
        (shown if row.get("ends", True) else running).update(actions)
        assert row.get("shown", shown) == shown, (test["name"], shown)
        assert [actions, notes] == [row["actions"], row["notes"]], (test["name"], actions, notes)

    steps(test["steps"], action)


def clones(test):
    """Judges reports of two units."""
    held, cloned = [None], [False]

    def action(row):
        number, last = (row["epoch"], row["rseq"]), held[0]
        refusal, outcome = None, "accept"
        if last and number < last[0]:
            refusal = "report-stale"
            cloned[0] |= row["live"] and number[0] < last[0][0]
        elif last and number == last[0] and row["content"] != last[1]:
            refusal = "equivocation"
            cloned[0] |= row["live"]
        elif last and number == last[0]:
            outcome = "duplicate"
        else:
            held[0] = (number, row["content"])
        assert [row["outcome"], row["cloned"]] == ["refuse" if refusal else outcome, cloned[0]], test["name"]
        if refusal:
            raise Refused(refusal)

    steps(test["steps"], action)
