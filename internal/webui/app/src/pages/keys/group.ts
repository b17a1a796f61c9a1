import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed, watch } from 'vue'
import { api, ask } from '@/api/client'
import { every } from '@/live'
import { useUrlState } from '@/urlstate'

const stored = 'gpt-load.keys.group'

/** useKeyGroup is the group whose keys are shown: that of the address, or the one of the last time, or the first. */
export function useKeyGroup() {
  const groups = useQuery({ queryKey: ['groups'], queryFn: ({ signal }) => ask(api.GET('/groups', { signal })), refetchInterval: every(5000), placeholderData: keepPreviousData })
  const asked = useUrlState('group', '', 'push')
  const all = computed(() => groups.data.value?.groups ?? [])
  const id = computed(() => {
    if (asked.value) return asked.value
    const last = localStorage.getItem(stored)
    const standard = all.value.filter((group) => group.kind === 'standard')
    return (standard.find((group) => group.id === last) ?? standard[0])?.id ?? ''
  })
  const group = computed(() => all.value.find((one) => one.id === id.value))
  watch(id, (value) => value && localStorage.setItem(stored, value), { immediate: true })
  return { groups, all, id, group, choose: (value: string) => (asked.value = value) }
}
