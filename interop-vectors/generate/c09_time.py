"""09-time: transcripts in which time or order decides: freshness, intents, and two units under one key."""

from . import envelope as e
from .c03_lives import HEAD, ROOT
from .c06_lives import PLACE
from .collection import Collection
from .encoding import encode
from .keys import SIGNERS, blob

MAX_AGE_MS = 900_000
MINUTE = 60_000
NONCES = [blob(f"own nonce {place}", 16) for place in range(4)]
LIMIT = 1 << 20


def scenario(file, name, spec, comment, flag, steps, **fields):
    """Adds a transcript: valid when every step is, else refused by the one reject that occurs."""
    errors = {step["error"] for step in steps if "error" in step}
    for step in steps:
        step["result"] = "invalid" if "error" in step else "valid"
    assert len(errors) <= 1, name
    if errors:
        file.invalid(name, errors.pop(), spec, comment, [flag], steps=steps, **fields)
    else:
        file.valid(name, spec, comment, [flag], steps=steps, **fields)


def freshness():
    """Returns the file of heartbeats over time."""
    file = Collection("09-time/freshness.json", "freshness.watch", "what a reader asks and hears, in order; `at_ms` is its own clock since boot, `stale` what it shows after the step")

    def add(name, comment, *steps, role="writer"):
        signer = "writer" if role == "writer" else "device-a"
        fields = {"role": role, "public_key": SIGNERS[signer].public, **PLACE, "max_age_ms": MAX_AGE_MS}
        scenario(file, f"freshness-{name}", "#heartbeat", comment, "freshness", list(steps), **fields)

    def ask(at_ms, place, stale):
        return {"at_ms": at_ms, "ask": NONCES[place], "stale": stale}

    def look(at_ms, stale):
        return {"at_ms": at_ms, "stale": stale}

    def hear(at_ms, uptime, hearing, stale, echo=None, start=None, signer="writer", role="writer", error=None, **change):
        echo = None if echo is None else NONCES[echo]
        payload = encode([start or e.START, uptime, *HEAD, echo, None])
        message = e.heartbeat(HEAD, ROOT, payload=payload, signer=signer, role=role, **change)
        step = {"at_ms": at_ms, "heartbeat": message.tagged, "hearing": hearing, "stale": stale}
        if error:
            del step["hearing"]
            step["error"] = error
        return step

    other = blob("another start", 8)
    day = 86_400_000
    add("never-asked", "without an anchor a reader is stale", look(0, True), hear(10, 5, "unproven", True), look(MINUTE, True))
    add("echo-anchors", "from the moment of the ask", ask(1_000, 0, True), hear(1_080, day, "anchored", False, 0), look(1_000 + MAX_AGE_MS, False), look(1_001 + MAX_AGE_MS, True))
    add("echo-kept-back", "an echo that comes late is as old as its question", ask(0, 0, True), hear(MAX_AGE_MS, day, "anchored", False, 0), look(MAX_AGE_MS + 1, True))
    add("echo-of-a-stranger", "somebody else asked", ask(0, 0, True), hear(50, day, "unproven", True, 1))
    add("echo-of-an-earlier-boot", "the nonce was asked before this boot", look(0, True), hear(50, day, "unproven", True, 0))
    add("echo-twice", "a nonce anchors once; the copy does not move anything", ask(0, 0, True), hear(50, day, "anchored", False, 0), hear(800_000, day, "unproven", False, 0), look(MAX_AGE_MS + 1, True))
    add("echo-of-an-older-question", "the answer to a later one ends it", ask(0, 0, True), ask(5_000, 1, True), hear(5_050, day, "anchored", False, 1), hear(5_100, day + 1, "later", False, 0))
    beats = [hear(50 + place * 600_000, day + place * 600_000, "later" if place else "anchored", False, None if place else 0) for place in range(5)]
    add("later-keeps-fresh", "heartbeats on time keep what an echo anchored", ask(0, 0, True), *beats, look(3_000_000, False), look(4 * 600_000 + MAX_AGE_MS + 1, True))
    drip = [hear(50 + place * 600_000, day + place * MINUTE, "later", place * 540_000 > MAX_AGE_MS) for place in range(1, 5)]
    add("slow-drip", "kept heartbeats, one for each ten minutes of ours, show that their minutes are old", ask(0, 0, True), hear(50, day, "anchored", False, 0), *drip)
    add("replayed", "the same uptime, and a lower one", ask(0, 0, True), hear(50, day, "anchored", False, 0), hear(600_000, day, "unproven", False), hear(600_001, day - 1, "unproven", False), look(MAX_AGE_MS + 1, True))
    add("restarted-writer", "another start proves nothing until it echoes", ask(0, 0, True), hear(50, day, "anchored", False, 0), hear(600_000, 9, "unproven", False, start=other), look(MAX_AGE_MS + 1, True), ask(MAX_AGE_MS + 2, 1, True), hear(MAX_AGE_MS + 90, 300_000, "anchored", False, 1, start=other))
    add("fast-clock-saves-nothing", "a clock that runs ahead does not pay for a later silence", ask(0, 0, True), hear(50, day, "anchored", False, 0), hear(600_000, day + 900_000, "later", False), look(600_000 + MAX_AGE_MS, False), look(600_001 + MAX_AGE_MS, True))
    add("stale-then-echo", "an echo ends staleness at once", ask(0, 0, True), hear(50, day, "anchored", False, 0), look(2_000_000, True), ask(2_000_000, 1, True), hear(2_000_100, day + 2_000_000, "anchored", False, 1))
    add("of-device", "the controller reads the device by the same rule", ask(0, 0, True), hear(50, 7, "anchored", False, 0, signer="device-a", role="device"), look(MAX_AGE_MS + 1, True), role="device")
    add("forged-echo", "a right echo under another key changes nothing", ask(0, 0, True), hear(50, day, "unproven", True, 0, signer="other", labels={4: SIGNERS["writer"].kid}, error="signature-invalid"), look(60, True))
    add("echo-for-another-device", "signed for the device beside this one", ask(0, 0, True), hear(50, day, "unproven", True, 0, signed_aad=e.aad(4, device="press-8", plane=0), error="signature-invalid"), hear(60, day, "anchored", False, 0))
    add("forged-later", "an uptime that nobody signed", ask(0, 0, True), hear(50, day, "anchored", False, 0), hear(600_000, day + 600_000, "later", False, signer="other", labels={4: SIGNERS["writer"].kid}, error="signature-invalid"), look(MAX_AGE_MS + 1, True))
    return file


