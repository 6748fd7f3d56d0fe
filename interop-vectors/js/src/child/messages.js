// Operations on single messages: CBOR, keys, envelopes, frames, bundles, enrolment, lines.
import { equal, fromHex, toHex } from '../bytes.js';
import { decode, encode } from '../cbor.js';
import * as channel from '../channel.js';
import { untag, verifyEnvelope } from '../cose.js';
import { acceptEnrolled, namedKey } from '../enrolment.js';
import { parseFrame, readFiled, TYPE } from '../frames.js';
import { checkKey, keyId, thumbprint, toCoseKey, verify } from '../keys.js';
import { KIND } from '../kinds.js';
import { readRelayLine, readTrustLine } from '../lines.js';
import { ensure, rejectName, Reject } from '../reject.js';
import { acceptBundle, acceptBundles } from '../trust.js';
import { channelOf } from './json.js';

/** @param {number} length bytes of a key of the algorithm @returns {(request: any) => void} */
const verifySignature = (length) => (request) => {
  const key = fromHex(request.public_key);
  ensure(key.length === length, 'key-refused');
  checkKey(key);
  verify(key, fromHex(request.message), fromHex(request.signature));
};

/** @param {any} request */
function verifySign1(request) {
  const plane = request.plane ?? null;
  const aad = fromHex(request.aad);
  const revoked = (request.revoked ?? []).map(fromHex);
  const keys = [fromHex(request.public_key)];
  const expected = { role: request.role, plane, keys, aad: () => aad, revoked };
  const found = verifyEnvelope(untag(fromHex(request.cose)), expected);
  return {
    message_id: toHex(found.messageId), protected: toHex(found.protected), payload: toHex(found.payload),
    tbs: toHex(found.tbs), signature: toHex(found.signature),
  };
}

/** @param {any} request */
function greeterId(request) {
  const genesis = fromHex(request.root);
  const { preimage, id } = request.mailbox === undefined
    ? channel.tenantId(genesis, request.tenant)
    : channel.mailboxId(genesis, fromHex(request.mailbox));
  return { preimage: toHex(preimage), greeter_id: toHex(id) };
}

/** @param {any} request */
function readFile(request) {
  let rest = fromHex(request.input);
  let frames = 0;
  try {
    while (rest.length > 0) {
      rest = rest.subarray(readFiled(rest).length);
      frames += 1;
    }
  } catch (error) {
    if (error instanceof Reject) return { result: 'invalid', error: error.reject, frames };
    throw error;
  }
  return { frames };
}

/** @param {any} request */
function exchangeAnswer(request) {
  const body = fromHex(request.body);
  ensure(Number(request.status) === 200, 'not-postern');
  let frame;
  try {
    frame = parseFrame(body, 'down');
  } catch (error) {
    throw error instanceof Reject ? new Reject('not-postern') : error;
  }
  if (frame.type !== TYPE.refused) return;
  const name = rejectName(frame.body.code);
  throw new Reject(/** @type {any} */ (name));
}

/** @param {any} request */
function enrolAnswer(request) {
  const pins = { genesis: fromHex(request.genesis), recovery: fromHex(request.recovery) };
  const place = channelOf({ ...request, root: request.genesis });
  const publicKey = fromHex(request.public_key);
  const asked = untag(fromHex(request.request));
  const aad = channel.aadTenant(KIND.enrolRequest, place.genesis, place.tenant);
  const { messageId } = verifyEnvelope(asked, { role: 'enrolling', plane: null, keys: [publicKey], aad: () => aad });
  const { type, body } = parseFrame(fromHex(request.frame), 'down');
  ensure(type === TYPE.enrolled, 'frame-direction');
  return { bundle_number: acceptEnrolled(body, place, pins, messageId, publicKey).number };
}

/** @param {any} request */
function rotation(request) {
  const place = channelOf(request);
  const bytes = fromHex(request.request);
  const key = namedKey(bytes);
  const aad = channel.aadTenant(KIND.enrolRequest, place.genesis, place.tenant);
  const found = verifyEnvelope(bytes, { role: 'enrolling', plane: null, keys: [key], aad: () => aad });
  const { token, device, incarnation } = found.content;
  const mine = equal(token, fromHex(request.current).slice(0, 8)) && device === place.device;
  ensure(mine && equal(incarnation, place.incarnation), 'token-unknown');
  ensure(!equal(thumbprint(key), fromHex(request.current)), 'token-used');
  return { message_id: toHex(found.messageId), next: toHex(thumbprint(key)) };
}

/** @param {any} request */
function evidence(request) {
  const place = channelOf(request);
  const plane = request.role === 'device' ? 0n : 1n;
  const aad = (/** @type {bigint} */ kind) => channel.aadPlane(kind, place, plane);
  const found = verifyEnvelope(untag(fromHex(request.cose)), { role: request.role, plane, keys: [fromHex(request.reader_key)], aad });
  const accused = { role: /** @type {any} */ (plane === 0n ? 'writer' : 'device'), plane, keys: [fromHex(request.accused_key)], aad };
  const proved = found.content.messages.map((/** @type {any} */ { id, envelope }) => {
    if (envelope === null) return false;
    const inner = verifyEnvelope(envelope, accused);
    ensure(equal(inner.messageId, id), 'digest-mismatch');
    return true;
  });
  return { proved };
}

/** @param {any} request */
function bundle(request) {
  const pins = { genesis: fromHex(request.genesis), recovery: fromHex(request.recovery) };
  const held = acceptBundles(pins, null, request.held.map((/** @type {string} */ hex) => untag(fromHex(hex))));
  return { message_id: toHex(acceptBundle(pins, held, untag(fromHex(request.incoming))).messageId) };
}

/** @param {any} request */
function line(request) {
  if (request.form === 'trust') {
    const { pins, bundles } = readTrustLine(request.text);
    return { bundles, root: toHex(pins.genesis), recovery: toHex(pins.recovery) };
  }
  const { key, urls } = readRelayLine(request.text);
  return { thumbprint: toHex(thumbprint(key)), urls };
}

/** @type {Record<string, (request: any) => any>} */
export const MESSAGES = {
  'cbor.check': (request) => void decode(fromHex(request.input)),
  'key.thumbprint': (request) => {
    const key = fromHex(request.public_key);
    checkKey(key);
    return { cose_key: toHex(encode(toCoseKey(key))), thumbprint: toHex(thumbprint(key)), kid: toHex(keyId(key)) };
  },
  'channel.id': (request) => {
    const { preimage, id } = channel.channelId(fromHex(request.root), request.tenant, request.device);
    return { preimage: toHex(preimage), channel_id: toHex(id) };
  },
  'greeter.id': greeterId,
  'ed25519.verify': verifySignature(32),
  'esp256.verify': verifySignature(65),
  'sign1.verify': verifySign1,
  'frame.parse': (request) => {
    const bytes = fromHex(request.input);
    return { type: parseFrame(bytes, request.direction).type, bytes: bytes.length };
  },
  'file.read': readFile,
  'exchange.answer': exchangeAnswer,
  'enrol.answer': enrolAnswer,
  'enrol.rotation': rotation,
  'evidence.verify': evidence,
  'bundle.accept': bundle,
  'line.read': line,
};

