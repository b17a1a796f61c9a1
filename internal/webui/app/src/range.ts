import { computed } from 'vue'
import { useUrlState } from '@/urlstate'

export const ranges = ['1h', '24h', '7d', '30d'] as const
export type Range = (typeof ranges)[number]

const hours = { '1h': 1, '24h': 24, '7d': 7 * 24, '30d': 30 * 24 }

/** useRange is the time range of the top bar, which stands in the address. */
export function useRange() {
  const text = useUrlState('range', '24h')
  const range = computed<Range>({
    get: () => ((ranges as readonly string[]).includes(text.value) ? (text.value as Range) : '24h'),
    set: (value) => (text.value = value),
  })
  /** Its length in milliseconds. */
  const length = computed(() => hours[range.value] * 3_600_000)
  return { range, length }
}
