import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import en from './en/settings'
import ja from './ja/settings'
import zh from './zh/settings'

// The table of the README is written by the server, from the same source as its API.
const table = readFileSync(`${import.meta.dirname}/../../../../../README.md`, 'utf8')
const names = [...table.matchAll(/^\| `([a-z_]+)`(?: \(secret\))? \|[^|]*\|[^|]*\| *(?:yes|no)? *\|/gm)].map((found) => found[1]!)

test('the table is found', () => {
  expect(names.length).toBeGreaterThan(20)
  expect(names).toContain('max_retries')
  expect(names).toContain('proxy_keys')
})

test.each([
  ['zh', zh.docs],
  ['ja', ja.docs],
])('%s says what every setting does, and nothing of settings that are gone', (_, docs) => {
  expect(Object.keys(docs).toSorted()).toEqual(names.toSorted())
})

test('English is what the server says', () => {
  expect(en.docs).toEqual({})
})
