"""Live sessions with the real controller and the real relay: python tests/live.py target/release [scenario ...].

Each scenario has a folder, keys and processes of its own, on loopback, and fails by an assertion.
"""

import json
import pathlib
import random
import signal
import sys
import tempfile
import time

from live_site import WAIT_S, Site, until
from proxy import ConnectProxy, InspectingProxy

TYPED = {"line/speed": 12, "temp": {"float": "4037000000000000"}, "fw/blob": {"bytes": "00ff"}, "ok": True}


def follow(site: Site) -> None:
    """The common part: values, a kill, a change while it is dead, a large state, actual and intents."""
    site.run_device("press-7")
    site.set("press-7", "line/speed", "12")
    assert site.read("press-7", "desired.json") == {"line/speed": 12}
    site.end("press-7", signal.SIGKILL)
    site.set("press-7", "line/speed", "13", wait=False)
    site.set("press-7", "line/name", '"süd"', wait=False)
    site.run_device("press-7", "--hold", "5")
    seen = site.wait_converged("press-7")
    assert site.read("press-7", "desired.json") == {"line/name": "süd", "line/speed": 13}
    assert seen["applied"]["seq"] == site.read("press-7", "status.json")["applied"]["seq"]
    large(site)
    write_actual(site)
    intents(site)
    until("fresh", lambda: not site.read("press-7", "status.json")["stale"])


def begin(site: Site) -> None:
    """A controller and one device that has applied a first value."""
    site.make_controller()
    site.join("press-7")
    site.run_device("press-7", "--hold", "5")
    site.set("press-7", "line/speed", "1")


def large(site: Site) -> None:
    """A state of many sections and some 300 KB, and an edit in the middle of a long text."""
    file = site.folder / "large.json"
    values = {f"recipe-{number:02}/text": f"{number}." * 9000 for number in range(16)}
    file.write_text(json.dumps({**values, "line/speed": 14}))
    site.of_controller("desired", "apply", "press-7", "-f", file, f"--wait={WAIT_S}")
    wanted = {**values, "line/speed": 14, "line/name": "süd"}
    assert site.read("press-7", "desired.json") == wanted, site.of_controller("desired", "get", "press-7")[-300:]
    values["recipe-03/text"] = values["recipe-03/text"].replace("3.3.3.", "3.4.3.", 1)
    file.write_text(json.dumps({**values, "line/speed": 14}))
    site.of_controller("desired", "apply", "press-7", "-f", file, f"--wait={WAIT_S}")
    assert site.read("press-7", "desired.json")["recipe-03/text"].startswith("3.4.3.")


def write_actual(site: Site) -> None:
    """What the device is reaches the controller, and a second change as well."""
    file = site.folder / "press-7" / "actual.json"
    for speed in (12, 15):
        file.write_text(json.dumps({**TYPED, "line/speed": speed}))
        until(f"actual {speed}", lambda: f"line/speed = {speed}\n" in actual_of(site))
    assert "temp = 23" in actual_of(site)


def actual_of(site: Site) -> str:
    """What the controller holds of the actual plane, as text; nothing yet is nothing."""
    try:
        return site.of_controller("actual", "get", "press-7")
    except AssertionError:
        return ""


def intents(site: Site) -> None:
    """Each intent happens once, and over a kill not again."""
    for value in (1, 2):
        site.of_controller("intent", "press-7", "restart")
        wanted = {"outcome": "finished", "status": 0, "value": value}
        until(f"intent {value}", lambda: site.seen("press-7")["intents"].get("restart") == wanted)
    site.end("press-7", signal.SIGKILL)
    site.run_device("press-7", "--hold", "5")
    site.set("press-7", "line/speed", "20")
    lines = (site.folder / "press-7" / "intents.jsonl").read_text().splitlines()
    assert lines == ['["intent/restart", 1]', '["intent/restart", 2]'], lines


def direct(site: Site) -> None:
    """A controller that listens."""
    site.make_controller()
    site.join("press-7")
    follow(site)


def relay(site: Site) -> None:
    """A controller that nobody can dial; everything goes through a relay, the enrolment too."""
    site.make_controller(listens=False)
    site.add_relay()
    site.join("press-7")
    follow(site)


