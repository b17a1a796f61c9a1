import { onScopeDispose, ref, shallowRef, watch, type Ref } from 'vue'
import { api, ask } from '@/api/client'
import { asApiError } from '@/api/errors'
import type { RequestRecord } from '@/api/types'
import type { RecordQuery } from './filter'

/** How many records a live tail keeps: the older ones go. */
export const mostRows = 2000
const pause = 1000 // milliseconds between two questions

/** prepend puts new records, which come in the order they were written, before those that are there. */
export function prepend(rows: readonly RequestRecord[], fresh: readonly RequestRecord[], most = mostRows): RequestRecord[] {
  return [...[...fresh].reverse(), ...rows].slice(0, most)
}

/**
 * useTail follows the records that fit while on. While held, what comes waits, and goes in when it is no longer held. Nothing that
 * waits or is shown grows beyond mostRows.
 */
export function useTail(on: Ref<boolean>, held: Ref<boolean>, filter: Ref<RecordQuery>) {
  const rows = shallowRef<RequestRecord[]>([])
  const waiting = shallowRef<RequestRecord[]>([])
  const error = ref<unknown>()
  let stop = () => {}

  async function follow(query: RecordQuery, signal: AbortSignal) {
    let cursor: string | undefined
    while (!signal.aborted) {
      let more = false
      try {
        const part = await ask(api.GET('/records/tail', { params: { query: { ...query, cursor, limit: 200 } }, signal }))
        error.value = undefined
        // The first answer is the newest records, newest first; the later ones come as they were written.
        const fresh = cursor === undefined ? [...(part.records ?? [])].reverse() : (part.records ?? [])
        cursor = part.cursor
        more = part.more
        if (fresh.length > 0) {
          if (held.value) waiting.value = prepend(waiting.value, fresh)
          else rows.value = prepend(rows.value, fresh)
        }
      } catch (thrown) {
        if (signal.aborted) return
        error.value = thrown
        if (asApiError(thrown).status === 410) cursor = undefined // it was away for too long
      }
      if (!more) await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }

  watch(
    [on, filter],
    () => {
      stop()
      rows.value = []
      waiting.value = []
      error.value = undefined
      if (!on.value) return
      const controller = new AbortController()
      stop = () => controller.abort()
      void follow(filter.value, controller.signal)
    },
    { immediate: true },
  )
  watch(held, (now) => {
    if (now || waiting.value.length === 0) return
    rows.value = [...waiting.value, ...rows.value].slice(0, mostRows)
    waiting.value = []
  })
  onScopeDispose(() => stop())
  return { rows, waiting, error }
}
