import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, type Ref } from 'vue'
import { api, ask } from '@/api/client'
import { every } from '@/live'
import type { Range } from '@/range'
import { pulse, recent, type Sum } from './pulse'
import type { Step } from './series'

const minute = 60_000

/** steps are what times of a range are counted in, as the dashboard's chart does. */
export const steps: Record<Range, Step> = { '1h': 'minute', '24h': 'hour', '7d': 'hour', '30d': 'day' }

function isoAgo(milliseconds: number): string {
  return new Date(Date.now() - milliseconds).toISOString()
}

export function useDashboard(range: Ref<Range>) {
  return useQuery({
    queryKey: computed(() => ['dashboard', range.value]),
    queryFn: ({ signal }) => ask(api.GET('/dashboard', { params: { query: { period: range.value } }, signal })),
    refetchInterval: every(5000),
    placeholderData: keepPreviousData,
  })
}

export function useNodes() {
  return useQuery({ queryKey: ['nodes'], queryFn: ({ signal }) => ask(api.GET('/nodes', { signal })), refetchInterval: every(5000), placeholderData: keepPreviousData })
}

/** usePulse is how the last minutes went, in all and by group. */
export function usePulse() {
  const minutes = useQuery({
    queryKey: ['statistics', { pulse: 'minutes' }],
    queryFn: async ({ signal }) => {
      const got = await ask(api.GET('/statistics', { params: { query: { by: ['time'], step: 'minute', from: isoAgo((60 + recent + 1) * minute) } }, signal }))
      return pulse(got.rows ?? [], Date.now())
    },
    refetchInterval: every(5000),
    placeholderData: keepPreviousData,
  })
  const groups = useQuery({
    queryKey: ['statistics', { pulse: 'groups' }],
    queryFn: async ({ signal }) => {
      const got = await ask(api.GET('/statistics', { params: { query: { by: ['group'], step: 'minute', from: isoAgo(recent * minute) } }, signal }))
      return new Map<string, Sum>((got.rows ?? []).map((row) => [row.group_id ?? '', { requests: row.requests, succeeded: row.succeeded, failed: row.failed }]))
    },
    refetchInterval: every(5000),
    placeholderData: keepPreviousData,
  })
  return { minutes, groups }
}

/** useLatencies are the percentiles over the range, which take the server longest. */
export function useLatencies(range: Ref<Range>, length: Ref<number>) {
  return useQuery({
    queryKey: computed(() => ['statistics', { latencies: range.value }]),
    queryFn: ({ signal }) => ask(api.GET('/statistics', { params: { query: { by: ['time'], percentiles: true, step: steps[range.value], from: isoAgo(length.value) } }, signal })),
    refetchInterval: computed(() => every(range.value === '1h' ? 10_000 : 60_000).value),
    placeholderData: keepPreviousData,
  })
}

/** useModels are the sums by model over the range, asked for only while they are looked at. */
export function useModels(range: Ref<Range>, length: Ref<number>, enabled: Ref<boolean>) {
  return useQuery({
    queryKey: computed(() => ['statistics', { models: range.value }]),
    queryFn: ({ signal }) => ask(api.GET('/statistics', { params: { query: { by: ['time', 'model'], step: steps[range.value], from: isoAgo(length.value) } }, signal })),
    refetchInterval: computed(() => every(range.value === '1h' ? 10_000 : 60_000).value),
    placeholderData: keepPreviousData,
    enabled,
  })
}
