import { describe, expect, test } from 'vitest'
import { differences, written } from './diff'
import { fromInput, toInput } from '@/forms/instant'

describe('differences', () => {
  test('are the leaves that differ', () => {
    expect(differences({ name: 'a', validation: { model: 'x', path: '/v1' } }, { name: 'a', validation: { model: 'y', path: '/v1' } })).toEqual([
      { field: 'validation.model', before: 'x', after: 'y' },
    ])
  })

  test('of lists of things are told by place, of lists of words as a whole', () => {
    expect(differences({ upstreams: [{ url: 'a', weight: 1 }] }, { upstreams: [{ url: 'a', weight: 2 }, { url: 'b', weight: 1 }] })).toEqual([
      { field: 'upstreams[0].weight', before: 1, after: 2 },
      { field: 'upstreams[1]', before: undefined, after: { url: 'b', weight: 1 } },
    ])
    expect(differences({ tags: ['a'] }, { tags: ['a', 'b'] })).toEqual([{ field: 'tags', before: ['a'], after: ['a', 'b'] }])
  })

  test('tell what was not there from what was empty', () => {
    expect(differences({ notes: '' }, { notes: 'x', state: 'active' })).toEqual([
      { field: 'notes', before: '', after: 'x' },
      { field: 'state', before: undefined, after: 'active' },
    ])
    expect(differences({}, {})).toEqual([])
  })
})

test.each([
  ['a <b>', 'a <b>'],
  [3, '3'],
  [false, 'false'],
  [null, ''],
  [undefined, ''],
  [['a', 'b'], '[\n "a",\n "b"\n]'],
])('%j is written as %j', (value, text) => {
  expect(written(value)).toBe(text)
})

test('an instant goes into a field of local time and comes back', () => {
  const instant = '2026-03-04T05:06:00.000Z'
  expect(fromInput(toInput(instant))).toBe(instant)
  expect(toInput('')).toBe('')
  expect(toInput('junk')).toBe('')
  expect(fromInput('junk')).toBe('')
})
