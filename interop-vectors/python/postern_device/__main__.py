"""The command: `python -m postern_device child|join|run`."""

import argparse
import sys

from . import child, join, lines
from .application import Application
from .device import Device, now_ms
from .engine import Engine
from .rejects import Reject
from .store import Store
from .transport import Transport


def main() -> int:
    """Runs one command."""
    arguments = _parser().parse_args()
    if arguments.command == "child":
        return child.run()
    try:
        store = Store(arguments.dir)
    except BlockingIOError:
        return _fail("another process has this folder")
    return (_join if arguments.command == "join" else _run)(arguments, store)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="postern_device", description="A Postern device in Python.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("child", help="answer single operations as JSON lines")
    for name, text in (("join", "join with the line on standard input"), ("run", "follow the desired state")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--dir", default="device", help="the device's folder")
        command.add_argument("--proxy", help="URL of a proxy that is asked by CONNECT")
        command.add_argument("--ca", action="append", default=[], help="PEM file with a further CA for TLS")
        if name == "run":
            command.add_argument("--hold", type=int, default=50, help="seconds for which a poll may be held")
            command.add_argument("--rotate-key", action="store_true", help="ask for a next key first")
    return parser


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _fail(text: str) -> int:
    _say(text)
    return 1


def _join(arguments, store: Store) -> int:
    line = lines.read_join(sys.stdin.read(lines.JOIN_LINE_CHARS_MAX + 4096))
    record = store.load()
    if record is not None and record.enrolment is None:
        return _fail("this folder holds a device that has joined; another life needs another folder")
    if record is None or record.enrolment.token != line.token:
        record = join.begin(line)
        store.commit(record)
    transport = Transport(arguments.proxy, arguments.ca, line.tls_ca)
    join.run(store, record, transport, _say)
    _say(f"joined as {line.tenant}/{line.device}")
    return 0


def _run(arguments, store: Store) -> int:
    record = store.load()
    if record is None or record.enrolment is not None:
        return _fail("this folder holds no device that has joined")
    transport = Transport(arguments.proxy, arguments.ca, record.identity.tls_ca)
    engine = Engine(record, store.commit, now_ms())
    if arguments.rotate_key:
        engine.ask_for_next_key()
    Device(engine, transport, Application(store.folder, _say), arguments.hold, _say).run()
    return 0


try:
    sys.exit(main())
except Reject as reject:
    sys.exit(_fail(f"refused: {reject.name}"))
except KeyboardInterrupt:
    sys.exit(130)
