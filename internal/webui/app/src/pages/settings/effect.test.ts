import { expect, test } from 'vitest'
import type { FleetNode } from '@/api/types'
import { reach } from './effect'

const nodes = [
  { id: 'a', revision: 8 },
  { id: 'b', revision: 7 },
] as FleetNode[]

test('a node goes by a revision once it is there or past it', () => {
  expect(reach({ nodes, complete: true }, 8)).toEqual({ there: 1, behind: ['b'], all: false })
  expect(reach({ nodes, complete: true }, 7)).toEqual({ there: 2, behind: [], all: true })
})

test('what is not known is not said to be in use', () => {
  expect(reach(undefined, 1).all).toBe(false)
  expect(reach({ nodes: [], complete: true }, 1).all).toBe(false)
  expect(reach({ nodes, complete: false }, 7).all).toBe(false)
})
