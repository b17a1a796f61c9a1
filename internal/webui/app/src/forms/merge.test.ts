import { expect, test } from 'vitest'
import { changedFields, merge } from './merge'

const base = { name: 'a', list: [1, 2], note: '' }

test('only what differs is changed', () => {
  expect(changedFields(base, { ...base, list: [1, 2] })).toEqual([])
  expect(changedFields(base, { ...base, list: [2, 1], note: 'x' })).toEqual(['list', 'note'])
})

test('two people who changed different fields are no conflict', () => {
  expect(merge(base, { ...base, note: 'mine' }, { ...base, name: 'theirs' })).toEqual({ merged: { name: 'theirs', list: [1, 2], note: 'mine' }, conflicts: [] })
})

test('the same field changed twice is a conflict, unless both want the same', () => {
  expect(merge(base, { ...base, name: 'mine' }, { ...base, name: 'theirs' })).toEqual({ merged: { ...base, name: 'mine' }, conflicts: ['name'] })
  expect(merge(base, { ...base, name: 'both' }, { ...base, name: 'both' }).conflicts).toEqual([])
})
