import { onScopeDispose, ref, watch } from 'vue'
import { apiURL } from '@/base'
import { live, streaming } from '@/live'
import { session } from '@/session'
import { queries } from './query'

/** What of the cache each topic of the event stream makes old. */
const stale: Record<string, readonly string[]> = {
  revision: ['groups', 'group', 'settings', 'proxy-keys', 'dashboard', 'audit'],
  keys: ['groups', 'group', 'keys', 'key', 'dashboard', 'audit'],
  operations: ['operations', 'operation'],
  nodes: ['nodes'],
  traffic: ['dashboard', 'statistics'],
  records: ['dashboard', 'statistics', 'records', 'group'],
}
const gather = 500 // milliseconds in which events count as one
const again = 10_000 // milliseconds until a stream that was refused is asked for again
const mostPages = 3 // a longer list is not asked for as a whole; it is as its reader left it

/** What is old since the last time it was asked for again. */
const old = new Set<string>()
let timer: ReturnType<typeof setTimeout> | undefined

/** outdate lets what is shown of some topics be asked for again, once for all events of a moment. */
export function outdate(topics: readonly string[]): void {
  for (const topic of topics) for (const key of stale[topic] ?? []) old.add(key)
  timer ??= setTimeout(() => {
    timer = undefined
    const keys = new Set(old)
    old.clear()
    void queries.invalidateQueries({ predicate: (query) => keys.has(String(query.queryKey[0])) && !isLong(query.state.data) }, { cancelRefetch: false })
  }, gather)
}

function isLong(data: unknown): boolean {
  return typeof data === 'object' && data !== null && 'pages' in data && Array.isArray(data.pages) && data.pages.length > mostPages
}

/**
 * useEvents follows the server's events while somebody is signed in, looks at the page and has not paused it. A stream that breaks
 * is begun again by the browser, which sends the id of the last event; what was missed otherwise is asked for as a whole.
 */
export function useEvents(): void {
  const visible = ref(document.visibilityState === 'visible')
  const onVisible = () => (visible.value = document.visibilityState === 'visible')
  document.addEventListener('visibilitychange', onVisible)

  let source: EventSource | undefined
  let retry: ReturnType<typeof setTimeout> | undefined
  let begun = false
  function close() {
    clearTimeout(retry)
    source?.close()
    source = undefined
    streaming.value = false
  }
  function open() {
    close()
    const stream = new EventSource(`${apiURL}/events`, { withCredentials: true })
    source = stream
    stream.addEventListener('begin', (event) => {
      streaming.value = true
      const { resumed } = JSON.parse(event.data as string) as { resumed: boolean }
      if (begun && !resumed) outdate(Object.keys(stale))
      begun = true
    })
    for (const topic of Object.keys(stale)) stream.addEventListener(topic, () => outdate([topic]))
    stream.onerror = () => {
      streaming.value = false
      if (stream.readyState === EventSource.CLOSED && source === stream) retry = setTimeout(open, again)
    }
  }
  watch(
    [live, visible, () => session.state.value === 'in'],
    (wanted) => (wanted.every(Boolean) ? open() : close()),
    { immediate: true },
  )
  onScopeDispose(() => {
    document.removeEventListener('visibilitychange', onVisible)
    close()
  })
}