def encrypted(site: Site) -> None:
    """Encryption is switched on in the middle, and keys are made new."""
    site.make_controller(listens=False)
    site.add_relay()
    site.join("press-7")
    site.run_device("press-7", "--hold", "5")
    site.set("press-7", "line/speed", "11")
    site.of_controller("controller", "encrypt", "press-7")
    site.set("press-7", "line/speed", "12")
    until("encrypted", lambda: site.read("press-7", "status.json")["encrypted"])
    site.end("press-7", signal.SIGKILL)
    follow(site)
    site.of_controller("controller", "encrypt", "press-7")
    site.set("press-7", "line/speed", "21")


def kills(site: Site) -> None:
    """Thirty kills at random instants, with decisions going on: nothing is lost and nothing goes back."""
    site.make_controller()
    site.join("press-7")
    seed = random.randrange(1 << 32)
    instants = random.Random(seed)
    print(f"kills: seed {seed}", flush=True)
    for round_number in range(30):
        site.run_device("press-7", "--hold", "5")
        for value in range(3):
            site.set("press-7", f"k{value}", str(round_number), wait=False)
        time.sleep(instants.uniform(0, 0.8))  # not for something to happen: a kill has to come at any instant
        site.end("press-7", signal.SIGKILL)
    site.run_device("press-7")
    site.wait_converged("press-7")
    assert site.read("press-7", "desired.json") == {f"k{value}": 29 for value in range(3)}
    assert site.seen("press-7")["cloned"] is None and site.seen("press-7")["evidence"] == 0


def keys(site: Site) -> None:
    """Every key changes once, the device's own too."""
    begin(site)
    for value, key in enumerate(("writer", "mailbox", "root", "recovery")):
        site.of_controller("controller", "rotate", key)
        site.set("press-7", "line/speed", str(10 + value))
        until("bundle", lambda: site.read("press-7", "status.json")["bundle"] == value + 2)
    site.end("press-7")
    before = site.seen("press-7")
    site.run_device("press-7", "--hold", "5", "--rotate-key")
    until("next key", lambda: not site.read("press-7", "status.json")["rotating"])
    site.end("press-7", signal.SIGKILL)
    site.run_device("press-7", "--hold", "5")
    site.set("press-7", "line/speed", "30")
    assert before["enrolled"] and site.seen("press-7")["cloned"] is None


def restore(site: Site) -> None:
    """A controller comes back from an old backup; the device proves what it holds, and it counts again."""
    begin(site)
    backup = site.folder / "backup"
    site.of_controller("controller", "backup", backup)
    site.set("press-7", "line/speed", "2")
    site.set("press-7", "line/name", '"x"')
    back(site, backup, "restored")
    until("adopted", lambda: "line/name" in site.of_controller("desired", "get", "press-7"))
    site.wait_converged("press-7")
    assert site.read("press-7", "desired.json") == {"line/name": "x", "line/speed": 2}
    site.set("press-7", "line/speed", "3")
    adopted = int(time.time())
    # Epochs come from a clock of seconds: the next one has to lie above the one just adopted.
    until("another second", lambda: int(time.time()) > adopted)
    back(site, backup, "again", '"y"')  # and once more, with a decision of its own before the device is heard
    until("conflict", lambda: (behind := site.seen("press-7")["behind"]) and behind["conflict"])
    site.of_controller("recover", "press-7", "--take", "controller")
    site.wait_converged("press-7")
    assert site.read("press-7", "desired.json") == {"line/name": "y", "line/speed": 1}


def back(site: Site, backup: pathlib.Path, name: str, decided: str | None = None) -> None:
    """Replaces the controller by its backup."""
    site.end("press-7")
    site.end("controller")
    site.controller = site.folder / name
    site.ask("controller", "restore", backup, "--dir", site.controller)
    site.run_controller()
    if decided is not None:
        site.set("press-7", "line/name", decided, wait=False)
    site.run_device("press-7", "--hold", "5")


