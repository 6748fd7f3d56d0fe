"""JSON Schema 2020-12 of every vector file, one for each operation.

Refuses, while generating, a test whose fields are not
those of its schema; types are left to any JSON Schema validator.
"""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HEX = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
TEXT = {"type": "string"}
UINT = {"type": "integer", "minimum": 0}
BOOL = {"type": "boolean"}
PLANE = {"enum": [0, 1, None]}
ROLE = {"enum": ["writer", "device", "root", "mailbox", "enrolling"]}
RESULT = {"enum": ["valid", "invalid"]}
REJECT = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}


def sized(size):
    """Returns hex of a fixed number of bytes."""
    return {"type": "string", "pattern": f"^[0-9a-f]{{{2 * size}}}$"}


def fields(**content):
    """Returns an object with exactly these fields; a trailing `_` marks what may be missing."""
    names = {name.rstrip("_"): value for name, value in content.items()}
    required = [name for name in content if not name.endswith("_")]
    return {"type": "object", "properties": names, "required": required, "additionalProperties": False}


def many(item):
    """Returns an array."""
    return {"type": "array", "items": item}


def orders(*items):
    """Returns an array of fixed items."""
    return {"type": "array", "prefixItems": list(items), "minItems": len(items), "maxItems": len(items)}


HASH = sized(32)
PUBLIC_KEY = {"type": "string", "pattern": "^([0-9a-f]{64}|04[0-9a-f]{128})$"}
INTEGER = {"anyOf": [{"type": "integer"}, fields(int={"type": "string", "pattern": "^-?[0-9]+$"})]}
REFERENCE = fields(digest=HASH, size=INTEGER, media_type=TEXT)
VALUE = {"anyOf": [
    {"type": ["null", "boolean", "string"]}, INTEGER, fields(bytes=HEX), fields(float=sized(8)), fields(reference=REFERENCE),
]}
STATE = {"type": "object", "additionalProperties": VALUE}
SECTIONS = {"type": "object", "additionalProperties": HASH}
FILL = fields(sections=UINT, keys=UINT, bytes=UINT)
SESSION = {"session_id": sized(4), "key_up": HASH, "key_down": HASH}
STEP = fields(frame=HEX, result=RESULT, error_=REJECT)
ANSWER_STEP = fields(frame=HEX, request=UINT, result=RESULT, error_=REJECT)
NEED_STEP = fields(at_ms=UINT, plane=UINT, result=RESULT, error_=REJECT)
HEAD = fields(generation=UINT, epoch=UINT, seq=UINT, digest=HASH)
INCOMING = fields(
    kind={"enum": ["delta", "snapshot"]}, generation=UINT, epoch=UINT, seq=UINT, base=UINT, digest=HASH,
    lineage=many(orders(UINT, UINT, HASH)),
)
NUMBERED = fields(epoch=UINT, rseq=UINT, message_id=HASH)
CHANNEL = fields(channel_id=sized(16), root=HASH, tenant=TEXT, device=TEXT, incarnation=sized(16), public_key=PUBLIC_KEY)
GREETER = fields(role=ROLE, id=sized(16), root=HASH, tenant=TEXT, public_key=PUBLIC_KEY)
ADMITTED = fields(generation=UINT, epoch=UINT, number=UINT, digest=HASH)
ISSUED = fields(challenge=sized(16), mailbox_seed=HASH)
INVITATION = fields(token=sized(8), secret=HASH, tenant=TEXT, device=TEXT, used_by={"anyOf": [HASH, {"type": "null"}]})
FRESHNESS_STEP = fields(at_ms=UINT, ask_=sized(16), heartbeat_=HEX, hearing_={"enum": ["anchored", "later", "unproven"]}, stale=BOOL, result=RESULT, error_=REJECT)
INTENT_STEP = fields(
    intents=STATE, actions=many(orders(TEXT, UINT)), notes=many(orders(TEXT, UINT, UINT)), restart=BOOL, ends_=BOOL, shown_=STATE, result=RESULT, error_=REJECT,
)
KEY_ROW = fields(generation=UINT, desired=HASH, actual=HASH)
KEY_HELD = fields(writer=UINT, epoch=UINT, generation=UINT, payload=HASH, digest_key=HASH)
PLACE = dict(root=HASH, tenant=TEXT, device=TEXT, incarnation=sized(16))
OUTCOME = {"enum": ["accept", "apply", "duplicate", "older", "need", "refuse"]}


def nullable(schema):
    """Returns a schema that also allows null."""
    return {"anyOf": [schema, {"type": "null"}]}


