// Joining: an identity from a join line, then enrolment until it is answered. Implements spec/lives.md#join-line and
// spec/postern.md#enrolment. The request is kept before it is sent, so that a repeated join is the same enrolment.
import { randomBytes } from 'node:crypto';
import { channelId } from '../channel.js';
import { acceptEnrolled, enrolFrame, sealRequest } from '../enrolment.js';
import { TYPE } from '../frames.js';
import { holds, newSeed, signingKey } from '../keys.js';
import { readJoinLine } from '../lines.js';
import { ensure, Reject } from '../reject.js';
import { mailboxPrints } from '../trust.js';
import { NO_REPORTS } from './reports.js';
import { Store } from './store.js';
import { expectPlain, Refused } from './way.js';
import { Transport, WayFailed } from './transport.js';

const EXCHANGE_MS = 15000; // milliseconds for an answer; arbitrary
const RETRY_MS = 2000; // milliseconds until a failed way is tried again; arbitrary
const PENDING = 94n;

/** @param {any} record @returns {import('../channel.js').Channel} */
export const channelOf = ({ genesis, tenant, device, incarnation }) => ({ genesis, tenant, device, incarnation });

/** A record that knows who it wants to be. @param {string} text of the join line */
function newRecord(text) {
  const line = readJoinLine(text);
  const seed = newSeed();
  const incarnation = new Uint8Array(randomBytes(16));
  const channel = { genesis: line.pins.genesis, tenant: line.tenant, device: line.device, incarnation };
  const request = sealRequest(signingKey(seed), channel, line.token, null);
  return {
    ...channel, recovery: line.pins.recovery, certificate: line.certificate, seed,
    place: channelId(channel.genesis, channel.tenant, channel.device).id,
    joining: {
      urls: line.urls, mailbox: line.mailbox, requestId: request.messageId,
      frame: enrolFrame(request, line.token, line.secret),
    },
    bundles: [], head: null, received: null, applied: null, frozen: null, bodies: [], accepted: null, evidence: null,
    rotation: null, receipts: [], reports: NO_REPORTS(),
  };
}

/** Joins, or goes on joining. @param {string} folder @param {string} text @param {{proxy?: string, ca?: string}} options @param {(event: object) => void} tell */
export async function join(folder, text, options, tell) {
  let store = Store.open(folder);
  if (store && !store.record.joining) throw new Error('this folder holds a device that has joined');
  if (!store) {
    store = Store.create(folder, newRecord(text));
    store.commit();
  }
  const { record } = store;
  const transport = new Transport({ ...options, certificate: record.certificate });
  try {
    for (let attempt = 0; ; attempt++) {
      const url = record.joining.urls[attempt % record.joining.urls.length];
      const waitMs = await tryOnce(store, transport, url, tell);
      if (waitMs === null) return;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  } finally {
    transport.close();
  }
}

/** Milliseconds until the next attempt; null when it is done. @param {Store} store @param {Transport} transport @param {string} url @param {(event: object) => void} tell */
async function tryOnce(store, transport, url, tell) {
  const { record } = store;
  try {
    const body = expectPlain(await transport.exchange(url, record.joining.frame, EXCHANGE_MS), TYPE.enrolled);
    const pins = { genesis: record.genesis, recovery: record.recovery };
    const { publicKey } = signingKey(record.seed);
    const bundle = acceptEnrolled(body, channelOf(record), pins, record.joining.requestId, publicKey);
    const { mailbox } = record.joining;
    ensure(mailbox === null || holds(mailboxPrints(bundle), mailbox), 'mailbox-mismatch');
    Object.assign(record, { bundles: body.bundles, joining: null });
    store.commit();
    tell({ event: 'joined', device: record.device, bundle: String(bundle.number) });
    return null;
  } catch (error) {
    if (error instanceof Refused && error.code !== PENDING) throw error;
    if (!(error instanceof Refused || error instanceof WayFailed || error instanceof Reject)) throw error;
    tell({ event: 'not joined yet', url, reason: error.message });
    const advised = error instanceof Refused ? Number(error.retryMs ?? RETRY_MS) : RETRY_MS;
    return Math.min(Math.max(advised, 200), 60000);
  }
}