def failover(site: Site) -> None:
    """The device finds the relay when the controller's door closes, and comes back to it."""
    site.make_controller()
    site.join("press-7")
    ca = site.add_relay()
    site.run_device("press-7", "--hold", "5", "--ca", ca)
    site.set("press-7", "line/speed", "1")
    until("bundle", lambda: site.read("press-7", "status.json")["bundle"] == 2)
    direct_url = site.read("press-7", "status.json")["mailbox"]
    listed = ("mailboxes", "--dir", site.folder / "relay")
    until("admission", lambda: "press-7" in site.ask(*listed, program=site.postern_relay))
    site.end("controller")
    until("relay", lambda: site.read("press-7", "status.json")["mailbox"] not in (None, direct_url))
    site.run_controller()
    site.set("press-7", "line/speed", "2")


def drain(site: Site) -> None:
    """A relay that is drained sends the device to the other one, which serves it at once."""
    site.make_controller(listens=False)
    site.add_relay()
    site.join("press-7")
    ca = site.add_relay("relay-2")
    site.run_device("press-7", "--ca", ca)
    site.set("press-7", "line/speed", "1")
    first = until("first", lambda: site.read("press-7", "status.json")["mailbox"])
    until("bundle", lambda: site.read("press-7", "status.json")["bundle"] == 3)
    listed = ("mailboxes", "--dir", site.folder / "relay-2")
    until("admission", lambda: "press-7" in site.ask(*listed, program=site.postern_relay))
    site.ask("drain", "--dir", site.folder / "relay", program=site.postern_relay)
    until("move", lambda: site.read("press-7", "status.json")["mailbox"] not in (None, first))
    site.set("press-7", "line/speed", "2")


def proxy(site: Site) -> None:
    """By a CONNECT proxy, the enrolment too; without it nothing passes."""
    site.make_controller()
    with ConnectProxy() as way:
        site.join("press-7", "--proxy", way.url)
        site.run_device("press-7", "--proxy", way.url)
        site.set("press-7", "line/speed", "1")
        assert way.tunnels >= 2, way.tunnels


def inspected(site: Site) -> None:
    """By a proxy that looks into TLS: not without its CA, and what it changes is refused and comes again."""
    site.make_controller()
    with InspectingProxy(site.folder) as way:
        options = ("--proxy", way.url, "--ca", way.ca)
        site.join("press-7", *options)
        site.run_device("press-7", *options)
        site.set("press-7", "line/speed", "1")
        way.changes_left = 1
        site.set("press-7", "line/name", json.dumps("x" * 500))
        rejects = site.read("press-7", "status.json")["rejects"]
        assert (way.changes_left, rejects) == (0, {"session-mac": 1}), rejects
        site.end("press-7")
        site.run_device("press-7", "--proxy", way.url)
        until("refusal", lambda: "SSLError" in (site.folder / "press-7.log").read_text())
        assert site.read("press-7", "status.json")["mailbox"] is None


def rejoin(site: Site) -> None:
    """A name is enrolled anew: the old life is over, the new one starts with nothing."""
    begin(site)
    site.end("press-7")
    (site.folder / "press-7").rename(site.folder / "old")
    site.join("press-7")
    site.run_device("press-7", "--hold", "5")
    site.set("press-7", "line/speed", "2")
    site.run_device("old")
    until("refused", lambda: site.read("old", "status.json")["mailbox"] is None)
    assert site.read("old", "desired.json") == {"line/speed": 1}


SCENARIOS = [direct, relay, encrypted, kills, keys, restore, failover, drain, proxy, inspected, rejoin]


def main() -> int:
    """Runs the scenarios that are named, or all."""
    binaries, named = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    failed = 0
    for scenario in SCENARIOS:
        if named and scenario.__name__ not in named:
            continue
        with tempfile.TemporaryDirectory(prefix="postern-live-") as folder:
            site, began = Site(binaries, pathlib.Path(folder)), time.monotonic()
            try:
                scenario(site)
                print(f"{scenario.__name__}: ok, {time.monotonic() - began:.1f} s", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"{scenario.__name__}: FAILED: {error}", flush=True)
                for log in sorted(pathlib.Path(folder).glob("*.log")):
                    print(f"--- {log.name}\n{log.read_text()[-1500:]}")
            finally:
                site.end_all()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
