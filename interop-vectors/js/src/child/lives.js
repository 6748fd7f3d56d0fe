// Operations about trust, enrolment, evidence and the lines of operators.
// See interop-vectors/README.md #operations.

import { toHex } from '../bytes.js';
import { untag } from '../cose.js';
import { acceptAnswer, acceptRequest, acceptRotation, requestId } from '../enrolment.js';
import { verifyEvidence } from '../evidence.js';
import { FRAME, readPlainFrame } from '../frames.js';
import { thumbprint } from '../keys.js';
import { LineError, readRelayLine, readTrustLine } from '../lines.js';
import { Reject, demand } from '../reject.js';
import { acceptBundle, storedBundle } from '../trust.js';
import { BadRequest, channelOf, hex, hexValue, list, member, text } from './request.js';

/** @param {any} request */
function bundleAccept(request) {
  const pins = { genesis: hex(request, 'genesis'), recovery: hex(request, 'recovery') };
  const held = list(request, 'held').at(-1);
  const before = held === undefined ? null : storedBundle(pins.genesis, untag(hexValue(held)));
  const { messageId } = acceptBundle(pins, before, untag(hex(request, 'incoming')));
  return { message_id: toHex(messageId) };
}

/** @param {any} request */
function enrolRequest(request) {
  const frame = readPlainFrame(hex(request, 'frame'), 'up');
  demand(frame.type === FRAME.enrol, 'frame-unknown');
  const invitations = list(request, 'invitations').map((invitation) => ({
    token: hex(invitation, 'token'),
    secret: hex(invitation, 'secret'),
    tenant: text(invitation, 'tenant'),
    device: text(invitation, 'device'),
    usedBy: invitation.used_by ? hex(invitation, 'used_by') : null,
  }));
  const { mac, messageId } = acceptRequest(frame, hex(request, 'root'), invitations);
  return { mac: toHex(mac), message_id: toHex(messageId) };
}

/** @param {any} request */
function enrolAnswer(request) {
  const frame = readPlainFrame(hex(request, 'frame'), 'down');
  demand(frame.type === FRAME.enrolled, 'frame-unknown');
  const pins = { genesis: hex(request, 'genesis'), recovery: hex(request, 'recovery') };
  const place = channelOf({ ...request, root: request.genesis });
  const id = requestId(untag(hex(request, 'request')), place);
  const { bundle, unixS } = acceptAnswer(frame, pins, place, hex(request, 'public_key'), id);
  return { bundle_number: bundle.number, unix_s: unixS };
}

/** @param {any} request */
function enrolRotation(request) {
  const { messageId, next } = acceptRotation(hex(request, 'request'), hex(request, 'current'), channelOf(request));
  return { message_id: toHex(messageId), next: toHex(next) };
}

/** @param {any} request */
function evidenceVerify(request) {
  const role = text(request, 'role');
  if (role !== 'device' && role !== 'writer') throw new Reject('signer-role');
  const [readerKey, accusedKey] = [hex(request, 'reader_key'), hex(request, 'accused_key')];
  const { proved } = verifyEvidence(untag(hex(request, 'cose')), role, readerKey, accusedKey, channelOf(request));
  return { proved };
}

/** @param {any} request */
function lineRead(request) {
  const line = text(request, 'text');
  try {
    if (member(request, 'form') === 'relay') {
      const { key, urls } = readRelayLine(line);
      return { thumbprint: toHex(thumbprint(key)), urls };
    }
    const { genesis, recovery, bundle } = readTrustLine(line);
    return { root: toHex(genesis), recovery: toHex(recovery), bundles: bundle.number };
  } catch (error) {
    if (error instanceof LineError) throw new BadRequest('this line has no reject');
    throw error;
  }
}

/** @type {Record<string, (request: any) => any>} */
export const operations = {
  'bundle.accept': bundleAccept,
  'enrol.request': enrolRequest,
  'enrol.answer': enrolAnswer,
  'enrol.rotation': enrolRotation,
  'evidence.verify': evidenceVerify,
  'line.read': lineRead,
};
