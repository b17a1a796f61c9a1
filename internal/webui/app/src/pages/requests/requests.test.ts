import { expect, test } from 'vitest'
import type { RequestRecord } from '@/api/types'
import { curlOf } from './curl'
import { apiQuery, exportURL, names, type Filter } from './filter'
import { prepend } from './tail'

const none = Object.fromEntries(names.map((name) => [name, ''])) as Filter
const record = (id: string, more: Partial<RequestRecord> = {}) => ({ id, method: 'POST', path: '/v1/chat/completions', group_name: 'openai', parent_name: '', model_asked: "it's", stream: false, attempts: [], ...more }) as unknown as RequestRecord

test('what makes no sense in an address does not filter', () => {
  expect(apiQuery(none)).toEqual({})
  expect(apiQuery({ ...none, status_from: '5xx', status_to: '499', stream: 'perhaps', retried: 'true', from: 'yesterday', text: ' a b ' })).toEqual({ status_to: 499, retried: 'true', text: 'a b' })
})

test('an export has the filters of the list', () => {
  expect(exportURL('http://h/api/v1', { ...none, text: 'a&b', group_id: '7' }, 'csv')).toBe('http://h/api/v1/records/export?format=csv&group_id=7&text=a%26b')
})

test('a tail is newest first and bounded', () => {
  const rows = prepend([record('1')], [record('2'), record('3')], 2)
  expect(rows.map((one) => one.id)).toEqual(['3', '2'])
})

test('curl never has a key, and quotes what it is given', () => {
  const text = curlOf(record('1'), 'https://host/gpt-load/')
  expect(text).toContain("curl 'https://host/gpt-load/proxy/openai/v1/chat/completions'")
  expect(text).toContain('"Authorization: Bearer $GPT_LOAD_KEY"')
  expect(text).toContain(`{"model":"it'\\''s"`)
  expect(curlOf(record('1', { capture: { request: { content: '{"a":1}', encoding: 'text', truncated: false }, response: { content: '', encoding: 'text', truncated: false } } }), 'http://h/')).toContain(`-d '{"a":1}'`)
  expect(curlOf(record('1', { method: 'GET', path: '/v1/models' }), 'http://h/')).not.toContain('-d')
})
