import type { Wire } from '@/api/types'

type Row = Wire<'StatisticsRow'>

/** What became of requests in some time. */
export interface Sum {
  requests: number
  succeeded: number
  failed: number
}

/** Minutes that count as now. */
export const recent = 10
const minute = 60_000

/** How the last minutes went, the one under way included, and as many an hour before. */
export interface Pulse {
  now: Sum
  before: Sum
  /** Requests of each of the last 60 whole minutes. */
  perMinute: number[]
}

/** pulse sums up rows of minutes, of which those without requests may be left out. */
export function pulse(rows: readonly Row[], at: number): Pulse {
  const end = Math.floor(at / minute) * minute
  const between = (from: number, to: number): Sum => {
    const sum = { requests: 0, succeeded: 0, failed: 0 }
    for (const row of rows) {
      const start = Date.parse(row.start ?? '')
      if (start < from || start >= to) continue
      sum.requests += row.requests
      sum.succeeded += row.succeeded
      sum.failed += row.failed
    }
    return sum
  }
  const perMinute = Array.from({ length: 60 }, (_, i) => between(end - (60 - i) * minute, end - (59 - i) * minute).requests)
  const next = end + minute
  return { now: between(next - recent * minute, next), before: between(next - (60 + recent) * minute, next - 60 * minute), perMinute }
}

/** successShare is how much of what the clients did right succeeded, 0 to 1; undefined when there was nothing of it. */
export function successShare(sum: Pick<Sum, 'succeeded' | 'failed'>): number | undefined {
  const tried = sum.succeeded + sum.failed
  return tried > 0 ? sum.succeeded / tried : undefined
}

export type Direction = 'up' | 'down' | 'same'

/** direction says how a figure moved. What moved by less than the tolerance stayed the same. */
export function direction(now: number, before: number, tolerance = 0): Direction {
  if (Math.abs(now - before) <= tolerance) return 'same'
  return now > before ? 'up' : 'down'
}
