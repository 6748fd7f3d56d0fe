"""Operations of a device as a reader: trust, acceptance, freshness, intents."""

from .. import cose, enrol, kinds
from ..acceptance import Head, Incoming, judge
from ..cose import Envelope
from ..freshness import Watch
from ..intents import Marks
from ..kinds import ACTUAL, DESIRED
from ..rejects import Reject
from ..trust import Trust
from ..typed import from_typed
from .members import Members, from_hex, hexed, scenario, shown


def _bundle_accept(request: Members) -> dict:
    trust = Trust(request.hex("genesis"), request.hex("recovery"))
    for held in request["held"]:
        trust.accept(cose.untag(from_hex(held)))
    return hexed(message_id=trust.accept(cose.untag(request.hex("incoming"))))


def _enrol_answer(request: Members) -> dict:
    place, key = request.place(), request.key()
    trust = Trust(request.hex("genesis"), request.hex("recovery"))
    asked = Envelope.parse(cose.untag(request.hex("request")))
    message_id = cose.message_id(asked, place.of_tenant(kinds.ENROL_REQUEST))
    answer = enrol.read_answer(request.hex("frame"), trust, place, message_id, key)
    time = {} if answer.time is None else {"unix_s": answer.time}
    return {"bundle_number": answer.bundle_number, **time}


def _revision_accept(request: Members) -> dict:
    stored = None
    if request["stored"] is not None:
        head = Members(request["stored"])
        stored = Head(head["generation"], head["epoch"], head["seq"], head.hex("digest"))
    one = Members(request["incoming"])
    lineage = [[epoch, seq, from_hex(digest)] for epoch, seq, digest in one["lineage"]]
    numbers = one["generation"], one["epoch"], one["seq"], one["base"]
    incoming = Incoming(one["kind"] == "snapshot", *numbers, one.hex("digest"), lineage)
    outcome = judge(stored, request["frozen"], incoming)
    reply: dict = {"outcome": outcome.outcome, "row": outcome.row}
    if outcome.superseded:
        reply["superseded"] = list(outcome.superseded)
    if outcome.freezes:
        reply["freezes"] = True
    return shown(outcome.reject, **reply)


def _freshness_watch(request: Members) -> dict:
    watch, place, role = Watch(request["max_age_ms"]), request.place(), request["role"]
    plane = DESIRED if role == "writer" else ACTUAL

    def judge_step(step: Members) -> dict:
        reply, reject = {}, None
        if "ask" in step:
            watch.ask(step.hex("ask"), step["at_ms"])
        if "heartbeat" in step:
            try:
                envelope = Envelope.parse(cose.untag(step.hex("heartbeat")))
                aad = place.of_plane(kinds.HEARTBEAT, plane)
                heard = cose.verify(envelope, role, plane, aad, [request.key()])
                reply["hearing"] = watch.hear(heard.content, step["at_ms"])
            except Reject as refusal:
                reject = refusal.name
        return shown(reject, **reply, stale=watch.is_stale(step["at_ms"]))

    return scenario(request.objects("steps"), judge_step)


def _intent_take(request: Members) -> dict:
    marks = Marks()
    is_first = True

    def judge_step(step: Members) -> dict:
        nonlocal is_first
        intents = {path: from_typed(value) for path, value in step["intents"].items()}
        actions, notes = [], marks.interrupted() if step["restart"] else []
        if is_first:
            notes += marks.record(intents)
        else:
            actions, taken = marks.take(intents)
            notes += taken
        is_first = False
        if step.get("ends", True):
            for path, value in actions:
                marks.done[path] = marks.ended[path] = value
        return {"actions": actions, "notes": sorted(notes), "shown": dict(marks.ended)}

    return scenario(request.objects("steps"), judge_step)


OPERATIONS = {
    "bundle.accept": _bundle_accept,
    "enrol.answer": _enrol_answer,
    "revision.accept": _revision_accept,
    "freshness.watch": _freshness_watch,
    "intent.take": _intent_take,
}
