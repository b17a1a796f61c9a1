import { describe, expect, it } from 'vitest'
import { filterBody, filterCount, instantOf, knownOrder, localInput, looksLikeKey, noFilter, onlyStates, readFilter, sortOf, writeFilter } from './filter'

describe('the filter of keys', () => {
  it('goes into the address and back', () => {
    const filter = {
      states: ['cooling' as const, 'invalid' as const],
      reason: 'invalid_api_key',
      notes: 'bought in <May> & June',
      tag: 'eu',
      addedFrom: '2026-05-01T00:00:00.000Z',
      addedTo: '2026-06-01T00:00:00.000Z',
      usedFrom: '2026-05-02T00:00:00.000Z',
      usedTo: '2026-05-03T00:00:00.000Z',
      neverUsed: false,
    }
    expect(readFilter(writeFilter(filter))).toEqual(filter)
    expect(writeFilter(noFilter)).toEqual(Object.fromEntries(Object.keys(writeFilter(filter)).map((name) => [name, ''])))
  })

  it('passes over what makes no sense in an address', () => {
    expect(readFilter({ state: 'cooling,broken', added_from: 'yesterday', notes: ['a', 'b'], never_used: 'perhaps' })).toEqual({ ...noFilter, states: ['cooling'] })
  })

  it('becomes what the API takes, and nothing when every key fits', () => {
    expect(filterBody(noFilter)).toBeUndefined()
    expect(filterBody({ ...noFilter, states: ['active', 'cooling', 'invalid', 'disabled'] })).toBeUndefined()
    expect(filterBody({ ...noFilter, states: ['invalid'], tag: 'eu', addedTo: '2026-06-01T00:00:00.000Z' })).toEqual({
      state: 'invalid',
      tag: 'eu',
      created_to: '2026-06-01T00:00:00.000Z',
    })
    expect(filterBody({ ...noFilter, neverUsed: true, usedFrom: '2026-06-01T00:00:00.000Z' })).toEqual({ never_used: true })
  })

  it('knows what the counts of the group can answer', () => {
    expect(onlyStates({ ...noFilter, states: ['invalid'] })).toBe(true)
    expect(onlyStates({ ...noFilter, tag: 'eu' })).toBe(false)
    expect(filterCount({ ...noFilter, states: ['invalid'], tag: 'eu', addedFrom: 'a', addedTo: 'b' })).toBe(2)
  })
})

it('sorts by words of the API only', () => {
  expect(sortOf('-failures')).toBe('failures')
  expect(sortOf('failures')).toBe('oldest')
  expect(knownOrder('failures')).toBe('')
  expect(knownOrder('-added')).toBe('-added')
})

it('writes instants in the zone of the operator and reads them again', () => {
  const instant = '2026-05-01T10:30:00.000Z'
  expect(instantOf(localInput(instant))).toBe(instant)
  expect(localInput('')).toBe('')
  expect(instantOf('nonsense')).toBe('')
})

it.each([
  ['sk-proj-abc', true],
  ['AIzaSyB0123', true],
  ['0123456789abcdef01234567', true],
  ['bought in May 2026 by Ann', false],
  ['production', false],
  ['ticket-4711', false],
])('takes %j for a key: %s', (text, expected) => expect(looksLikeKey(text)).toBe(expected))
