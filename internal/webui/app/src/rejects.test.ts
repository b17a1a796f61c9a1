import { expect, it } from 'vitest'
import { firstRejects } from './rejects'

const added = '{"line":1,"entry":1,"outcome":"added"}\n'
const rejected = (line: number) => `{"line":${line},"entry":${line},"outcome":"rejected","reason":"too short"}\n`

it('finds what was rejected, wherever the text is cut', async () => {
  const text = added + rejected(2) + added + rejected(4)
  for (let at = 0; at <= text.length; at += 7) {
    const found = await firstRejects([text.slice(0, at), text.slice(at)], 10)
    expect(found.map((one) => one.line)).toEqual([2, 4])
  }
})

it('reads no further than it has to', async () => {
  let read = 0
  function* chunks() {
    for (;;) {
      read++
      yield rejected(read)
    }
  }
  expect(await firstRejects(chunks(), 3)).toHaveLength(3)
  expect(read).toBe(3)
})

it('passes over a line that broke off', async () => {
  expect(await firstRejects([rejected(1), '{"line":2,"outcome":"rejected'], 10)).toHaveLength(1)
})
