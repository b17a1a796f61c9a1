import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, shallowRef, watch, type Ref } from 'vue'
import { api, ask } from '@/api/client'
import { queries } from '@/api/query'
import type { Operation } from '@/api/types'
import { ended } from '@/operations'

/** Operations that were begun here, by id; they stay on the page after their end until they are put away. */
const mine = shallowRef<readonly Operation[]>([])

/** follow shows an operation on the page of its group from now on. */
export function follow(operation: Operation): void {
  mine.value = [...mine.value.filter((one) => one.id !== operation.id), operation].slice(-20)
  void queries.invalidateQueries({ queryKey: ['operations'] })
}

/** putAway stops showing an operation that ended. */
export function putAway(id: string): void {
  mine.value = mine.value.filter((one) => one.id !== id)
}

/** toShow are the operations of a group that are under way, and those begun here that ended; newest first. */
export function toShow(group: string, listed: readonly Operation[], followed: readonly Operation[]): Operation[] {
  const newest = new Map(followed.filter((one) => one.group_id === group).map((one) => [one.id, one]))
  for (const one of listed) if (newest.has(one.id) || !ended(one)) newest.set(one.id, one)
  return [...newest.values()].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at))
}

const busyEvery = 1_000 // milliseconds, while something is under way
const idleEvery = 10_000

/** useGroupOperations follows the operations of a group, whoever began them. It tells when one ends. */
export function useGroupOperations(group: Ref<string>, onEnd: (operation: Operation) => void) {
  const list = useQuery({
    queryKey: computed(() => ['operations', { group_id: group.value, limit: 10 }]),
    queryFn: ({ signal }) => ask(api.GET('/operations', { params: { query: { group_id: group.value, limit: 10 } }, signal })),
    enabled: computed(() => group.value !== ''),
    // Progress is what the operator waits for, so it comes while live data is paused as well.
    refetchInterval: (query) => ((query.state.data?.operations ?? []).some((one) => !ended(one)) ? busyEvery : idleEvery),
    placeholderData: keepPreviousData,
  })
  const shown = computed(() => toShow(group.value, list.data.value?.operations ?? [], mine.value))

  const running = new Set<string>()
  watch(
    shown,
    (operations) => {
      for (const one of operations) {
        if (!ended(one)) running.add(one.id)
        else if (running.delete(one.id)) onEnd(one)
      }
      // Those of others leave the list as they end.
      for (const one of list.data.value?.operations ?? []) if (ended(one) && running.delete(one.id)) onEnd(one)
    },
    { immediate: true },
  )
  return { shown }
}
