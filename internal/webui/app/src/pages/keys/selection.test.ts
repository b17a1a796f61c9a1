import { expect, it } from 'vitest'
import type { Key } from '@/api/types'
import { addReach, bodies, isEverything, noReach, parseTags, testBodies } from './selection'

const ids = Array.from({ length: 25 }, (_, i) => String(i + 1))

it('names keys in the one way that the API wants', () => {
  expect(bodies({ by: 'ids', ids })).toEqual([{ ids }])
  expect(bodies({ by: 'filter', filter: { state: 'invalid' } })).toEqual([{ filter: { state: 'invalid' } }])
  expect(bodies({ by: 'filter' })).toEqual([{ all: true }])
  expect(isEverything({ by: 'filter' })).toBe(true)
  expect(isEverything({ by: 'filter', filter: { tag: 'eu' } })).toBe(false)
})

it('sends many ids in parts, and each of them once', () => {
  const parts = bodies({ by: 'ids', ids }, 10)
  expect(parts.map((part) => part.ids?.length)).toEqual([10, 10, 5])
  expect(parts.flatMap((part) => part.ids ?? [])).toEqual(ids)
  expect(testBodies({ by: 'ids', ids })).toHaveLength(3)
  expect(bodies({ by: 'ids', ids: [] })).toEqual([])
})

it('adds up what the parts of a dry run say', () => {
  const examples = Array.from({ length: 4 }, (_, i) => ({ id: String(i) }) as Key)
  const reach = addReach(addReach(noReach, { matching: 4, examples }), { matching: 10, more: true, examples })
  expect(reach.matching).toBe(14)
  expect(reach.more).toBe(true)
  expect(reach.examples).toHaveLength(5)
  expect(addReach(noReach, {})).toEqual(noReach)
})

it('reads tags as people write them', () => {
  expect(parseTags(' eu, paid  eu，trial\n')).toEqual(['eu', 'paid', 'trial'])
  expect(parseTags(' ')).toEqual([])
})
