import { expect, test } from 'vitest'
import type { Operation } from '@/api/types'
import { runningFirst, tally, timeLeft } from './operations'

const operation = (id: string, state: Operation['state'], more: Partial<Operation> = {}) => ({ id, state, counts: {}, done: 0, total: 0, per_second: 0, ...more }) as Operation

test('what is under way stands above what ended, each in its order', () => {
  const listed = [operation('5', 'succeeded'), operation('4', 'running'), operation('3', 'failed'), operation('2', 'waiting'), operation('1', 'uploading')]
  expect(runningFirst(listed).map((one) => one.id)).toEqual(['4', '2', '1', '5', '3'])
})

test('what became of keys reads as a line', () => {
  expect(tally(operation('1', 'succeeded', { counts: { added: 2, duplicate: 0, rejected: 1 } }))).toBe('2 added, 1 rejected')
  expect(tally(operation('1', 'succeeded', { counts: { ok: 3, key_dead: 60 } }))).toBe('3 work, 60 × key is dead')
  expect(tally(operation('1', 'succeeded', { counts: { something_new: 4 } }))).toBe('4 something_new')
})

test('what is left is known only with a rate and a total', () => {
  expect(timeLeft(operation('1', 'running', { done: 10, total: 110, per_second: 10 }))).toBe(10_000)
  expect(timeLeft(operation('1', 'running', { done: 10, per_second: 10 }))).toBe(0)
  expect(timeLeft(operation('1', 'canceled', { done: 10, total: 110, per_second: 10 }))).toBe(0)
})
