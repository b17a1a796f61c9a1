import { useInfiniteQuery, type InfiniteData } from '@tanstack/vue-query'
import { computed, ref, watch, type Ref } from 'vue'
import { api, ask } from '@/api/client'
import type { Key, Wire } from '@/api/types'
import { live } from '@/live'
import { filterBody, sortOf, type KeyFilter } from './filter'

type Page = Wire<'KeyPage'>

/** Keys of one answer. */
const pageSize = 200
/** Pages that are read again while live. Further down the list stays as it was read, until it is read again. */
const livePages = 2
const liveEvery = 5_000 // milliseconds

/** Rows that a reader who asks for more gets at least, if there are as many. */
const portion = 50

/** useKeyList reads the keys of a group that fit a filter, page by page. */
export function useKeyList(group: Ref<string>, filter: Ref<KeyFilter>, order: Ref<string>, enabled: Ref<boolean>) {
  const wanted = computed(() => ({ ...filterBody(filter.value), sort: sortOf(order.value) }))
  const list = useInfiniteQuery({
    queryKey: computed(() => ['keys', group.value, wanted.value]),
    queryFn: ({ pageParam, signal }): Promise<Page> =>
      ask(api.GET('/groups/{id}/keys', { params: { path: { id: group.value }, query: { ...wanted.value, limit: pageSize, cursor: pageParam || undefined } }, signal })),
    initialPageParam: '',
    getNextPageParam: (last: Page) => last.next_cursor,
    enabled,
    // Of another filter of the same group the old rows stay until the new ones are there; those of another group would be wrong ones.
    placeholderData: (old: InfiniteData<Page, string> | undefined, query): InfiniteData<Page, string> | undefined => (query?.queryKey[1] === group.value ? old : undefined),
    refetchInterval: computed(() => (live.value ? (query: { state: { data?: { pages: unknown[] } } }) => ((query.state.data?.pages.length ?? 0) <= livePages ? liveEvery : false) : false)),
    refetchOnWindowFocus: (query) => (query.state.data?.pages.length ?? 0) <= livePages,
    // Thousands of rows are neither compared nor watched one by one.
    structuralSharing: false,
    shallow: true,
  })

  const pages = computed(() => list.data.value?.pages ?? [])
  const rows = computed<Key[]>(() => {
    // A key that moved between two reads of pages may come twice.
    const seen = new Set<string>()
    return pages.value.flatMap((page) => page.keys.filter((key) => !seen.has(key.id) && seen.add(key.id)))
  })
  // Where no index serves the filter, the server ends a page early, maybe without a key: the next one is asked for at once then.
  const target = ref(portion)
  watch([group, wanted], () => (target.value = portion))
  const searching = computed(() => !list.isPlaceholderData.value && rows.value.length < target.value && list.hasNextPage.value)
  watch([searching, pages, () => list.isFetching.value || list.isError.value], ([on, , held]) => {
    if (on && !held) void list.fetchNextPage()
  })
  function more() {
    target.value = rows.value.length + portion
  }
  const loading = computed(() => searching.value || list.isFetchingNextPage.value || (list.isFetching.value && (list.isPlaceholderData.value || !list.data.value)))
  const still = computed(() => pages.value.length > livePages)

  return { list, rows, loading, searching, still, more }
}
