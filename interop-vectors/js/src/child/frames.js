// Operations about frames, files, exchanges and byte figures.
// See interop-vectors/README.md #operations.

import { decode } from '../cbor.js';
import { judgeAnswer } from '../exchange.js';
import { frameType, parseFrame, readFile } from '../frames.js';
import { ENVELOPE_BYTES_MAX } from '../limits.js';
import { Reject, demand } from '../reject.js';
import { BadRequest, hex, integer, text } from './request.js';

const DIRECTIONS = ['up', 'down', 'file'];

/** @param {any} request */
function frameParse(request) {
  const input = hex(request, 'input');
  const direction = text(request, 'direction');
  if (!DIRECTIONS.includes(direction)) throw new BadRequest('no direction');
  const { type } = parseFrame(input, /** @type {any} */ (direction));
  return { type, bytes: input.length };
}

/** The frames before the first that is refused are told, too. @param {any} request */
function fileRead(request) {
  let frames = 0;
  try {
    readFile(hex(request, 'input'), () => {
      frames += 1;
    });
  } catch (error) {
    if (error instanceof Reject) return { frames, error: error.reason };
    throw error;
  }
  return { frames };
}

/** @param {any} request */
function exchangeAnswer(request) {
  judgeAnswer(Number(integer(request, 'status')), hex(request, 'body'));
}

/** A message of exactly so many bytes, within its budget. @param {any} request */
function bytes(request) {
  const input = hex(request, 'input');
  if (text(request, 'form') === 'envelope') {
    demand(input.length <= ENVELOPE_BYTES_MAX, 'oversize');
    decode(input);
  } else {
    const direction = DIRECTIONS.find((way) => travels(input, way));
    demand(direction, 'frame-unknown');
    parseFrame(input, /** @type {any} */ (direction));
  }
  demand(BigInt(input.length) === integer(request, 'bytes'), 'shape');
  demand(BigInt(input.length) <= integer(request, 'budget'), 'oversize');
  return { bytes: input.length };
}

/** @param {Uint8Array} input @param {any} way */
function travels(input, way) {
  try {
    frameType(input, way);
    return true;
  } catch {
    return false;
  }
}

/** @type {Record<string, (request: any) => any>} */
export const operations = {
  'frame.parse': frameParse,
  'file.read': fileRead,
  'exchange.answer': exchangeAnswer,
  bytes,
};
