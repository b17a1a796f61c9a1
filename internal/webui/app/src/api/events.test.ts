import { afterEach, expect, test, vi } from 'vitest'
import { outdate } from './events'
import { queries } from './query'

afterEach(() => {
  queries.clear()
  vi.useRealTimers()
})

test('events of a moment make old what they are about, once, and no list that was read far', async () => {
  vi.useFakeTimers()
  queries.setQueryData(['keys', '1'], { pages: [1] })
  queries.setQueryData(['keys', '2'], { pages: [1, 2, 3, 4] })
  queries.setQueryData(['settings'], {})
  const invalidate = vi.spyOn(queries, 'invalidateQueries')
  outdate(['keys'])
  outdate(['keys', 'nodes', 'unknown'])
  await vi.advanceTimersByTimeAsync(1000)
  expect(invalidate).toHaveBeenCalledTimes(1)
  const isOld = (...key: string[]) => queries.getQueryState(key)?.isInvalidated
  expect([isOld('keys', '1'), isOld('keys', '2'), isOld('settings')]).toEqual([true, false, false])
})
