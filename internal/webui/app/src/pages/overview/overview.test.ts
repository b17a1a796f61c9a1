import { describe, expect, test } from 'vitest'
import type { AuditEvent, Wire } from '@/api/types'
import { changes } from './changes'
import { direction, pulse, successShare } from './pulse'
import { parts } from './remedy'
import { groupLines, latencyLines, minutesOf, modelLines, rates, strongest } from './series'
import { byDryness, problems, verdict } from './verdict'

const at = Date.parse('2026-05-04T12:00:30Z')

function row(start: string, change: Partial<Wire<'StatisticsRow'>> = {}): Wire<'StatisticsRow'> {
  return {
    start,
    requests: 10,
    succeeded: 8,
    client_faults: 1,
    failed: 1,
    retries: 0,
    request_bytes: 0,
    response_bytes: 0,
    mean_duration_ms: 0,
    mean_first_byte_ms: 0,
    ...change,
  }
}

describe('the pulse', () => {
  test('is about the last ten whole minutes and those an hour before', () => {
    const got = pulse([row('2026-05-04T10:49:00Z'), row('2026-05-04T10:50:00Z'), row('2026-05-04T10:59:00Z'), row('2026-05-04T11:50:00Z'), row('2026-05-04T12:00:00Z')], at)
    expect(got.now).toEqual({ requests: 10, succeeded: 8, failed: 1 })
    expect(got.before).toEqual({ requests: 10, succeeded: 8, failed: 1 })
    expect(got.perMinute).toHaveLength(60)
    expect(got.perMinute[50]).toBe(10)
    expect(got.perMinute.reduce((a, b) => a + b)).toBe(10)
  })

  test('leaves the mistakes of clients out of the share', () => {
    expect(successShare({ succeeded: 3, failed: 1 })).toBe(0.75)
    expect(successShare({ succeeded: 0, failed: 0 })).toBeUndefined()
  })

  test('moves up, down or not', () => {
    expect([direction(2, 1), direction(1, 2), direction(1, 1), direction(0.999, 0.9995, 0.001)]).toEqual(['up', 'down', 'same', 'same'])
  })
})

describe('series', () => {
  test('are rates, so that the step under way is no outage; one that has only begun is left out', () => {
    const hours = ['2026-05-04T10:00:00Z', '2026-05-04T11:00:00Z', '2026-05-04T12:00:00Z'].map((text) => Date.parse(text))
    expect(minutesOf(hours, 'hour', at)).toEqual([60, 60])
    const minutes = minutesOf(hours, 'hour', at + 30 * 60_000 - 30_000)
    expect(minutes).toEqual([60, 60, 30])
    expect(rates([120, 60, 30], minutes)).toEqual([2, 1, 1])
    expect(minutesOf([at - 90_000, at - 30_000], 'minute', at)).toEqual([1])
  })

  test('keep the strongest lines and add up the others', () => {
    const lines = ['a', 'b', 'c', 'd', 'e', 'f', 'none'].map((label, i) => ({ label, counts: label === 'none' ? [0, 0] : [i, 1] }))
    const kept = strongest(lines, 'others', [5, 5])
    expect(kept.map((line) => line.label)).toEqual(['f', 'e', 'd', 'c', 'others'])
    expect(kept[4]!.counts).toEqual([6, 7])
    expect(strongest([{ label: 'a', counts: [1] }], 'others')).toEqual([{ label: 'a', counts: [1] }])
  })

  test('of groups name those that were deleted', () => {
    const point = (failed: number) => ({ start: '2026-05-04T11:00:00Z', requests: 9, succeeded: 9 - failed, client_faults: 0, failed })
    const chart = {
      period: '1h',
      step: 'hour',
      from: '',
      to: '',
      total: [],
      groups: [
        { group_id: '7', group_name: '', points: [point(2)] },
        { group_id: '8', group_name: 'main', points: [point(0)] },
      ],
      others: [point(1)],
    } satisfies Wire<'Chart'>
    expect(groupLines(chart, 'failed', (id) => `group ${id}`, 'others')).toEqual([
      { label: 'group 7', counts: [2] },
      { label: 'others', counts: [1] },
    ])
  })

  test('of models put each row to its step', () => {
    const starts = [Date.parse('2026-05-04T10:00:00Z'), Date.parse('2026-05-04T11:00:00Z')]
    const rows = [row('2026-05-04T11:00:00Z', { model: 'm' }), row('2026-05-04T10:00:00Z', { model: '' }), row('2026-05-03T10:00:00Z', { model: 'm' })]
    expect(modelLines(rows, starts, 'requests', 'unnamed', 'others')).toEqual([
      { label: 'm', counts: [0, 10] },
      { label: 'unnamed', counts: [10, 0] },
    ])
  })

  test('of latencies have gaps where nothing was', () => {
    const starts = [Date.parse('2026-05-04T10:00:00Z'), Date.parse('2026-05-04T11:00:00Z')]
    const lines = latencyLines([row('2026-05-04T11:00:00Z', { duration: { p50_ms: 1, p95_ms: 2, p99_ms: 3 } })], starts, 'duration')
    expect(lines.map((line) => [line.label, ...line.values])).toEqual([
      ['p50', null, 1],
      ['p95', null, 2],
      ['p99', null, 3],
    ])
  })
})

