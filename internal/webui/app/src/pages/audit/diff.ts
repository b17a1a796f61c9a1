/** A leaf that differs between two states of a thing. undefined means that it was not there. */
export interface Difference {
  /** Such as upstreams[0].weight. */
  field: string
  before: unknown
  after: unknown
}

type Fields = Record<string, unknown>

function isFields(value: unknown): value is Fields {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function same(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b)
}

/** differences goes down to the leaves that differ, in the order of the fields. */
export function differences(before: Fields, after: Fields): Difference[] {
  const found: Difference[] = []
  compare('', before, after, found)
  return found
}

function compare(path: string, before: unknown, after: unknown, found: Difference[]): void {
  if (path !== '' && same(before, after)) return
  if (isFields(before) && isFields(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)])) compare(path ? `${path}.${name}` : name, before[name], after[name], found)
    return
  }
  if (Array.isArray(before) && Array.isArray(after) && [...before, ...after].every(isFields)) {
    for (let i = 0; i < Math.max(before.length, after.length); i++) compare(`${path}[${i}]`, before[i], after[i], found)
    return
  }
  found.push({ field: path, before, after })
}

/** written is a value as people read it: texts as they are, everything else as JSON. Nothing for what is not there or empty. */
export function written(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value, null, isFields(value) || Array.isArray(value) ? 1 : 0)
}
