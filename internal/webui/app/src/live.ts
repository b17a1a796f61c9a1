import { computed, ref } from 'vue'

/** Whether pages follow what happens. Paused, they stay as they are. */
export const live = ref(true)

/** Whether the server tells what happens, so that asking again and again is only for what it does not tell. */
export const streaming = ref(false)

/** How much less often is asked while the server tells. */
const seldom = 6

/** every is for refetchInterval of a query: so many milliseconds while live, never while paused. */
export function every(milliseconds: number) {
  return computed(() => (live.value ? milliseconds * (streaming.value ? seldom : 1) : false))
}