def intents():
    """Returns the file of intents over revisions."""
    file = Collection("09-time/intents.json", "intent.take", "the section `intent` of each accepted revision, the first one a snapshot; every action ends with status 0 before the next step, but where `ends` is false: there the process dies first. `shown` is the section `intent` of `actual` after the step. `actions` and `notes` (all but outcome 5) ascend by path")

    def add(name, comment, *steps):
        scenario(file, f"intent-{name}", "#intents", comment, "intents", list(steps))

    def step(intents, actions=(), notes=None, restart=False, **change):
        notes = [(path, value, 1) for path, value in actions] if notes is None else notes
        row = {"intents": {f"intent/{verb}": value for verb, value in intents.items()}}
        row["actions"] = [[f"intent/{verb}", value] for verb, value in actions]
        row["notes"] = [[f"intent/{verb}", value, outcome] for verb, value, outcome in notes]
        shown = change.pop("shown", None)
        if shown is not None:
            row["shown"] = {f"intent/{verb}": value for verb, value in shown.items()}
        return {**row, "restart": restart, **change}

    record = lambda **verbs: step(verbs, (), [(verb, value, 0) for verb, value in sorted(verbs.items())])
    add("first-sight", "the first snapshot records and fires nothing", record(restart=7))
    add("rise", "fires once", record(restart=7), step({"restart": 8}, [("restart", 8)]), step({"restart": 8}))
    add("rises-seen-together", "one action", record(restart=7), step({"restart": 12}, [("restart", 12)]))
    add("absent-counts-as-zero", "a verb that the first snapshot lacks", record(), step({"restart": 1}, [("restart", 1)]))
    add("restart-repeats-nothing", "taken and done outlive the process", record(restart=7), step({"restart": 8}, [("restart", 8)]), step({"restart": 8}, restart=True), step({"restart": 9}, [("restart", 9)]))
    add("lower", "noted once, never fired", record(restart=7), step({"restart": 3}, (), [("restart", 3, 2)]), step({"restart": 3}), step({"restart": 8}, [("restart", 8)]))
    add("removed-and-back", "a mark outlives removal", record(restart=7), step({}), step({"restart": 7}), step({"restart": 8}, [("restart", 8)]))
    add("jump-at-limit", "2^20 above is a rise", record(restart=7), step({"restart": 7 + LIMIT}, [("restart", 7 + LIMIT)]))
    add("jump-beyond-limit", "2^20 + 1 above is noted; the verb still works", record(restart=7), step({"restart": 8 + LIMIT}, (), [("restart", 8 + LIMIT, 3)]), step({"restart": 8}, [("restart", 8)]))
    for name, value in (("text", "8"), ("negative", -1), ("float", {"float": "4020000000000000"}), ("true", True), ("null", None)):
        add(f"of-{name}", "no unsigned integer", record(restart=7), step({"restart": value}, (), [("restart", 0, 4)]), step({"restart": 8}, [("restart", 8)]))
    add("two-verbs", "each counts alone", record(purge=1, restart=7), step({"purge": 2, "restart": 6}, [("purge", 2)], [("purge", 2, 1), ("restart", 6, 2)]))
    fired = lambda value: [("restart", value)]
    add("shown-when-ended", "a value that was recorded only is not shown", step({"restart": 7}, (), [("restart", 7, 0)], shown={}), step({"restart": 8}, fired(8), shown={"restart": 8}))
    add("interrupted", "an action whose end nobody saw has ended, and is not begun again", record(restart=7), step({"restart": 8}, fired(8), ends=False, shown={}), step({"restart": 8}, (), [("restart", 8, 7)], restart=True, shown={"restart": 8}), step({"restart": 8}, restart=True), step({"restart": 9}, fired(9), shown={"restart": 9}))
    add("interrupted-of-two", "each verb ends alone", record(purge=1, restart=7), step({"purge": 2, "restart": 7}, [("purge", 2)], shown={"purge": 2}), step({"purge": 2, "restart": 8}, fired(8), ends=False, shown={"purge": 2}), step({"purge": 2, "restart": 8}, (), [("restart", 8, 7)], restart=True, shown={"purge": 2, "restart": 8}))
    many = {f"v{place:02}": 1 for place in range(64)}
    add("verbs-64", "the last that is kept", record(**{name: 1 for name in list(many)[:63]}), step(many, [("v63", 1)]))
    add("verbs-65", "one too many", record(**many), step({**many, "w": 1}, (), [("w", 1, 6)]))
    return file