function group(id: string, active: number, cooling = 0, invalid = 0): Wire<'DashboardGroup'> {
  return { id, name: id, kind: 'standard', keys: { active, cooling, invalid, disabled: 0 } }
}

describe('the verdict', () => {
  test('has the groups that run dry next first and those without keys last', () => {
    const sorted = byDryness([group('full', 9), group('none', 0), group('dry', 0, 3), group('half', 2, 2), group('two', 2)])
    expect(sorted.map((one) => one.id)).toEqual(['dry', 'half', 'two', 'full', 'none'])
  })

  test('is bad when clients suffer, and says by what', () => {
    const recent = new Map([
      ['dry', { requests: 4, succeeded: 0, failed: 4 }],
      ['none', { requests: 1, succeeded: 0, failed: 1 }],
      ['failing', { requests: 20, succeeded: 8, failed: 12 }],
      ['some', { requests: 20, succeeded: 17, failed: 3 }],
    ])
    const found = problems({ groups: [group('dry', 0, 3), group('none', 0), group('failing', 4), group('some', 4), group('low', 1, 9), group('idle', 0, 0, 2)], security: [] }, recent)
    expect(found.map((one) => [one.level, one.kind, 'group' in one ? one.group.id : ''])).toEqual([
      ['bad', 'dry', 'dry'],
      ['bad', 'failing', 'failing'],
      ['bad', 'keyless', 'none'],
      ['warn', 'dry', 'idle'],
      ['warn', 'low', 'low'],
      ['warn', 'failing', 'some'],
    ])
    expect(verdict(found, { requests: 45, succeeded: 25, failed: 20 })).toBe('bad')
  })

  test('is good, or idle, when nothing is wrong; a finding is no outage', () => {
    const finding = { code: 'auth_key_weak', severity: 'high', message: '', remedy: '' } as const
    const found = problems({ groups: [group('full', 9), group('none', 0)], security: [finding] }, new Map())
    expect(found.map((one) => one.kind)).toEqual(['finding'])
    expect(verdict(found, { requests: 1, succeeded: 1, failed: 0 })).toBe('good')
    expect(verdict(found, { requests: 0, succeeded: 0, failed: 0 })).toBe('idle')
  })
})

function event(change: Partial<AuditEvent>): AuditEvent {
  return { id: '', at: '', kind: 'key.invalidated', who: { kind: 'system' }, node: 'a', noun: 'key', count: 1, before: {}, after: {}, undoable: false, ...change }
}

test('keys that die of one cause are one line; sign-ins are none', () => {
  const dead = { group_id: '1', reason: 'invalid_api_key' }
  const lines = changes(
    [
      event(dead),
      event({ kind: 'session.opened', noun: 'session' }),
      event({ ...dead, group_id: '2' }),
      event({ ...dead, count: 3 }),
      event({ kind: 'settings.changed', noun: 'settings' }),
      event({ kind: 'settings.changed', noun: 'settings' }),
    ],
    3,
  )
  expect(lines.map((line) => [line.event.kind, line.event.group_id, line.count, line.events])).toEqual([
    ['key.invalidated', '1', 4, 2],
    ['key.invalidated', '2', 1, 1],
    ['settings.changed', undefined, 1, 1],
  ])
})

test('what is to be typed is told from words', () => {
  expect(parts('Make one with `openssl rand -hex 24`, then <b>.')).toEqual([
    { text: 'Make one with ', code: false },
    { text: 'openssl rand -hex 24', code: true },
    { text: ', then <b>.', code: false },
  ])
})
