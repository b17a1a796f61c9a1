import { expect, it } from 'vitest'
import type { Operation } from '@/api/types'
import { progress, resultURL } from '@/operations'
import { toShow } from './operations'

function operation(id: string, more: Partial<Operation> = {}): Operation {
  return {
    id,
    kind: 'import',
    group_id: '1',
    group_name: 'g',
    state: 'running',
    done: 0,
    total: 0,
    counts: {},
    per_second: 0,
    input_bytes: 0,
    result_bytes: 0,
    error: '',
    node: '',
    cancel_asked: false,
    created_at: `2026-05-01T00:00:0${id}Z`,
    ...more,
  }
}

it('shows what is under way, and what was begun here after its end as well', () => {
  const listed = [operation('4', { state: 'succeeded' }), operation('3'), operation('2', { state: 'failed', done: 7 })]
  const shown = toShow('1', listed, [operation('2'), operation('1', { group_id: '9' })])
  expect(shown.map((one) => one.id)).toEqual(['3', '2'])
  expect(shown[1]?.state).toBe('failed')
  expect(toShow('1', [], [operation('5')]).map((one) => one.id)).toEqual(['5'])
})

it('says how far it has come only when that is known', () => {
  expect(progress(operation('1'))).toBeUndefined()
  expect(progress(operation('1', { done: 5, total: 20 }))).toBe(0.25)
  expect(progress(operation('1', { state: 'succeeded' }))).toBe(1)
})

it('offers a file only when there is one', () => {
  expect(resultURL(operation('1', { kind: 'export' }))).toBeUndefined()
  expect(resultURL(operation('1', { kind: 'export', state: 'succeeded' }))).toMatch(/\/api\/v1\/operations\/1\/result$/)
  expect(resultURL(operation('1', { state: 'canceled' }))).toBeUndefined()
  expect(resultURL(operation('1', { state: 'canceled', result_bytes: 10 }))).toBeDefined()
})
