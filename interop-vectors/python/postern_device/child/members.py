"""Members of a request: hexadecimal, typed values of a state, keys and places."""

from ..cose import Place
from ..keys import PublicKey
from ..rejects import Reject
from ..typed import from_typed


class RunnerFault(Exception):
    """A request that lacks a member or holds something else in its place."""


class Members(dict):
    """A JSON object of the runner; a missing member is the runner's fault."""

    def __missing__(self, name):
        raise RunnerFault(name)

    def hex(self, name: str) -> bytes:
        """Reads bytes."""
        return from_hex(self[name])

    def objects(self, name: str) -> list["Members"]:
        """Reads an array of objects."""
        return [Members(item) for item in self[name]]

    def key(self, name: str = "public_key") -> PublicKey:
        """Reads a public key."""
        return PublicKey.from_raw(self.hex(name))

    def place(self) -> Place:
        """Reads root, tenant, device and incarnation, as far as they are there."""
        incarnation = from_hex(self.get("incarnation", ""))
        return Place(from_hex(self.get("root") or self["genesis"]), self["tenant"], self["device"], incarnation)

    def state(self) -> dict:
        """Reads a state, or makes a large one out of `fill`."""
        if "fill" in self:
            fill = Members(self["fill"])
            body = b"\x5a" * fill["bytes"]
            sections, keys = range(fill["sections"]), range(fill["keys"])
            return {f"s{section:04}/k{key:04}": body for section in sections for key in keys}
        return {path: from_typed(value) for path, value in self["state"].items()}


def from_hex(text) -> bytes:
    """Reads lower-case hexadecimal."""
    try:
        return bytes.fromhex(text)
    except (ValueError, TypeError):
        raise RunnerFault("hexadecimal") from None


def hexed(**outputs: bytes) -> dict:
    """Writes bytes as members of a reply."""
    return {name: value.hex() for name, value in outputs.items()}


def scenario(steps: list[Members], judge) -> dict:
    """Runs the steps in order; the first reject is the scenario's, and later steps go on."""
    replies = []
    for step in steps:
        try:
            replies.append({"result": "valid", **judge(step)})
        except Reject as reject:
            replies.append({"result": "invalid", "error": reject.name})
    reply: dict = {"steps": replies}
    first = next((step["error"] for step in replies if "error" in step), None)
    return reply if first is None else {**reply, "result": "invalid", "error": first}


def shown(reject: str | None, **outputs) -> dict:
    """Writes outputs that a refusal shows too."""
    return outputs if reject is None else {**outputs, "result": "invalid", "error": reject}
