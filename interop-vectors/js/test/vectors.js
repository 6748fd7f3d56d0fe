// Runs the vectors in this process: node test/vectors.js FOLDER [OPERATION]
// Compares result, error and every output that both a vector and the answer hold.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { answer, OPERATIONS } from '../src/child/child.js';
import { parseExact, stringifyExact } from '../src/json.js';

const NOT_ASKED = ['name', 'spec', 'comment', 'flags', 'result', 'error'];

/** The state that `fill` stands for. @param {any} fill */
function filled({ sections, keys, bytes }) {
  const four = (/** @type {number} */ number) => String(number).padStart(4, '0');
  /** @type {Record<string, any>} */
  const state = {};
  for (let s = 0; s < Number(sections); s++) {
    for (let k = 0; k < Number(keys); k++) state[`s${four(s)}/k${four(k)}`] = { bytes: '5a'.repeat(Number(bytes)) };
  }
  return state;
}

/** What differs, or undefined. @param {any} wanted @param {any} given @param {string} where @returns {string | undefined} */
function difference(wanted, given, where) {
  const [end, givenEnd] = [wanted, given].map(({ result, error }) => `${result} ${error ?? ''}`);
  if (end !== givenEnd) return `${where}result: wanted ${end}, given ${givenEnd}`;
  for (const [name, value] of Object.entries(wanted)) {
    const key = name === 'id' ? 'greeter_id' : name;
    if (key === 'steps' || !Object.hasOwn(given, key)) continue;
    if (canonical(value) !== canonical(given[key])) return `${where}${name}: wanted ${canonical(value)}, given ${canonical(given[key])}`;
  }
  return steps(wanted, given);
}

/** @param {any} wanted @param {any} given */
function steps(wanted, given) {
  if (!wanted.steps || !given.steps) return undefined;
  if (wanted.steps.length !== given.steps.length) return `${given.steps.length} steps of ${wanted.steps.length}`;
  for (const [at, step] of wanted.steps.entries()) {
    const differs = difference({ ...step, ...step.expect }, given.steps[at], `step ${at}: `);
    if (differs) return differs;
  }
  return undefined;
}

/** One text for one value, whatever the order of members. @param {any} value @returns {string} */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical)}]`;
  if (value === null || typeof value !== 'object') return stringifyExact(value);
  return `{${Object.keys(value).sort().map((name) => `${name}:${canonical(value[name])}`)}}`;
}

const [folder, only] = process.argv.slice(2);
const manifest = parseExact(readFileSync(join(folder, 'manifest.json'), 'utf8'));
/** @type {Map<string, {passed: number, failed: number, unsupported: number}>} */
const counts = new Map();
const outputsSeen = new Map();
for (const { file } of manifest.files) {
  const { operation, tests } = parseExact(readFileSync(join(folder, file), 'utf8'));
  if (!operation || (only && operation !== only && !file.startsWith(only))) continue;
  const key = file.split('/')[0];
  const count = counts.get(key) ?? { passed: 0, failed: 0, unsupported: 0 };
  counts.set(key, count);
  if (!Object.hasOwn(OPERATIONS, operation)) {
    count.unsupported += tests.length;
    continue;
  }
  for (const test of tests) {
    const request = Object.fromEntries(Object.entries(test).filter(([name]) => !NOT_ASKED.includes(name)));
    if (test.fill) request.state = filled(test.fill);
    const given = answer({ ...request, op: operation, id: 1n });
    for (const name of Object.keys(given)) outputsSeen.set(operation, (outputsSeen.get(operation) ?? new Set()).add(name));
    const differs = difference(test, { ...given, id: undefined }, '');
    if (differs) console.log(`FAILED ${test.name} (${operation}, ${file})\n  ${test.comment}\n  ${differs.slice(0, 400)}`);
    if (differs) count.failed += 1;
    else count.passed += 1;
  }
}
if (only) for (const [operation, names] of outputsSeen) console.log(operation, 'gives', [...names].join(' '));
console.table(Object.fromEntries(counts));
process.exitCode = [...counts.values()].some(({ failed, unsupported }) => failed || unsupported) ? 1 : 0;
