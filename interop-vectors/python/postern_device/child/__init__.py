"""The child: answers single operations as JSON lines, so that a runner can judge this implementation.

Implements interop-vectors/CLIENT-CLI.md and every operation of interop-vectors/README.md#operations. Some of them
belong to a mailbox or a controller; those live in this package only, since a device has no use for them.
"""

import json
import sys

from ..rejects import Reject
from . import controller, conversation, mailbox, messages, primitives, reader, sessions, states
from .members import Members, RunnerFault

OPERATIONS = {
    **primitives.OPERATIONS,
    **messages.OPERATIONS,
    **states.OPERATIONS,
    **sessions.OPERATIONS,
    **reader.OPERATIONS,
    **mailbox.OPERATIONS,
    **controller.OPERATIONS,
    **conversation.OPERATIONS,
}


def answer(line: str) -> dict:
    """Answers one request."""
    request_id = None
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise RunnerFault("no object")
        request_id = request.get("id")
        operation = OPERATIONS.get(str(request.get("op")))
        if operation is None:
            raise RunnerFault("no such operation")
        return {"result": "valid", **operation(Members(request)), "id": request_id}
    except Reject as reject:
        return {"id": request_id, "result": "invalid", "error": reject.name}
    except (RunnerFault, AttributeError, LookupError, TypeError, ValueError) as fault:
        print(f"unsupported: {fault!r}", file=sys.stderr)
        return {"id": request_id, "result": "unsupported"}


def run() -> int:
    """Answers until the end of input."""
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(answer(line)), flush=True)
    return 0
