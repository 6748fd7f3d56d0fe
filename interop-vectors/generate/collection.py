"""Collects the tests of one file and refuses duplicate names and careless rows."""

import re

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SEEN = set()


def plain(value):
    """Returns a JSON form: bytes become hex, all else stays."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Collection:
    """One vector file: an operation and its tests."""

    def __init__(self, path, operation, description):
        self.path = path
        self.operation = operation
        self.description = description
        self.tests = []

    def _add(self, name, spec, comment, flags, fields, result, error):
        assert NAME.fullmatch(name), name
        assert name not in SEEN, f"{name} is used twice"
        assert spec.startswith("#") and comment, name
        SEEN.add(name)
        row = {"name": name, "spec": spec, "comment": comment, "flags": list(flags)}
        row.update(plain(fields))
        row["result"] = result
        if error:
            row["error"] = error
        self.tests.append(row)

    def valid(self, name, spec, comment, flags=(), **fields):
        """Adds a test that must be accepted."""
        self._add(name, spec, comment, flags, fields, "valid", None)

    def invalid(self, name, error, spec, comment, flags=(), **fields):
        """Adds a test that must be refused with one reject."""
        self._add(name, spec, comment, flags, fields, "invalid", error)

    def document(self):
        """Returns the content of the file."""
        return {
            "schema": f"../schema/{self.operation.replace('.', '-')}.json",
            "operation": self.operation,
            "description": self.description,
            "tests": self.tests,
        }
