"""Operations on frames and sessions, as a device sees them."""

from .. import files, frames, session
from ..exchange import read_exchange
from ..names import channel_preimage, short_id
from .members import Members, hexed, scenario


def _frame_parse(request: Members) -> dict:
    frame = request.hex("input")
    frames.parse(frame, request["direction"])
    return {"type": frame[0], "bytes": len(frame)}


def _derive(request: Members) -> dict:
    exchange = session.Exchange(
        request.hex("challenge"),
        request.hex("device_ephemeral"),
        request.hex("mailbox_ephemeral"),
        request.hex("mailbox_thumbprint"),
        request.hex("channel_id"),
    )
    shared = session.agree(request.hex("mailbox_seed"), exchange.device_ephemeral)
    if "device_seed" in request:
        assert shared == session.agree(request.hex("device_seed"), exchange.mailbox_ephemeral)
    keys = session.derive_keys(shared, exchange.transcript())
    preimage, transcript = exchange.preimage(), exchange.transcript()
    return hexed(preimage=preimage, transcript=transcript, shared=shared, key_up=keys.up, key_down=keys.down)


def _challenge(request: Members) -> dict:
    session.check_challenge(request.hex("frame"), [bytes.fromhex(text) for text in request["mailboxes"]])
    return {}


def _welcome(request: Members) -> dict:
    key, place = request.key("mailbox_key"), request.place()
    challenge = session.check_challenge(request.hex("challenge_frame"), [key.thumbprint])
    greeting = session.Greeting(challenge, _channel_of(place), request.hex("device_seed"))
    opened, welcome = greeting.welcome(request.hex("frame"), key, place)
    time = {} if welcome.time is None else {"unix_s": welcome.time}
    keys = opened.keys
    return {**hexed(session_id=opened.session_id, key_up=keys.up, key_down=keys.down), **time}


def _channel_of(place) -> bytes:
    return short_id(channel_preimage(place.genesis, place.tenant, place.device))


def _down(request: Members) -> dict:
    keys = session.Keys(request.hex("key_up"), request.hex("key_down"))
    opened = session.Session(request.hex("session_id"), keys)

    def judge(step: Members) -> dict:
        opened.answer(step.hex("frame"), step["request"])
        return {}

    return scenario(request.objects("steps"), judge)


def _stream(request: Members) -> dict:
    keys = session.Keys(request.hex("key_up"), request.hex("key_down"))
    opened = session.Session(request.hex("session_id"), keys)
    stream = session.Stream(opened, request["request"], request["frames"])
    return scenario(request.objects("steps"), lambda step: stream.answer(step.hex("frame")) and {})


def _exchange(request: Members) -> dict:
    read_exchange(request["status"], request.hex("body"))
    return {}


def _file_read(request: Members) -> dict:
    read, reject = files.read_frames(request.hex("input"))
    reply: dict = {"frames": len(read)}
    return reply if reject is None else {**reply, "result": "invalid", "error": reject.name}


OPERATIONS = {
    "frame.parse": _frame_parse,
    "session.derive": _derive,
    "session.challenge": _challenge,
    "session.welcome": _welcome,
    "session.down": _down,
    "session.stream": _stream,
    "exchange.answer": _exchange,
    "file.read": _file_read,
}
