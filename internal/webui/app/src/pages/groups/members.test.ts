import { expect, test } from 'vitest'
import { membersForm, membersOf, shares } from './members'

test('shares are of the own tier', () => {
  const rows = membersForm([{ group_id: '1', weight: 3 }, { group_id: '2' }, { group_id: '3', tier: 2 }, { group_id: '4', weight: 0, tier: 3 }])
  expect(shares(rows)).toEqual([0.75, 0.25, 1, 0])
})

test('what is no figure is for the API to refuse', () => {
  expect(membersOf([{ group_id: '1', weight: '', tier: '1.5' }])).toEqual([{ group_id: '1', weight: -1, tier: -1 }])
})
