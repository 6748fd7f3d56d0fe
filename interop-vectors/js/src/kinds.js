// The kinds of envelopes: who signs them, for which plane, with which numbers. Implements spec/postern.md#kinds.

export const KIND = /** @type {const} */ ({
  delta: 0n, snapshot: 1n, report: 2n, reportAck: 3n, heartbeat: 4n, enrolRequest: 5n, enrolAnswer: 6n, bundle: 7n,
  admission: 8n, hello: 9n, welcome: 10n, receipt: 11n, evidence: 12n, planeKey: 13n, lost: 14n,
});

export const DESIRED = 0n;
export const ACTUAL = 1n;

/** @typedef {'writer' | 'device' | 'root' | 'mailbox' | 'enrolling'} Role */

const STATE = { writer: [DESIRED], device: [ACTUAL] };

/**
 * Of each kind: the planes that a role signs it for (null: without a plane), the rule of its numbers, and the lengths
 * that its digest may have.
 * @type {{signers: Partial<Record<Role, (bigint | null)[]>>, numbers: string, digest: number[]}[]}
 */
export const KINDS = [
  { signers: STATE, numbers: 'delta', digest: [32] },
  { signers: STATE, numbers: 'base-0', digest: [32] },
  { signers: { device: [ACTUAL] }, numbers: 'base-0', digest: [32, 0] },
  { signers: { writer: [DESIRED] }, numbers: 'base-0', digest: [0] },
  { signers: STATE, numbers: 'heartbeat', digest: [32, 0] },
  { signers: { enrolling: [null] }, numbers: 'zero', digest: [32] },
  { signers: { writer: [null] }, numbers: 'base-0', digest: [32] },
  { signers: { root: [null] }, numbers: 'bundle', digest: [32, 0] },
  { signers: { writer: [null] }, numbers: 'base-0', digest: [32] },
  { signers: { device: [null], writer: [null], mailbox: [null] }, numbers: 'zero', digest: [32] },
  { signers: { mailbox: [null] }, numbers: 'zero', digest: [32] },
  { signers: { mailbox: [null] }, numbers: 'base-0', digest: [32] },
  { signers: { device: [DESIRED], writer: [ACTUAL] }, numbers: 'base-0', digest: [32] },
  { signers: { writer: [null] }, numbers: 'base-0', digest: [32] },
  { signers: { mailbox: [DESIRED, ACTUAL] }, numbers: 'lost', digest: [0] },
];
