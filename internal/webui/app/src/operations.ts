import type { Operation } from '@/api/types'
import { apiURL } from '@/base'
import { number } from '@/format'
import { m } from '@/i18n'

export function ended(operation: Operation): boolean {
  return operation.state === 'succeeded' || operation.state === 'failed' || operation.state === 'canceled'
}

/** How far it has come, from 0 to 1; undefined while that is not known. */
export function progress(operation: Operation): number | undefined {
  if (operation.state === 'succeeded') return 1
  return operation.total > 0 ? Math.min(1, operation.done / operation.total) : undefined
}

/** Where the file of an operation is, if it has one. That of an export is there only once it has succeeded. */
export function resultURL(operation: Operation): string | undefined {
  const there = operation.kind === 'export' ? operation.state === 'succeeded' : operation.result_bytes > 0 && ended(operation)
  return there ? `${apiURL}/operations/${operation.id}/result` : undefined
}

/** What became of keys, in words. */
export function outcomes(operation: Operation): { word: string; count: number }[] {
  const words = { ...m.value.classes, ...m.value.operations.outcomes } as Record<string, string>
  return Object.entries(operation.counts)
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => ({ word: words[outcome] ?? outcome, count }))
}

/** The same in one line. A class of errors is a sentence, which a count does not begin. */
export function tally(operation: Operation): string {
  const own = m.value.operations.outcomes as Record<string, string>
  const classes = m.value.classes as Record<string, string>
  return Object.entries(operation.counts)
    .filter(([, count]) => count > 0)
    .map(([outcome, count]) => (own[outcome] || !classes[outcome] ? `${number(count)} ${own[outcome] ?? outcome}` : `${number(count)} × ${classes[outcome]}`))
    .join(', ')
}

/** How long it may still take, in milliseconds; 0 while that is not known. */
export function timeLeft(operation: Operation): number {
  const { total, done, per_second } = operation
  return !ended(operation) && per_second > 0 && total > done ? ((total - done) / per_second) * 1000 : 0
}

/** runningFirst puts what is under way above what ended; each in the order in which it came. */
export function runningFirst(operations: readonly Operation[]): Operation[] {
  return [...operations.filter((one) => !ended(one)), ...operations.filter(ended)]
}
