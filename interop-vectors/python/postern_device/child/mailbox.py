"""Operations of a mailbox: who may open a session, and which frames of it count."""

from .. import cose, frames, kinds, session
from ..cose import Envelope, Place
from ..forms import Items, read_counter
from ..limits import NEED_INTERVAL_MS, REPLAY_WINDOW
from ..payloads import decode_payload
from ..rejects import require
from .members import Members, hexed, scenario


class Window:
    """The counters of one session that a mailbox has seen."""

    def __init__(self, session_id: bytes, key_up: bytes):
        self.session_id = session_id
        self._key_up = key_up
        self._seen: set[int] = set()

    def take(self, frame: bytes) -> None:
        """Checks session id, tag, counter and window, in this order."""
        parts = frames.split(frame, "up")
        session.check_tag(parts, self.session_id, self._key_up)
        require(parts.type < frames.COLLECT or parts.type == frames.STREAM, "session-role")
        counter = read_counter(Items(parts.body))
        floor = max(self._seen, default=0) - REPLAY_WINDOW
        require(counter not in self._seen and counter > floor, "session-replay")
        self._seen.add(counter)
        frames.read_body(parts.type, parts.body)


def _window(request: Members) -> Window:
    return Window(request.hex("session_id"), request.hex("key_up"))


def _up(request: Members) -> dict:
    window = _window(request)
    return scenario(request.objects("steps"), lambda step: window.take(step.hex("frame")) or {})


def _switch(request: Members) -> dict:
    windows = {"older": _window(Members(request["older"])), "newer": _window(Members(request["newer"]))}

    def judge(step: Members) -> dict:
        frame = step.hex("frame")
        name = next((name for name, window in windows.items() if window.session_id == frame[1:5]), None)
        require(name is not None, "session-unknown")
        windows[name].take(frame)
        if name == "newer":
            windows.pop("older", None)
        return {}

    return scenario(request.objects("steps"), judge)


def _need_limit(request: Members) -> dict:
    served: dict[int, int] = {}

    def judge(step: Members) -> dict:
        plane, at_ms = step["plane"], step["at_ms"]
        require(plane not in served or at_ms - served[plane] >= NEED_INTERVAL_MS, "need-limited")
        served[plane] = at_ms
        return {}

    return scenario(request.objects("steps"), judge)


def _greeted(request: Members, greeters: list[Members], id_name: str):
    parts = frames.split(request.hex("frame"), "up")
    require(parts.type == frames.HELLO, "shape")
    greeter_id, data = frames.read_body(parts.type, parts.body)
    greeter = next((known for known in greeters if known.hex(id_name) == greeter_id), None)
    require(greeter is not None, "not-admitted")
    role = greeter.get("role", "device")
    envelope = Envelope.parse(data)
    cose.expect(envelope, role, None)
    cose.expect_kind(envelope, kinds.HELLO)
    hello = decode_payload(envelope.position, envelope.payload)  # selects the ephemeral key, and proves nothing
    issued = [known for known in request.objects("issued") if known.hex("challenge") == hello.challenge]
    require(issued, "challenge-unknown")
    verified = cose.verify(envelope, role, None, _aad(greeter, role), [greeter.key()])
    seed = issued[0].hex("mailbox_seed")
    ephemeral = session.agree(seed, (9).to_bytes(32, "little"))
    thumbprint = request.hex("mailbox_thumbprint")
    exchange = session.Exchange(hello.challenge, hello.ephemeral, ephemeral, thumbprint, greeter_id)
    require(verified.position.digest == exchange.transcript(), "digest-mismatch")
    keys = session.derive_keys(session.agree(seed, hello.ephemeral), exchange.transcript())
    return role, hexed(transcript=exchange.transcript(), key_up=keys.up, key_down=keys.down)


def _aad(greeter: Members, role: str) -> bytes:
    """A device greets with the profile device, a writer with tenant, a mailbox with trust."""
    if role == "device":
        return greeter.place().of_device(kinds.HELLO)
    place = Place(greeter.hex("root"), greeter["tenant"])
    return place.of_tenant(kinds.HELLO) if role == "writer" else place.trust(kinds.HELLO)


def _hello(request: Members) -> dict:
    return _greeted(request, request.objects("channels"), "channel_id")[1]


def _greeting(request: Members) -> dict:
    role, outputs = _greeted(request, request.objects("greeters"), "id")
    return {"greeter": role, **outputs}


OPERATIONS = {
    "session.up": _up,
    "session.switch": _switch,
    "session.hello": _hello,
    "session.greeting": _greeting,
    "need.limit": _need_limit,
}
