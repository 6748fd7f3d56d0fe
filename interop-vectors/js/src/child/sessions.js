// Operations about sessions: their handshake from both ends, their frames, streams and needs.
// See interop-vectors/README.md #operations.

import { toHex } from '../bytes.js';
import { Agreement, thumbprint } from '../keys.js';
import { NeedLimit, Served, ServedSession, readHello } from '../mailbox.js';
import { Reject } from '../reject.js';
import { Session, StreamOrder, deriveKeys, deviceHandshake, keysNamed, readChallenge, readWelcome } from '../session.js';
import { FRAME } from '../frames.js';
import { hex, hexValue, integer, list, member, text } from './request.js';

/** Either end, by the secret that the request holds. @param {any} request */
function derive(request) {
  const device = request.device_seed === undefined ? undefined : new Agreement(hex(request, 'device_seed'));
  const own = device ?? new Agreement(hex(request, 'mailbox_seed'));
  const handshake = {
    mailboxThumbprint: hex(request, 'mailbox_thumbprint'),
    challenge: hex(request, 'challenge'),
    deviceEphemeral: device?.publicKey ?? hex(request, 'device_ephemeral'),
    mailboxEphemeral: device ? hex(request, 'mailbox_ephemeral') : own.publicKey,
    channel: hex(request, 'channel_id'),
  };
  return keysInHex(deriveKeys(handshake, own, device ? handshake.mailboxEphemeral : handshake.deviceEphemeral));
}

/** @param {ReturnType<typeof deriveKeys>} keys */
function keysInHex(keys) {
  return {
    preimage: toHex(keys.preimage),
    transcript: toHex(keys.transcript),
    shared: toHex(keys.shared),
    key_up: toHex(keys.keyUp),
    key_down: toHex(keys.keyDown),
  };
}

/** @param {any} request */
function challenge(request) {
  readChallenge(hex(request, 'frame'), list(request, 'mailboxes').map(hexValue));
}

/** @param {any} request */
function issued(request) {
  return list(request, 'issued').map((one) => ({ challenge: hex(one, 'challenge'), secret: hex(one, 'mailbox_seed') }));
}

/** @param {any} request @param {import('../mailbox.js').Greeter[]} greeters */
function judgeHello(request, greeters) {
  const read = readHello(hex(request, 'frame'), issued(request), hex(request, 'mailbox_thumbprint'), greeters);
  return { role: read.role, ...keysInHex(read) };
}

/** @param {any} request */
function hello(request) {
  const { role, ...keys } = judgeHello(request, list(request, 'channels').map((one) => ({
    role: 'device',
    id: hex(one, 'channel_id'),
    place: {
      genesis: hex(one, 'root'), tenant: text(one, 'tenant'), device: text(one, 'device'), incarnation: hex(one, 'incarnation'),
    },
    key: hex(one, 'public_key'),
  })));
  return keys;
}

/** @param {any} request */
function greeting(request) {
  const { role, ...keys } = judgeHello(request, list(request, 'greeters').map((one) => ({
    role: /** @type {any} */ (text(one, 'role')),
    id: hex(one, 'id'),
    place: { genesis: hex(one, 'root'), tenant: text(one, 'tenant') },
    key: hex(one, 'public_key'),
  })));
  return { greeter: role, ...keys };
}

/** @param {any} request */
function welcome(request) {
  const key = hex(request, 'mailbox_key');
  const place = {
    genesis: hex(request, 'root'),
    tenant: text(request, 'tenant'),
    device: text(request, 'device'),
    incarnation: hex(request, 'incarnation'),
  };
  const given = readChallenge(hex(request, 'challenge_frame'), [thumbprint(key)]);
  const ephemeral = new Agreement(hex(request, 'device_seed'));
  const keys = deriveKeys(deviceHandshake(place, given, ephemeral.publicKey), ephemeral, given.mailboxEphemeral);
  const listed = keysNamed([key], given.mailboxThumbprint);
  const { session, unixS } = readWelcome(hex(request, 'frame'), place, keys.transcript, listed);
  return { session_id: toHex(session), key_up: toHex(keys.keyUp), key_down: toHex(keys.keyDown), unix_s: unixS };
}

/** Plays steps; each has its own result. @param {any} request @param {(step: any) => any} play */
function scenario(request, play) {
  const steps = list(request, 'steps').map((step) => {
    try {
      return { result: 'valid', ...play(step) };
    } catch (error) {
      if (error instanceof Reject) return { result: 'invalid', error: error.reason };
      throw error;
    }
  });
  return { steps };
}

/** @param {any} given */
function served(given) {
  return new ServedSession(hex(given, 'session_id'), hex(given, 'key_up'));
}

/** @param {any} request */
function up(request) {
  const sessions = new Served([served(request)]);
  return scenario(request, (step) => {
    sessions.up(hex(step, 'frame'));
  });
}

/** @param {any} request */
function switchSessions(request) {
  const sessions = new Served([served(member(request, 'older')), served(member(request, 'newer'))]);
  return scenario(request, (step) => {
    sessions.up(hex(step, 'frame'));
  });
}

/** @param {any} request */
function sessionOf(request) {
  return new Session(hex(request, 'session_id'), hex(request, 'key_up'), hex(request, 'key_down'));
}

/** @param {any} request */
function down(request) {
  const session = sessionOf(request);
  return scenario(request, (step) => {
    session.answer(hex(step, 'frame'), Number(integer(step, 'request')), [FRAME.answer, FRAME.bodies]);
  });
}

/** @param {any} request */
function stream(request) {
  const order = new StreamOrder(sessionOf(request), Number(integer(request, 'request')), Number(integer(request, 'frames')));
  return scenario(request, (step) => {
    order.answer(hex(step, 'frame'));
  });
}

/** @param {any} request */
function needLimit(request) {
  const limit = new NeedLimit();
  return scenario(request, (step) => {
    limit.serve(Number(integer(step, 'at_ms')), integer(step, 'plane'));
  });
}

/** @type {Record<string, (request: any) => any>} */
export const operations = {
  'session.derive': derive,
  'session.challenge': challenge,
  'session.hello': hello,
  'session.greeting': greeting,
  'session.welcome': welcome,
  'session.up': up,
  'session.down': down,
  'session.stream': stream,
  'session.switch': switchSessions,
  'need.limit': needLimit,
};
