"""Intents: actions that are asked for once, by a number that only rises.

Implements spec/planes.md#intents, as far as it needs neither store nor application.
"""

from dataclasses import dataclass, field

from . import cbor
from .limits import INTENT_JUMP_MAX, INTENT_PATHS_MAX

RECORDED, FIRED, LOWER, JUMP, NOT_UINT, FINISHED, TOO_MANY_VERBS, INTERRUPTED = range(8)

PREFIX = "intent/"


@dataclass
class Marks:
    """What the device keeps for ever in one life, by path.

    `taken` and `done` are the marks. `ended` is what `actual` shows: values whose action has ended. `noted` is the
    encoding of the value that was noted last, so that a note is not repeated.
    """

    taken: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    noted: dict[str, bytes] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    def record(self, intents: dict) -> list:
        """The first snapshot of an incarnation: nothing fires."""
        notes = []
        for path, value in sorted(intents.items()):
            if not cbor.is_uint(value):
                notes += self._note(path, value, NOT_UINT)
            elif self._has_room(path):
                self.taken[path] = self.done[path] = value
                notes.append([path, value, RECORDED])
            else:
                notes += self._note(path, value, TOO_MANY_VERBS)
        return notes

    def take(self, intents: dict) -> tuple[list, list]:
        """Judges the section of a revision: the actions that fire, and what to report."""
        actions, notes = [], []
        for path, value in sorted(intents.items()):
            if not cbor.is_uint(value):
                notes += self._note(path, value, NOT_UINT)
                continue
            taken = self.taken.get(path, 0)
            if value == taken:
                continue
            if value < taken:
                notes += self._note(path, value, LOWER)
            elif value - taken > INTENT_JUMP_MAX:
                notes += self._note(path, value, JUMP)
            elif not self._has_room(path):
                notes += self._note(path, value, TOO_MANY_VERBS)
            else:
                self.taken[path] = value
                self.noted.pop(path, None)
                actions.append([path, value])
                notes.append([path, value, FIRED])
        return actions, notes

    def interrupted(self) -> list:
        """After a restart: actions that began and of which nobody saw the end. They have ended, and `actual` shows it."""
        open_ = {path: value for path, value in sorted(self.taken.items()) if self.done.get(path, 0) < value}
        self.done.update(open_)
        self.ended.update(open_)
        return [[path, value, INTERRUPTED] for path, value in open_.items()]

    def _has_room(self, path: str) -> bool:
        return path in self.taken or len(self.taken) < INTENT_PATHS_MAX

    def _note(self, path: str, value, outcome: int) -> list:
        if path not in self.noted and len(self.noted) >= INTENT_PATHS_MAX * 2:
            return []
        encoded = cbor.encode(value)
        if self.noted.get(path) == encoded:
            return []
        self.noted[path] = encoded
        return [[path, value if cbor.is_uint(value) else 0, outcome]]


def of_state(state: dict) -> dict:
    """The section `intent` of a state."""
    return {path: value for path, value in state.items() if path.startswith(PREFIX)}
