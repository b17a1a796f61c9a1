import { expect, test } from 'vitest'
import { freeName } from './providers'

test('a name that is taken gets a number', () => {
  expect(freeName('openai', [])).toBe('openai')
  expect(freeName('openai', ['openai', 'openai-2'])).toBe('openai-3')
})
