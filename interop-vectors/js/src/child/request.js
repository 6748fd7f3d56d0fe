// Members of a request. A member that is missing is the runner's fault, and never an answer.

import { fromHex } from '../bytes.js';

/** A request whose JSON is broken or lacks a member: it is answered with `unsupported`. */
export class BadRequest extends Error {}

/** @param {any} request @param {string} name @returns {any} */
export function member(request, name) {
  const value = request?.[name];
  if (value === undefined) throw new BadRequest(`${name} is missing`);
  return value;
}

/** @param {any} request @param {string} name @returns {Uint8Array} */
export function hex(request, name) {
  return hexValue(member(request, name));
}

/** @param {any} value @returns {Uint8Array} */
export function hexValue(value) {
  if (typeof value !== 'string' || !/^(?:[0-9a-f]{2})*$/.test(value)) throw new BadRequest('no hexadecimal');
  return fromHex(value);
}

/** @param {any} request @param {string} name @returns {string} */
export function text(request, name) {
  const value = member(request, name);
  if (typeof value !== 'string') throw new BadRequest(`${name} is no text`);
  return value;
}

/** @param {any} request @param {string} name @returns {bigint} */
export function integer(request, name) {
  const value = member(request, name);
  if (typeof value !== 'bigint') throw new BadRequest(`${name} is no integer`);
  return value;
}

/** @param {any} request @param {string} name @returns {Record<string, any>} */
export function object(request, name) {
  const value = member(request, name);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new BadRequest(`${name} is no object`);
  return value;
}

/** @param {any} request @param {string} name @returns {any[]} */
export function list(request, name) {
  const value = member(request, name);
  if (!Array.isArray(value)) throw new BadRequest(`${name} is no array`);
  return value;
}

/** The channel and the life that a request is about. @param {any} request */
export function channelOf(request) {
  return {
    genesis: hex(request, 'root'),
    tenant: text(request, 'tenant'),
    device: text(request, 'device'),
    incarnation: hex(request, 'incarnation'),
  };
}
