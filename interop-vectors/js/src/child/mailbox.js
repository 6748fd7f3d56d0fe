// Operations that a mailbox or a controller does, and both ends of a hello. A device needs none of the former: they are
// here because a runner asks for them, and because they show the other side of what session.js and enrolment.js send.
import { agree, agreementPublic } from '../agreement.js';
import { equal, fromHex, sha256, toHex } from '../bytes.js';
import { aadDevice, aadTenant, aadTrust, channelId } from '../channel.js';
import { readEnvelope, signedBytes, verifyEnvelope } from '../cose.js';
import { enrolMac, namedKey } from '../enrolment.js';
import { parseFrame, TYPE } from '../frames.js';
import { thumbprint } from '../keys.js';
import { KIND } from '../kinds.js';
import { ensure } from '../reject.js';
import { deriveKeys, readChallenge, readWelcome } from '../session.js';
import { channelOf } from './json.js';

/** @param {ReturnType<typeof deriveKeys>} keys */
const shown = ({ transcript, keyUp, keyDown }) => ({ transcript: toHex(transcript), key_up: toHex(keyUp), key_down: toHex(keyDown) });

/** @param {any} request */
function derive(request) {
  const mailboxEphemeral = request.mailbox_ephemeral ? fromHex(request.mailbox_ephemeral) : agreementPublic(fromHex(request.mailbox_seed));
  const deviceEphemeral = fromHex(request.device_ephemeral);
  const shared = request.device_seed
    ? agree(fromHex(request.device_seed), mailboxEphemeral)
    : agree(fromHex(request.mailbox_seed), deviceEphemeral);
  const keys = deriveKeys({
    mailbox: fromHex(request.mailbox_thumbprint), challenge: fromHex(request.challenge), deviceEphemeral, mailboxEphemeral,
    place: fromHex(request.channel_id),
  }, shared);
  return { preimage: toHex(keys.preimage), shared: toHex(shared), ...shown(keys) };
}

/** Judges a hello once it is known who may have signed it. @param {any} request @param {any} body @param {import('../cose.js').Expected} expected */
function judgeHello(request, body, expected) {
  const hello = verifyEnvelope(body.hello, expected);
  const { challenge, ephemeral } = hello.content;
  const issued = request.issued.find((/** @type {any} */ row) => row.challenge === toHex(challenge));
  ensure(issued, 'challenge-unknown');
  const secret = fromHex(issued.mailbox_seed);
  const keys = deriveKeys({
    mailbox: fromHex(request.mailbox_thumbprint), challenge, deviceEphemeral: ephemeral,
    mailboxEphemeral: agreementPublic(secret), place: body.channel,
  }, agree(secret, ephemeral));
  ensure(equal(keys.transcript, hello.position.digest), 'digest-mismatch');
  return shown(keys);
}

/** @param {any} request */
function helloBody(request) {
  const { type, body } = parseFrame(fromHex(request.frame), 'up');
  ensure(type === TYPE.hello, 'frame-direction');
  return body;
}

/** @param {any} request */
function hello(request) {
  const body = helloBody(request);
  const served = request.channels.find((/** @type {any} */ row) => row.channel_id === toHex(body.channel));
  ensure(served, 'not-admitted');
  const aad = aadDevice(KIND.hello, channelOf(served));
  return judgeHello(request, body, { role: 'device', kind: KIND.hello, plane: null, keys: [fromHex(served.public_key)], aad: () => aad });
}

/** @param {any} request */
function greeting(request) {
  const body = helloBody(request);
  const served = request.greeters.find((/** @type {any} */ row) => row.id === toHex(body.channel));
  ensure(served, 'not-admitted');
  const genesis = fromHex(served.root);
  const aad = served.role === 'writer' ? aadTenant(KIND.hello, genesis, served.tenant) : aadTrust(KIND.hello, genesis);
  const expected = { role: served.role, kind: KIND.hello, plane: null, keys: [fromHex(served.public_key)], aad: () => aad };
  return { greeter: served.role, ...judgeHello(request, body, expected) };
}

/** @param {any} request */
function welcome(request) {
  const place = channelOf(request);
  const mailboxKey = fromHex(request.mailbox_key);
  const challenge = readChallenge(fromHex(request.challenge_frame), [thumbprint(mailboxKey)]);
  const secret = fromHex(request.device_seed);
  const keys = deriveKeys({
    ...challenge, deviceEphemeral: agreementPublic(secret), mailboxEphemeral: challenge.ephemeral,
    place: request.channel_id ? fromHex(request.channel_id) : channelIdOf(place),
  }, agree(secret, challenge.ephemeral));
  const { session } = readWelcome(fromHex(request.frame), mailboxKey, place, keys);
  return { session_id: toHex(session.id), key_up: toHex(session.keyUp), key_down: toHex(session.keyDown) };
}

/** @param {import('../channel.js').Channel} place */
const channelIdOf = (place) => channelId(place.genesis, place.tenant, place.device).id;

/** @param {any} request */
function enrolRequest(request) {
  const { type, body } = parseFrame(fromHex(request.frame), 'up');
  ensure(type === TYPE.enrol, 'frame-direction');
  const invitation = request.invitations.find((/** @type {any} */ row) => row.token === toHex(body.token));
  ensure(invitation, 'token-unknown');
  const genesis = fromHex(request.root);
  const aad = aadTenant(KIND.enrolRequest, genesis, invitation.tenant);
  const id = outline(body.request, aad);
  ensure(equal(enrolMac(fromHex(invitation.secret), id), body.mac), 'enrol-mac');
  const key = namedKey(body.request);
  const found = verifyEnvelope(body.request, { role: 'enrolling', plane: null, keys: [key], aad: () => aad });
  ensure(equal(found.content.token, body.token) && found.content.device === invitation.device, 'token-unknown');
  const used = invitation.used_by;
  ensure(!used || used === toHex(thumbprint(key)), 'token-used');
  return { mac: toHex(body.mac), message_id: toHex(found.messageId) };
}

/** Message id before the key is known. @param {Uint8Array} bytes @param {Uint8Array} aad */
function outline(bytes, aad) {
  const envelope = readEnvelope(bytes);
  ensure(envelope.position.kind === KIND.enrolRequest, 'signer-role');
  return sha256(signedBytes(envelope.protected, aad, envelope.payload));
}

/** @type {Record<string, (request: any) => any>} */
export const MAILBOX = {
  'session.derive': derive,
  'session.challenge': (request) => void readChallenge(fromHex(request.frame), request.mailboxes.map(fromHex)),
  'session.hello': hello,
  'session.greeting': greeting,
  'session.welcome': welcome,
  'enrol.request': enrolRequest,
};

