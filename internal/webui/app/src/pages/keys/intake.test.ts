import { expect, it } from 'vitest'
import { excerpt, intake, isDirect, mostDirect } from './intake'

it.each([
  ['', 'empty', 0],
  [' \n', 'empty', 1],
  ['sk-a\nsk-b\n', 'text', 2],
  ['sk-a, sk-b; sk-c', 'text', 1],
  ['["sk-a","sk-b"]', 'list', 1],
  ['{"key":"sk-a","weight":2}\n{"key":"sk-b"}', 'file', 2],
  [' [ {"key":"sk-a"} ]', 'file', 1],
  ['key,weight,notes\nsk-a,1,', 'file', 2],
  ['"key","weight"\nsk-a,1', 'file', 2],
])('sees what %j is', (text, kind, lines) => expect(intake(text)).toMatchObject({ kind, lines }))

it('counts bytes, not characters', () => expect(intake('é').bytes).toBe(2))

it('sends as a file what is large or says more than values', () => {
  expect(isDirect(intake('sk-a'))).toBe(true)
  expect(isDirect(intake('{"key":"sk-a"}'))).toBe(false)
  expect(isDirect({ lines: 1, bytes: mostDirect + 1, kind: 'text' })).toBe(false)
  expect(isDirect(intake(''))).toBe(false)
})

it('shows a line that was refused, shortened', () => {
  expect(excerpt('one\n  two \nthree', 2)).toBe('two')
  expect(excerpt('one', 7)).toBe('')
  expect(excerpt('x'.repeat(100), 1)).toHaveLength(40)
})