ENGINE_CONFIG = fields(
    **PLACE, recovery=HASH, seed=HASH, bundles=many(HEX), held=many(HEX), max_age_ms=UINT, unix_s_=UINT, mailbox_seeds=many(HASH),
    random=fields(ephemerals=many(HASH), nonces=many(sized(16))),
)
ENGINE_REQUEST = {"enum": ["ask", "hello", "poll", "post", "need", "fetch", "put"]}
ENGINE_INPUT = fields(
    kind={"enum": ["connect", "hold", "answer", "failed", "applied", "restart", "filed", "wait"]}, seconds_=UINT, to_=ENGINE_REQUEST, frame_=HEX,
    type_={"enum": [1, 5, 8]}, body_=HEX, again_=UINT, change_=fields(earlier_=UINT, later_=UINT, session_=sized(4), flip_=BOOL), status_={"type": "integer"},
)
ENGINE_EXPECT = fields(
    head=nullable(orders(UINT, UINT, UINT, HASH)), rejects=many(REJECT), sent_=many(ENGINE_REQUEST), frames_=many(HEX), poll_=orders(UINT, UINT, UINT),
    applied_=nullable(orders(UINT, UINT, HASH)), applying_=nullable(orders(UINT, UINT)), frozen_=nullable(UINT), bundle_=UINT, session_=BOOL, stale_=BOOL, moves_=many(TEXT),
)
ENGINE_STEP = fields(at_ms=UINT, input=ENGINE_INPUT, expect=ENGINE_EXPECT, result=RESULT, error_=REJECT)
CLONE_STEP = fields(epoch=UINT, rseq=UINT, content=UINT, live=BOOL, outcome=OUTCOME, cloned=BOOL, result=RESULT, error_=REJECT)
INPUTS = {
    "cbor.check": dict(input=HEX),
    "key.thumbprint": dict(public_key=PUBLIC_KEY, cose_key={"anyOf": [sized(40), sized(75)]}, thumbprint=HASH, kid=sized(8)),
    "channel.id": dict(root=HASH, tenant=TEXT, device=TEXT, preimage_=HEX, channel_id_=sized(16)),
    "greeter.id": dict(root=HASH, tenant_=TEXT, mailbox_=HASH, preimage_=HEX, id_=sized(16)),
    "ed25519.verify": dict(public_key=HEX, message=HEX, signature=HEX),
    "esp256.verify": dict(public_key=HEX, message=HEX, signature=HEX),
    "sign1.verify": dict(
        public_key=PUBLIC_KEY, aad=HEX, role=ROLE, plane=PLANE, cose=HEX, revoked_=many(HASH), message_id_=HASH, protected_=HEX,
        payload_=HEX, tbs_=HEX, signature_=sized(64), diag_=TEXT,
    ),
    "state.digest": dict(state_=STATE, fill_=FILL, digest_=HASH, sections_=SECTIONS),
    "state.apply": dict(state_=STATE, fill_=FILL, before_=HASH, delta=HEX, digest=HASH, sections_=SECTIONS, after_=STATE),
    "body.check": dict(section=TEXT, digest=HASH, body=HEX),
    "frame.parse": dict(input=HEX, direction={"enum": ["up", "down", "file"]}, type_=UINT, bytes_=UINT),
    "bytes": dict(form={"enum": ["envelope", "frame"]}, input=HEX, bytes=UINT, budget=UINT),
    "session.derive": dict(
        device_seed_=HASH, device_ephemeral=HASH, mailbox_seed=HASH, mailbox_ephemeral=HASH, mailbox_thumbprint=HASH,
        challenge=sized(16), channel_id=sized(16), preimage_=HEX, transcript_=HASH, shared_=HASH, key_up_=HASH, key_down_=HASH,
    ),
    "session.challenge": dict(frame=HEX, mailboxes=many(HASH)),
    "session.hello": dict(
        frame=HEX, issued=many(ISSUED), mailbox_thumbprint=HASH, channels=many(CHANNEL), transcript_=HASH, key_up_=HASH, key_down_=HASH,
    ),
    "session.welcome": dict(
        frame=HEX, challenge_frame=HEX, device_seed=HASH, mailbox_key=PUBLIC_KEY, root=HASH, tenant=TEXT, device=TEXT,
        incarnation=sized(16), session_id_=sized(4), key_up_=HASH, key_down_=HASH, unix_s_=UINT,
    ),
    "session.greeting": dict(
        frame=HEX, issued=many(ISSUED), mailbox_thumbprint=HASH, greeters=many(GREETER), greeter_=ROLE, transcript_=HASH, key_up_=HASH, key_down_=HASH,
    ),
    "session.up": dict(steps=many(STEP), **SESSION),
    "session.down": dict(steps=many(ANSWER_STEP), **SESSION),
    "session.stream": dict(request=UINT, frames=UINT, steps=many(STEP), **SESSION),
    "session.switch": dict(steps=many(STEP), older=fields(**SESSION), newer=fields(**SESSION)),
    "need.limit": dict(steps=many(NEED_STEP)),
    "exchange.answer": dict(status=UINT, content_type=TEXT, body=HEX),
    "bundle.accept": dict(genesis=HASH, recovery=HASH, held=many(HEX), incoming=HEX, message_id=HASH),
    "enrol.request": dict(frame=HEX, root=HASH, invitations=many(INVITATION), mac_=HASH, message_id_=HASH),
    "enrol.answer": dict(
        frame=HEX, genesis=HASH, recovery=HASH, tenant=TEXT, device=TEXT, incarnation=sized(16), public_key=PUBLIC_KEY, request=HEX, bundle_number_=UINT, unix_s_=UINT,
    ),
    "evidence.verify": dict(
        cose=HEX, role=ROLE, reader_key=PUBLIC_KEY, accused_key=PUBLIC_KEY, root=HASH, tenant=TEXT, device=TEXT, incarnation=sized(16), proved_=many(BOOL),
    ),
    "enrol.rotation": dict(
        request=HEX, current=HASH, root=HASH, tenant=TEXT, device=TEXT, incarnation=sized(16), message_id_=HASH, next_=HASH,
    ),
    "file.read": dict(input=HEX, frames=UINT),
    "revision.accept": dict(
        row=UINT, stored=nullable(HEAD), frozen=BOOL, incoming=INCOMING, outcome=OUTCOME, superseded_=orders(UINT, UINT), freezes_=BOOL,
    ),
    "freshness.watch": dict(
        role=ROLE, public_key=PUBLIC_KEY, root=HASH, tenant=TEXT, device=TEXT, incarnation=sized(16), max_age_ms=UINT, steps=many(FRESHNESS_STEP),
    ),
    "intent.take": dict(steps=many(INTENT_STEP)),
    "clone.show": dict(steps=many(CLONE_STEP)),
    "admission.compare": dict(stored=nullable(ADMITTED), incoming=ADMITTED, outcome=OUTCOME),
    "line.read": dict(form={"enum": ["trust", "relay"]}, text=TEXT, root_=HASH, recovery_=HASH, bundles_=UINT, thumbprint_=HASH, urls_=many(TEXT)),
    "encryption.digest": dict(digest_key=HASH, state_=STATE, fill_=FILL, digest_=HASH, sections_=SECTIONS),
    "encryption.open": dict(
        digest_key=HASH, keys=many(KEY_ROW), **PLACE, plane=UINT, position_=orders(UINT, UINT, UINT, UINT, HEX), section_=TEXT, digest_=HASH,
        input=HEX, plaintext_=HEX,
    ),
    "plane-key.open": dict(
        secret=HASH, **PLACE, writer=UINT, epoch=UINT, generation=UINT, held=nullable(KEY_HELD), input=HEX,
        outcome_={"enum": ["new", "again", "known"]}, digest_key_=HASH, desired_=HASH, actual_=HASH,
    ),
    "engine.step": dict(config=ENGINE_CONFIG, steps=many(ENGINE_STEP)),
    "report.accept": dict(stored=nullable(NUMBERED), incoming=NUMBERED, outcome=OUTCOME),
}


def test_schema(operation):
    """Returns the schema of one test."""
    return fields(
        name=REJECT, spec={"type": "string", "pattern": "^#[a-z-]+$"}, comment=TEXT, flags=many(TEXT),
        **INPUTS[operation], result=RESULT, error_=REJECT,
    )


def schema(operation):
    """Returns the schema of one file."""
    test = test_schema(operation)
    test["if"] = {"properties": {"result": {"const": "invalid"}}}
    test["then"] = {"required": ["error"]}
    test["else"] = {"properties": {"error": False}}
    body = fields(schema=TEXT, operation={"const": operation}, description=TEXT, tests=many(test))
    return {"$schema": DIALECT, "title": operation, **body}


def check(operation, test):
    """Refuses a test whose fields are not those of its schema."""
    form = test_schema(operation)
    assert set(test) <= set(form["properties"]), (test["name"], set(test) - set(form["properties"]))
    assert set(form["required"]) <= set(test), (test["name"], set(form["required"]) - set(test))
