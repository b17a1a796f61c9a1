import { computed, type WritableComputedRef } from 'vue'
import { useRoute, useRouter } from 'vue-router'

/**
 * useUrlState keeps one text of a page in the query of its address, so that a reload, a bookmark and a colleague see the same. An empty
 * text, and one that is the usual one, leave the address.
 */
export function useUrlState(name: string, usual = '', how: 'replace' | 'push' = 'replace'): WritableComputedRef<string> {
  const route = useRoute()
  const router = useRouter()
  return computed({
    get: () => {
      const value = route.query[name]
      return typeof value === 'string' ? value : usual
    },
    set: (value) => void setQuery({ [name]: value === usual ? '' : value }),
  })

  function setQuery(change: Record<string, string>) {
    const query = { ...pending.get(router), ...change }
    pending.set(router, query)
    // Several changes of one moment are one step in the browser's history.
    queueMicrotask(() => {
      const changes = pending.get(router)
      if (!changes) return
      pending.delete(router)
      const next = { ...router.currentRoute.value.query, ...changes }
      for (const [key, value] of Object.entries(next)) if (value === '') delete next[key]
      void router[how]({ query: next, hash: router.currentRoute.value.hash })
    })
  }
}

const pending = new WeakMap<object, Record<string, string>>()
