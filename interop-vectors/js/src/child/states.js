// Operations about states, their digests, and what is encrypted.
// See interop-vectors/README.md #operations.

import { toHex } from '../bytes.js';
import { decode } from '../cbor.js';
import { applyDelta, readDelta, readReadableDelta } from '../delta.js';
import { bodyAad, open, openPayload, readEncrypt0 } from '../encrypted.js';
import { Agreement } from '../keys.js';
import { takePlaneKey } from '../plane-key.js';
import { Reject } from '../reject.js';
import { checkSection, digestState, readBody } from '../state.js';
import { channelOf, hex, hexValue, integer, list, member, object, text } from './request.js';
import { hexTable, readState, typedState } from '../typed.js';

/** @param {any} request */
function stateDigest(request) {
  const { digest, sections } = digestState(readState(object(request, 'state')));
  return { digest: toHex(digest), sections: hexTable(sections) };
}

/** @param {any} request */
function encryptionDigest(request) {
  const { digest, sections } = digestState(readState(object(request, 'state')), hex(request, 'digest_key'));
  return { digest: toHex(digest), sections: hexTable(sections) };
}

/** @param {any} request */
function stateApply(request) {
  const base = readState(object(request, 'state'));
  const before = digestState(base).digest;
  const digest = hex(request, 'digest');
  const delta = readDelta(decode(hex(request, 'delta')));
  if ('encrypted' in delta) throw new Reject('plane-key-missing');
  const { state, sections } = applyDelta(base, delta, digest);
  return { before: toHex(before), digest: toHex(digest), sections: hexTable(sections), after: typedState(state) };
}

/** @param {any} request */
function bodyCheck(request) {
  const section = text(request, 'section');
  checkSection(section);
  readBody(section, hex(request, 'digest'), hex(request, 'body'));
}

/** @param {any} request */
function encryptionOpen(request) {
  const place = { ...channelOf(request), plane: integer(request, 'plane') };
  const held = list(request, 'keys').map((keys) => (
    { generation: integer(keys, 'generation'), desired: hex(keys, 'desired'), actual: hex(keys, 'actual') }));
  const input = hex(request, 'input');
  if (request.section !== undefined) {
    const [section, digest] = [text(request, 'section'), hex(request, 'digest')];
    const body = open(readEncrypt0(decode(input)), held, place.plane, bodyAad(place, section, digest));
    readBody(section, digest, body, hex(request, 'digest_key'));
    return { plaintext: toHex(body) };
  }
  const [kind, epoch, seq, base, digest] = list(request, 'position');
  const position = { kind, epoch, seq, base, digest: hexValue(digest) };
  const plaintext = openPayload(decode(input), held, place, position) ?? input;
  readReadableDelta(decode(plaintext));
  return { plaintext: toHex(plaintext) };
}

/** @param {any} request */
function planeKeyOpen(request) {
  const at = { writer: integer(request, 'writer'), epoch: integer(request, 'epoch'), generation: integer(request, 'generation') };
  const agreement = new Agreement(hex(request, 'secret'));
  const taken = takePlaneKey(hex(request, 'input'), at, heldKey(member(request, 'held')), agreement, channelOf(request));
  if (taken.outcome !== 'new') return { outcome: taken.outcome };
  const { digestKey, desired, actual } = taken.keys;
  return { outcome: 'new', digest_key: toHex(digestKey), desired: toHex(desired), actual: toHex(actual) };
}

/** @param {any} held */
function heldKey(held) {
  if (held === null) return null;
  return {
    writer: integer(held, 'writer'), epoch: integer(held, 'epoch'), generation: integer(held, 'generation'),
    payload: hex(held, 'payload'), digestKey: hex(held, 'digest_key'),
  };
}

/** @type {Record<string, (request: any) => any>} */
export const operations = {
  'state.digest': stateDigest,
  'state.apply': stateApply,
  'body.check': bodyCheck,
  'encryption.digest': encryptionDigest,
  'encryption.open': encryptionOpen,
  'plane-key.open': planeKeyOpen,
};
