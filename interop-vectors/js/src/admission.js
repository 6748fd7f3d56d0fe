// How admissions of one channel compare.
// Implements the comparison of spec/relays.md #admission; their payload stands in src/payloads.js.

import { equalBytes } from './bytes.js';
import { demand } from './reject.js';

/** @typedef {{generation: bigint, epoch: bigint, number: bigint, digest: Uint8Array}} Admission */

/**
 * @param {Admission | null} stored
 * @param {Admission} incoming
 * @returns {'accept' | 'duplicate'}
 */
export function compareAdmissions(stored, incoming) {
  if (!stored) return 'accept';
  const differing = (/** @type {const} */ (['generation', 'epoch', 'number'])).find((part) => incoming[part] !== stored[part]);
  if (differing) {
    demand(incoming[differing] > stored[differing], 'admission-stale');
    return 'accept';
  }
  demand(equalBytes(incoming.digest, stored.digest), 'equivocation');
  return 'duplicate';
}
