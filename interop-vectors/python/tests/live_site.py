"""A site for the live tests: a real controller, a real relay and this device, as processes on loopback."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
WAIT_S = 30  # seconds that anything may take before a test fails


def free_port() -> int:
    """A port of loopback that nobody has now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what: str, check, wait_s: float = WAIT_S):
    """Waits for a truth and gives it."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.05)  # other processes tell nothing when a file or an answer of theirs changes: it is looked at again
    raise AssertionError(f"not seen within {wait_s} s: {what}")


class Site:
    """One controller with what belongs to it, in a folder of its own. Processes end by their own id only."""

    def __init__(self, binaries: pathlib.Path, folder: pathlib.Path):
        self.postern, self.postern_relay = binaries / "postern", binaries / "postern-relay"
        self.folder = folder
        self.controller = folder / "controller"
        self.running: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *command) -> None:
        """Starts a process whose output goes to a log beside it."""
        log = open(self.folder / f"{name}.log", "a")
        environment = {**os.environ, "PYTHONPATH": str(HERE)}
        self.running[name] = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, env=environment)

    def end(self, name: str, how=signal.SIGTERM) -> None:
        """Ends a process that this site started."""
        process = self.running.pop(name)
        process.send_signal(how)
        process.wait(WAIT_S)

    def end_all(self) -> None:
        """Ends whatever still runs."""
        for name in list(self.running):
            self.end(name, signal.SIGKILL)

    def ask(self, *words, stdin: str = "", program=None) -> str:
        """Runs a command to its end and gives what it printed."""
        command = [str(program or self.postern), *map(str, words)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=2 * WAIT_S)
        assert done.returncode == 0, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout

    def of_controller(self, *words, stdin: str = "") -> str:
        """Runs a command of the operator."""
        return self.ask(*words, "--dir", self.controller, stdin=stdin)

    def run_controller(self) -> None:
        """Starts the controller of the folder and waits until it answers."""
        self.start("controller", self.postern, "controller", "run", "--dir", self.controller)
        until(
            "controller",
            lambda: (
                subprocess.run([self.postern, "status", "--dir", self.controller], capture_output=True).returncode == 0
            ),
        )

    def make_controller(self, listens: bool = True) -> None:
        """Makes and starts a controller."""
        self.port = free_port()
        address = f"127.0.0.1:{self.port}"
        way = ["--listen", address, "--url", f"https://{address}"] if listens else ["--no-listen"]
        self.ask("controller", "init", "--dir", self.controller, *way)
        self.run_controller()

    def add_relay(self, name: str = "relay") -> pathlib.Path:
        """Makes a relay, names it in a bundle, starts it, and gives the file of its CA."""
        folder, port = self.folder / name, free_port()
        listen = ["--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{free_port()}"]
        url = ["--url", f"https://127.0.0.1:{port}"]
        trust = self.of_controller("controller", "trust")
        line = self.ask("init", "--dir", folder, *listen, *url, stdin=trust, program=self.postern_relay)
        self.of_controller("controller", "relay", "add", stdin=line)
        self.start(name, self.postern_relay, "run", "--dir", folder)
        return folder / "tls" / "ca.crt"

    def join(self, name: str, *options) -> None:
        """Lets a device of this package join."""
        line = self.of_controller("controller", "invite", name)
        joining = [sys.executable, "-m", "postern_device", "join", "--dir", self.folder / name, *options]
        done = subprocess.run(
            list(map(str, joining)), input=line, text=True, cwd=HERE, timeout=WAIT_S, capture_output=True
        )
        assert done.returncode == 0, done.stderr

    def run_device(self, name: str, *options) -> None:
        """Starts a device of this package."""
        self.start(name, sys.executable, "-m", "postern_device", "run", "--dir", self.folder / name, *options)

    def set(self, name: str, path: str, value: str, wait: bool = True) -> None:
        """Decides one value; with `wait` the device has reported it as applied when this returns."""
        self.of_controller("desired", "set", name, path, value, *([f"--wait={WAIT_S}"] if wait else []))

    def read(self, name: str, file: str):
        """Reads a file that a device writes."""
        return json.loads((self.folder / name / file).read_text())

    def seen(self, name: str) -> dict:
        """What the controller says of a device."""
        return json.loads(self.of_controller("status", name, "--json"))["devices"][0]

    def wait_converged(self, name: str) -> dict:
        """Waits until the controller holds the device's signed word that it is what it should be."""
        return until("converged", lambda: (seen := self.seen(name))["converged"] and seen)
