// Snapshots: the section table and the lineage.
// Implements spec/postern.md #snapshot and #lineage, and the table of spec/encryption.md #encrypted-snapshot.

import { equalBytes, isBytes, isUint } from './bytes.js';
import { LINEAGE_MAX, SECTIONS_MAX } from './limits.js';
import { demand } from './reject.js';
import { checkSection, rootDigest } from './state.js';

/**
 * What a table says of one section: the digest of its body, and the digest that names the bytes in fetches, puts and
 * files. In a readable table both are one.
 * @typedef {{digest: Uint8Array, stored: Uint8Array}} Row
 */

/** @typedef {{table: Map<string, Row>, lineage: LineageEntry[], generation?: bigint}} Snapshot */
/** @typedef {{epoch: bigint, seq: bigint, digest: Uint8Array}} LineageEntry */

/**
 * Checks the form of a payload. The digest of a readable table is compared here; that of an encrypted one needs keys.
 * @param {{epoch: bigint, digest: Uint8Array}} position
 * @param {any} payload decoded
 * @returns {Snapshot}
 */
export function readSnapshot(position, payload) {
  demand(Array.isArray(payload) && (payload.length === 2 || payload.length === 3), 'shape');
  const [rows, entries, generation] = payload;
  const { table, encrypted } = readTable(rows);
  if (payload.length === 2) demand(!encrypted, 'shape');
  const lineage = readLineage(entries, position.epoch);
  if (payload.length === 3) {
    demand(isUint(generation, 1n) && (encrypted || table.size === 0), 'shape');
    return { table, lineage, generation };
  }
  checkRoot(table, position.digest);
  return { table, lineage };
}

/**
 * Reads a section table of either form.
 * @param {any} rows
 * @returns {{table: Map<string, Row>, encrypted: boolean}}
 */
export function readTable(rows) {
  demand(rows instanceof Map, 'shape');
  const table = new Map();
  let encrypted;
  for (const [section, row] of rows) {
    checkSection(section);
    const isPair = Array.isArray(row);
    const [digest, stored, ...more] = isPair ? row : [row, row];
    demand(isBytes(digest, 32) && isBytes(stored, 32) && more.length === 0, 'shape');
    demand(encrypted === undefined || encrypted === isPair, 'shape');
    encrypted = isPair;
    table.set(section, { digest, stored });
  }
  demand(table.size <= SECTIONS_MAX, 'state-oversize');
  return { table, encrypted: encrypted ?? false };
}

/**
 * Compares the root digest over a table with the one that a header signs.
 * @param {Map<string, Row>} table
 * @param {Uint8Array} digest
 * @param {Uint8Array} [digestKey] of an encrypted plane
 */
export function checkRoot(table, digest, digestKey) {
  const digests = new Map([...table].map(([section, row]) => [section, row.digest]));
  demand(equalBytes(rootDigest(digests, digestKey), digest), 'digest-mismatch');
}

/** @param {any} entries @param {bigint} ownEpoch @returns {LineageEntry[]} */
function readLineage(entries, ownEpoch) {
  demand(Array.isArray(entries), 'shape');
  demand(entries.length <= LINEAGE_MAX, 'lineage-invalid');
  let before = 0n;
  return entries.map((entry) => {
    demand(Array.isArray(entry) && entry.length === 3, 'shape');
    const [epoch, seq, digest] = entry;
    demand(isUint(epoch) && isUint(seq) && isBytes(digest, 32), 'shape');
    demand(epoch > before && epoch < ownEpoch && seq > 0n, 'lineage-invalid');
    before = epoch;
    return { epoch, seq, digest };
  });
}

/**
 * Whether a lineage says that its writer knows a head.
 * @param {LineageEntry[]} lineage
 * @param {LineageEntry} head
 * @returns {boolean}
 */
export function covers(lineage, head) {
  return lineage.some(({ epoch, seq, digest }) =>
    epoch === head.epoch && (seq > head.seq || (seq === head.seq && equalBytes(digest, head.digest))));
}
