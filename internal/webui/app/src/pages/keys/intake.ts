/** What was pasted, as far as it shows without a server. */
export interface Intake {
  lines: number
  bytes: number
  /** text: values with something between; list: a JSON list of values; file: says more than values, as CSV with a head or JSON objects. */
  kind: 'empty' | 'text' | 'list' | 'file'
}

/** More than this is sent as a file, so that it becomes an operation with progress. Bytes. */
export const mostDirect = 512 * 1024

const columns = ['key', 'api_key', 'value', 'token']

export function intake(text: string): Intake {
  const start = text.slice(0, 4096).trimStart()
  let lines = 0
  for (let at = -1; (at = text.indexOf('\n', at + 1)) >= 0; ) lines++
  if (text !== '' && !text.endsWith('\n')) lines++
  return { lines, bytes: new Blob([text]).size, kind: kindOf(start) }
}

function kindOf(start: string): Intake['kind'] {
  if (start === '') return 'empty'
  if (start.startsWith('{') || /^\[\s*\{/.test(start)) return 'file'
  if (start.startsWith('[')) return 'list'
  const head = (start.split('\n', 1)[0] ?? '').split(',').map((word) => word.trim().replaceAll('"', '').toLowerCase())
  return head.length > 1 && columns.includes(head[0] ?? '') ? 'file' : 'text'
}

/** Whether what was pasted goes in one request that says at once what became of each line. */
export function isDirect(what: Intake): boolean {
  return what.bytes <= mostDirect && (what.kind === 'text' || what.kind === 'list')
}

const longestExcerpt = 40 // characters

/** excerpt is what stands in a line, from 1, shortened: for people to find what was refused among what they pasted. */
export function excerpt(text: string, line: number): string {
  const found = (text.split('\n', line)[line - 1] ?? '').trim()
  return found.length > longestExcerpt ? `${found.slice(0, longestExcerpt - 1)}…` : found
}