def clones():
    """Returns the file of reports of two units."""
    file = Collection("09-time/clones.json", "clone.show", "reports of one incarnation in the order in which they verify; `live` ones come in a session; `cloned` is what the controller shows after the step. Equal `content` is the same message")

    def add(name, comment, *rows):
        steps = []
        for epoch, rseq, content, live, outcome, cloned, *error in rows:
            steps.append({"epoch": epoch, "rseq": rseq, "content": content, "live": live, "outcome": outcome, "cloned": cloned})
            if error:
                steps[-1]["error"] = error[0]
        scenario(file, f"clone-{name}", "#clones", comment, "clones", steps)

    stale, twice = "report-stale", "equivocation"
    add("none", "one unit", (5, 1, 0, True, "accept", False), (5, 2, 1, True, "accept", False), (5, 2, 1, True, "duplicate", False))
    add("honest-restart", "a restart opens a higher epoch", (5, 9, 0, True, "accept", False), (6, 1, 0, True, "accept", False))
    add("gap", "numbers may be missing", (5, 1, 0, True, "accept", False), (5, 40, 0, True, "accept", False))
    add("lower-epoch", "the other unit goes on in its own", (5, 1, 0, True, "accept", False), (6, 1, 0, True, "accept", False), (5, 2, 0, True, "refuse", True, stale))
    add("same-number", "one number, two contents", (5, 1, 0, True, "accept", False), (5, 1, 1, True, "refuse", True, twice))
    add("stays-shown", "until the name is enrolled anew", (6, 1, 0, True, "accept", False), (5, 1, 0, True, "refuse", True, stale), (6, 2, 0, True, "accept", True))
    add("late-on-the-way", "a lower number of the same epoch waited somewhere", (5, 3, 0, True, "accept", False), (5, 2, 1, True, "refuse", False, stale))
    add("lower-epoch-in-a-file", "a file may be old", (6, 1, 0, True, "accept", False), (5, 9, 0, False, "refuse", False, stale))
    add("same-number-in-a-file", "a file proves no second unit that runs", (6, 1, 0, True, "accept", False), (6, 1, 1, False, "refuse", False, twice))
    return file


def build():
    """Returns the three files."""
    return [freshness(), intents(), clones()]
