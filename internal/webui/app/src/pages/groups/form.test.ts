import { expect, test } from 'vitest'
import type { Group } from '@/api/types'
import { formOf, patchOf, problemsOf } from './form'

const group = {
  name: 'g',
  display_name: '',
  description: '',
  upstreams: [{ url: 'https://a.example', weight: 1 }],
  model_redirects: [],
  model_redirect_strict: false,
  param_overrides: [
    { path: 'temperature', value: 0.5 },
    { path: 'user', remove: true },
  ],
  header_rules: [{ name: 'X-A', action: 'set', value: 'b' }],
  validation: { off: false, model: '', path: '', payload: '' },
  proxy_keys: ['****abcd'],
} as unknown as Group

test('nothing changed sends nothing', () => {
  expect(patchOf(formOf(group), formOf(group))).toEqual({})
})

test('only what changed is sent, masked client keys never', () => {
  const form = formOf(group)
  form.upstreams.push({ url: ' https://b.example ', weight: '3' })
  form.param_overrides[0]!.value = '{"a": [1]}'
  form.header_rules[0]!.action = 'remove'
  expect(patchOf(formOf(group), form)).toEqual({
    upstreams: [
      { url: 'https://a.example', weight: 1 },
      { url: 'https://b.example', weight: 3 },
    ],
    param_overrides: [
      { path: 'temperature', value: { a: [1] } },
      { path: 'user', remove: true },
    ],
    header_rules: [{ name: 'X-A', action: 'remove' }],
  })
})

test('client keys are lines', () => {
  const base = formOf({ ...group, proxy_keys: ['sk-one'] } as Group, true)
  expect(patchOf(base, { ...base, proxy_keys: 'sk-one\n\n sk-two \n' })).toEqual({ proxy_keys: ['sk-one', 'sk-two'] })
})

test('what cannot be sent is named by its field', () => {
  const form = formOf(group)
  form.upstreams[0]!.weight = 'x'
  form.param_overrides[0]!.value = '{'
  expect([...problemsOf(form)]).toEqual([
    ['upstreams[0].weight', 'number'],
    ['param_overrides[0].value', 'json'],
  ])
})
