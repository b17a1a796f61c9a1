import { computed, ref } from 'vue'

/** Whether pages follow what happens. Paused, they stay as they are. */
export const live = ref(true)

/** every is for refetchInterval of a query: so many milliseconds while live, never while paused. */
export function every(milliseconds: number) {
  return computed(() => (live.value ? milliseconds : false))
}
