"""Operations of a controller: enrolment, the order of reports and admissions, clones."""

import hmac

from .. import cbor, cose, enrol, frames, kinds
from ..acceptance import compare
from ..cose import Envelope, Place
from ..keys import PublicKey
from ..rejects import require
from .members import Members, hexed, scenario, shown


def _carried_key(envelope: Envelope) -> PublicKey:
    """The key that a request names itself, all that counts of its payload before the signature has verified."""
    item = cbor.decode(envelope.payload)
    require(cbor.is_array(item, 5, 6), "shape")
    return PublicKey.from_item(item[2])


def _verify_request(envelope: Envelope, key: PublicKey, aad: bytes) -> cose.Verified:
    key.check()
    return cose.verify(envelope, "enrolling", None, aad, [key])


def _enrol_request(request: Members) -> dict:
    token, mac, data = frames.parse(request.hex("frame"), "up")
    envelope = Envelope.parse(data)
    cose.expect(envelope, "enrolling", None)
    invitation = next((one for one in request.objects("invitations") if one.hex("token") == token), None)
    require(invitation is not None, "token-unknown")
    aad = Place(request.hex("root"), invitation["tenant"]).of_tenant(kinds.ENROL_REQUEST)
    message_id = cose.message_id(envelope, aad)
    expected = enrol.mac_of(invitation.hex("secret"), message_id)
    require(hmac.compare_digest(mac, expected), "enrol-mac")
    key = _carried_key(envelope)
    content = _verify_request(envelope, key, aad).content
    require((content.token, content.device) == (token, invitation["device"]), "token-unknown")
    used_by = invitation["used_by"]
    require(used_by is None or bytes.fromhex(used_by) == key.thumbprint, "token-used")
    return hexed(mac=mac, message_id=message_id)


def _enrol_rotation(request: Members) -> dict:
    place, current = request.place(), request.hex("current")
    envelope = Envelope.parse(request.hex("request"))
    cose.expect(envelope, "enrolling", None)
    key = _carried_key(envelope)
    verified = _verify_request(envelope, key, place.of_tenant(kinds.ENROL_REQUEST))
    content = verified.content
    named = (content.token, content.device, content.incarnation)
    require(named == (current[:8], place.device, place.incarnation), "token-unknown")
    require(key.thumbprint != current, "token-used")
    return hexed(message_id=verified.message_id, next=key.thumbprint)


def _judge_report(stored: Members | None, incoming: Members, content: str) -> tuple[str, str | None]:
    before = None if stored is None else (stored["epoch"], stored["rseq"])
    same = stored is not None and stored[content] == incoming[content]
    return compare(before, (incoming["epoch"], incoming["rseq"]), same, "report-stale")


def _stored(request: Members) -> Members | None:
    return None if request["stored"] is None else Members(request["stored"])


def _report_accept(request: Members) -> dict:
    outcome, reject = _judge_report(_stored(request), Members(request["incoming"]), "message_id")
    return shown(reject, outcome=outcome)


def _admission_compare(request: Members) -> dict:
    stored, incoming = _stored(request), Members(request["incoming"])

    def order(admission: Members):
        return admission["generation"], admission["epoch"], admission["number"]

    before = None if stored is None else order(stored)
    same = stored is not None and stored["digest"] == incoming["digest"]
    outcome, reject = compare(before, order(incoming), same, "admission-stale")
    return shown(reject, outcome=outcome)


def _clone_show(request: Members) -> dict:
    highest: Members | None = None
    cloned = False

    def judge(step: Members) -> dict:
        nonlocal highest, cloned
        outcome, reject = _judge_report(highest, step, "content")
        is_other_unit = reject == "equivocation" or (highest is not None and step["epoch"] < highest["epoch"])
        cloned = cloned or (step["live"] and is_other_unit)
        if outcome == "accept":
            highest = step
        return shown(reject, outcome=outcome, cloned=cloned)

    return scenario(request.objects("steps"), judge)


OPERATIONS = {
    "enrol.request": _enrol_request,
    "enrol.rotation": _enrol_rotation,
    "report.accept": _report_accept,
    "admission.compare": _admission_compare,
    "clone.show": _clone_show,
}
