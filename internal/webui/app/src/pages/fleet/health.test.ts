import { describe, expect, test } from 'vitest'
import type { FleetNode } from '@/api/types'
import { agentName } from './agent'
import { commonVersion, grave, leaderless, troubles } from './health'

function node(change: Partial<FleetNode> = {}): FleetNode {
  return {
    id: 'a',
    self: false,
    role: 'follower',
    version: '2.0.0',
    address: '10.0.0.1:3001',
    ready: true,
    serving_from: 'store',
    revision: 7,
    revision_lag: 0,
    key_revision: 9,
    key_revision_lag: 0,
    in_flight: 0,
    records_waiting: 0,
    records_dropped: 0,
    started_at: '2026-01-02T03:04:05Z',
    seen_at: '2026-01-02T03:04:05Z',
    clock_offset_ms: 0,
    ...change,
  }
}

describe('a node', () => {
  test('that is well has no troubles; the moment between a write and its news is none', () => {
    expect(troubles(node({ revision_lag: 1, key_revision_lag: 1, clock_offset_ms: -900 }), '2.0.0')).toEqual([])
  })

  test('has its troubles listed, the worst first', () => {
    const ill = node({ ready: false, serving_from: 'local copy', revision_lag: 4, key_revision_lag: 40, records_dropped: 1, clock_offset_ms: -4_000, version: '1.9.0' })
    expect(troubles(ill, '2.0.0')).toEqual(['notReady', 'localCopy', 'lagging', 'keysLagging', 'dropped', 'otherVersion', 'clock'])
    expect(troubles(ill, '2.0.0').filter(grave)).toEqual(['notReady', 'localCopy', 'dropped'])
  })
})

describe('a fleet', () => {
  test('runs the version of most of its nodes, else that of the node that answered', () => {
    expect(commonVersion([])).toBe('')
    expect(commonVersion([node({ version: '1' }), node({ version: '2' }), node({ version: '2' })])).toBe('2')
    expect(commonVersion([node({ version: '1' }), node({ version: '2', self: true })])).toBe('2')
  })

  test('without a leader is told from one that is only seen in part', () => {
    expect(leaderless([node(), node()], true)).toBe(true)
    expect(leaderless([node()], false)).toBe(false)
    expect(leaderless([node(), node({ role: 'leader' })], true)).toBe(false)
    expect(leaderless([node({ role: 'single' })], true)).toBe(false)
  })
})

test.each([
  ['Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0', 'Firefox, Linux'],
  ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0', 'Edge, Windows'],
  ['Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1', 'Safari, iOS'],
  ['curl/8.5.0', 'curl/8.5.0'],
  ['', ''],
])('the agent %s is %s', (agent, name) => {
  expect(agentName(agent)).toBe(name)
})
