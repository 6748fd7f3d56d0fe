// JSON whose integers are exact: they are read and written as bigint, as interop-vectors/CLIENT-CLI.md asks.

const TOKEN = /"(?:[^"\\]|\\.)*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * Reads JSON with every integer as bigint; undefined where the text is none.
 * @param {string} text
 * @returns {any}
 */
export function parseExact(text) {
  // Numbers become text that begins with n, and text begins with t.
  const marked = text.replace(TOKEN, (token) => (token.startsWith('"') ? `"t${token.slice(1)}` : `"n${token}"`));
  try {
    return unmark(JSON.parse(marked));
  } catch {
    return undefined;
  }
}

/** @param {any} value @returns {any} */
function unmark(value) {
  if (typeof value === 'string') return value.startsWith('t') ? value.slice(1) : readNumber(value.slice(1));
  if (Array.isArray(value)) return value.map(unmark);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => {
    if (!name.startsWith('t')) throw new SyntaxError('a number is no name');
    return [name.slice(1), unmark(member)];
  }));
}

/** @param {string} token */
function readNumber(token) {
  return /^-?\d+$/.test(token) ? BigInt(token) : Number(token);
}

/** @param {any} value @returns {string} */
export function stringifyExact(value) {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map((member) => stringifyExact(member ?? null)).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${stringifyExact(member)}`).join(',')}}`;
  }
  return JSON.stringify(value);
}
