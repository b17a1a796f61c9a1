import { computed, type WritableComputedRef } from 'vue'
import { useRoute } from 'vue-router'
import { useUrlState } from '@/urlstate'
import { names, readFilter, writeFilter, type KeyFilter } from './filter'

/** useKeyFilter is the filter that stands in the address. */
export function useKeyFilter(): WritableComputedRef<KeyFilter> {
  const route = useRoute()
  const parts = Object.values(names).map((name) => [name, useUrlState(name)] as const)
  let last: KeyFilter | undefined
  return computed({
    // The same filter stays the same object, so that nothing is asked again when another part of the address changes.
    get: () => {
      const next = readFilter(route.query)
      return (last = last && JSON.stringify(last) === JSON.stringify(next) ? last : next)
    },
    set: (filter) => {
      const texts = writeFilter(filter)
      for (const [name, part] of parts) if (part.value !== texts[name]) part.value = texts[name] ?? ''
    },
  })
}
