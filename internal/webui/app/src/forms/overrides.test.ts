import { expect, test } from 'vitest'
import type { Setting } from '@/api/types'
import { overridePatch, overridesOf } from './overrides'

const settings = [
  { name: 'max_retries', kind: 'integer', level: 'group', value: 5 },
  { name: 'strict', kind: 'boolean', level: 'system', value: true },
  { name: 'proxy_url', kind: 'string', level: 'default', value: '' },
] as Setting[]

test('overrides come and go', () => {
  const base = overridesOf(settings, 'group')
  expect(base).toEqual({ max_retries: '5', strict: undefined, proxy_url: undefined })
  expect(overridePatch(settings, base, { ...base })).toEqual({})
  expect(overridePatch(settings, base, { max_retries: undefined, strict: 'false', proxy_url: 'http://p' })).toEqual({ max_retries: null, strict: false, proxy_url: 'http://p' })
  expect(overridePatch(settings, base, { ...base, max_retries: '' })).toEqual({ max_retries: '' })
})
