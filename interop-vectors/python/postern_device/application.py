"""The application at the end of the wire, as small as it can be: files in the device's folder.

desired.json   written: what the device shall be, as {path: typed value}
actual.json    read when it is there: what the device is, in the same form
intents.jsonl  appended: actions that were asked for, one a line
status.json    written: where the device stands, for people and tests
"""

import json
import pathlib

from .rejects import Reject
from .state import check_state
from .store import replace_file
from .typed import from_typed, to_typed


class Application:
    """Applies states by writing them down."""

    def __init__(self, folder: pathlib.Path, say):
        self._folder = folder
        self._say = say
        self._actual: dict = {}

    def apply(self, state: dict, actions: list) -> tuple[int, str]:
        """Writes the whole state, or does one action; it has happened when this returns."""
        for path, value in actions:
            with open(self._folder / "intents.jsonl", "a", encoding="utf-8") as file:
                print(json.dumps([path, value]), file=file, flush=True)
        if not actions:
            self._write("desired.json", {path: to_typed(value) for path, value in state.items()})
        return 0, ""

    def say_actual(self) -> dict:
        """Reads what the device is; what is no state counts as no change."""
        try:
            said = json.loads((self._folder / "actual.json").read_text(encoding="utf-8"))
            state = {path: from_typed(value) for path, value in said.items()}
            check_state(state, encrypted=True)
            self._actual = state
        except FileNotFoundError:
            pass
        except (Reject, ValueError, AttributeError, KeyError, TypeError) as error:
            self._say(f"actual.json is no state: {error}")
        return dict(self._actual)

    def show(self, status: dict) -> None:
        """Writes where the device stands."""
        self._write("status.json", status, durable=False)

    def _write(self, name: str, content: dict, durable: bool = True) -> None:
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        replace_file(self._folder / name, text.encode(), durable=durable)
