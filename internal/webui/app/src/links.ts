import type { RouteLocationRaw } from 'vue-router'
import type { KeyState, Query } from '@/api/types'

/** keysOf leads to the keys of a group, those in the given states if there are any. */
export function keysOf(group: string, ...states: KeyState[]): RouteLocationRaw {
  return { name: 'keys', query: { group, state: states.join(',') || undefined } }
}

/** requestsWhere leads to the records that fit. The address has the names of the API. */
export function requestsWhere(filter: Pick<Query<'list-records'>, 'group_id' | 'class' | 'status_from' | 'model' | 'key_id' | 'from' | 'to'>): RouteLocationRaw {
  return { name: 'requests', query: Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, value === undefined ? undefined : String(value)])) }
}

/** Statuses from this one on are seldom the client's own mistake. */
export const failing = 429
