import { expect, test } from 'vitest'
import type { Setting } from '@/api/types'
import { fits, said, written } from './written'

const retention = { name: 'request_log_retention_days', kind: 'integer', unit: 'days', default: 7, doc: 'How long request records are kept.' } as Setting
const bodies = { name: 'enable_request_body_logging', kind: 'boolean', default: false, doc: 'Keep bodies.' } as Setting
const keys = { name: 'proxy_keys', kind: 'string', default: '', secret: true, doc: 'Keys that clients may use.' } as Setting

test('values are written with their unit, and nothing as a word', () => {
  expect(written(retention, 7)).toBe('7 days')
  expect(written(retention, 1)).toBe('1 day')
  expect(written(retention, 'many')).toBe('many days')
  expect(written(bodies, true)).toBe('Yes')
  expect(written(keys, '')).toBe('empty')
})

test('what a change says tells values, defaults and secrets apart', () => {
  expect(said(retention, '30')).toBe('30 days')
  expect(said(retention, undefined)).toBe('Default: 7 days')
  expect(said(bodies, 'false')).toBe('No')
  expect(said(keys, 'sk-client-abcd')).toBe('****abcd')
  expect(said(keys, 'abcd')).not.toContain('abcd')
  expect(said(keys, '')).toBe('empty')
})

test('a setting is found by its name and by what it does', () => {
  expect(fits(retention, 'RETENTION')).toBe(true)
  expect(fits(retention, ' records are ')).toBe(true)
  expect(fits(retention, 'bodies')).toBe(false)
})
