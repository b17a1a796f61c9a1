import { expect, test } from 'vitest'
import { moved } from './order'

test('one id at another place', () => {
  expect(moved(['a', 'b', 'c'], 'a', 2)).toEqual(['b', 'c', 'a'])
  expect(moved(['a', 'b', 'c'], 'c', 0)).toEqual(['c', 'a', 'b'])
  for (const to of [-1, 1, 3]) expect(moved(['a', 'b', 'c'], 'b', to)).toBeUndefined()
  expect(moved(['a'], 'x', 0)).toBeUndefined()
})
