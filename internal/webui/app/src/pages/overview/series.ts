import type { Wire } from '@/api/types'
import type { Series, Tone } from '@/components/TimeChart.vue'

type Point = Wire<'ChartPoint'>
type Chart = Wire<'Chart'>
type Row = Wire<'StatisticsRow'>

export type Measure = 'requests' | 'succeeded' | 'client_faults' | 'failed'

/** A name with what was counted in each step of the chart. */
export interface Line {
  label: string
  counts: readonly number[]
}

export const stepLength = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const
export type Step = keyof typeof stepLength

const tones: readonly Tone[] = ['accent', 'second', 'third', 'fourth']
/** A step that has only begun says little: it is shown when at least this share of it is over. */
const begun = 0.05

/**
 * minutesOf tells for each step how many minutes of it are over, so that counts become rates and the step under way does not look
 * like an outage. Steps at the end that have only begun are left out, as is the minute under way, whose records are still coming.
 */
export function minutesOf(starts: readonly number[], step: Step, now: number): number[] {
  const length = stepLength[step]
  const minutes: number[] = []
  for (const start of starts) {
    const over = Math.min(length, now - start)
    if (over < (step === 'minute' ? length : length * begun)) break
    minutes.push(over / 60_000)
  }
  return minutes
}

/** rates turns counts of steps into figures per minute. */
export function rates(counts: readonly number[], minutes: readonly number[]): number[] {
  return minutes.map((length, i) => (counts[i] ?? 0) / length)
}

export function counts(points: readonly Point[], measure: Measure): number[] {
  return points.map((point) => point[measure])
}

/** strongest keeps the lines with the highest sums, at most as many as there are tones, and adds up the others. */
export function strongest(lines: readonly Line[], others: string, rest: readonly number[] = []): Line[] {
  const sum = (line: Line) => line.counts.reduce((total, count) => total + count, 0)
  const sorted = lines.map((line) => ({ line, total: sum(line) })).filter((one) => one.total > 0)
  sorted.sort((a, b) => b.total - a.total)
  const kept = sorted.slice(0, tones.length).map((one) => one.line)
  const left = sorted.slice(tones.length).map((one) => one.line.counts)
  const total = [...left, rest].reduce<number[]>((sums, line) => line.map((count, i) => (sums[i] ?? 0) + count).concat(sums.slice(line.length)), [])
  return total.some((count) => count > 0) ? [...kept, { label: others, counts: total }] : kept
}

/** colored gives each line a tone; the others are grey. */
export function colored(lines: readonly Line[], minutes: readonly number[]): Series[] {
  return lines.map((line, i) => ({ label: line.label, values: rates(line.counts, minutes), tone: tones[i] ?? 'off' }))
}

/** groupLines are the lines of the groups of a chart. */
export function groupLines(chart: Chart, measure: Measure, deleted: (id: string) => string, others: string): Line[] {
  const lines = chart.groups.map((group) => ({ label: group.group_name || deleted(group.group_id), counts: counts(group.points, measure) }))
  return strongest(lines, others, counts(chart.others, measure))
}

/** modelLines are the lines of the models of rows told apart by time and model, at the given starts. */
export function modelLines(rows: readonly Row[], starts: readonly number[], measure: Measure, unnamed: string, others: string): Line[] {
  const at = new Map(starts.map((start, i) => [start, i]))
  const lines = new Map<string, number[]>()
  for (const row of rows) {
    const i = at.get(Date.parse(row.start ?? ''))
    if (i === undefined) continue
    const label = row.model || unnamed
    let line = lines.get(label)
    if (!line) lines.set(label, (line = starts.map(() => 0)))
    line[i] = (line[i] ?? 0) + row[measure]
  }
  return strongest(
    [...lines].map(([label, values]) => ({ label, counts: values })),
    others,
  )
}

export type Latency = 'duration' | 'first_byte'

/** latencyLines are the 50th, 95th and 99th percentiles in milliseconds. A step without requests leaves a gap. */
export function latencyLines(rows: readonly Row[], starts: readonly number[], which: Latency): Series[] {
  const at = new Map(rows.map((row) => [Date.parse(row.start ?? ''), row[which]]))
  const line = (label: string, of: 'p50_ms' | 'p95_ms' | 'p99_ms', tone: Tone): Series => ({ label, values: starts.map((start) => at.get(start)?.[of] ?? null), tone })
  return [line('p50', 'p50_ms', 'accent'), line('p95', 'p95_ms', 'warn'), line('p99', 'p99_ms', 'second')]
}
