// One exchange over HTTP: what counts as the answer of a mailbox.
// Implements spec/postern.md #http-binding and the rules of #answer and #frames about answers that are none.

import { FRAME, isFrameType, travelsDown } from './frames.js';
import { Reject, demand } from './reject.js';
import { refusal } from './session.js';

/**
 * The frame of an HTTP answer. The content type does not matter, the status does. A page, an empty answer, or the
 * interface of somebody else is no frame; how a frame is wrong is judged by who reads it.
 * @param {number} status @param {Uint8Array} body @returns {Uint8Array}
 */
export function frameOfAnswer(status, body) {
  demand(status === 200 && body.length > 0 && isFrameType(body[0]), 'not-postern');
  return body;
}

/**
 * An answer judged without a session. Of a session frame nothing is read, because its tag is not checked; frame 22 is
 * refused with the reject that it names, and with `overloaded` where nobody knows its number.
 * @param {number} status @param {Uint8Array} body
 */
export function judgeAnswer(status, body) {
  const frame = frameOfAnswer(status, body);
  demand(travelsDown(frame[0]), 'not-postern');
  if (frame[0] !== FRAME.refused) return;
  let reason;
  try {
    ({ reason } = refusal(frame));
  } catch {
    reason = 'not-postern';
  }
  throw new Reject(reason === 'unknown' ? 'overloaded' : reason);
}
