import type { KeyState } from '@/api/types'
import type { Query, Wire } from '@/api/types'

/** What keys have to fit to be shown. Empty texts do not filter; times are instants in ISO form. */
export interface KeyFilter {
  states: KeyState[]
  reason: string
  notes: string
  tag: string
  addedFrom: string
  addedTo: string
  usedFrom: string
  usedTo: string
  neverUsed: boolean
}

export const states = ['active', 'cooling', 'invalid', 'disabled'] as const satisfies readonly KeyState[]

export const noFilter: KeyFilter = { states: [], reason: '', notes: '', tag: '', addedFrom: '', addedTo: '', usedFrom: '', usedTo: '', neverUsed: false }

/** The names in the address. */
export const names = {
  states: 'state',
  reason: 'reason',
  notes: 'notes',
  tag: 'tag',
  addedFrom: 'added_from',
  addedTo: 'added_to',
  usedFrom: 'used_from',
  usedTo: 'used_to',
  neverUsed: 'never_used',
} as const satisfies Record<keyof KeyFilter, string>

type Address = Record<string, string>

/** readFilter takes a filter out of an address. What makes no sense there does not filter. */
export function readFilter(query: Readonly<Record<string, unknown>>): KeyFilter {
  const text = (name: string) => {
    const value = query[name]
    return typeof value === 'string' ? value : ''
  }
  const instant = (name: string) => (text(name) && !Number.isNaN(Date.parse(text(name))) ? new Date(text(name)).toISOString() : '')
  const wanted = text(names.states).split(',')
  const neverUsed = text(names.neverUsed) === 'true'
  return {
    states: states.filter((state) => wanted.includes(state)),
    reason: text(names.reason).trim(),
    notes: text(names.notes).trim(),
    tag: text(names.tag).trim(),
    addedFrom: instant(names.addedFrom),
    addedTo: instant(names.addedTo),
    // A key that was never used has no last use.
    usedFrom: neverUsed ? '' : instant(names.usedFrom),
    usedTo: neverUsed ? '' : instant(names.usedTo),
    neverUsed,
  }
}

/** writeFilter is the other way round: a text for each name, empty where nothing is filtered. */
export function writeFilter(filter: KeyFilter): Address {
  return {
    [names.states]: filter.states.length === states.length ? '' : filter.states.join(','),
    [names.reason]: filter.reason,
    [names.notes]: filter.notes,
    [names.tag]: filter.tag,
    [names.addedFrom]: filter.addedFrom,
    [names.addedTo]: filter.addedTo,
    [names.usedFrom]: filter.neverUsed ? '' : filter.usedFrom,
    [names.usedTo]: filter.neverUsed ? '' : filter.usedTo,
    [names.neverUsed]: filter.neverUsed ? 'true' : '',
  }
}

/** filterBody is the filter as the API takes it, or undefined when every key fits. */
export function filterBody(filter: KeyFilter): Wire<'KeyFilter'> | undefined {
  const body: Wire<'KeyFilter'> = {}
  if (filter.states.length > 0 && filter.states.length < states.length) body.state = filter.states.join(',')
  if (filter.reason) body.reason = filter.reason
  if (filter.notes) body.notes = filter.notes
  if (filter.tag) body.tag = filter.tag
  if (filter.addedFrom) body.created_from = filter.addedFrom
  if (filter.addedTo) body.created_to = filter.addedTo
  if (filter.neverUsed) body.never_used = true
  else {
    if (filter.usedFrom) body.used_from = filter.usedFrom
    if (filter.usedTo) body.used_to = filter.usedTo
  }
  return Object.keys(body).length > 0 ? body : undefined
}

/** Whether only states are filtered, so that the counts of the group say how many keys fit. */
export function onlyStates(filter: KeyFilter): boolean {
  return Object.keys(filterBody({ ...filter, states: [] }) ?? {}).length === 0
}

/** How many things are filtered besides the states, which have their own buttons. */
export function filterCount(filter: KeyFilter): number {
  return [filter.reason, filter.notes, filter.tag, filter.addedFrom || filter.addedTo, filter.usedFrom || filter.usedTo, filter.neverUsed].filter(Boolean).length
}

export type KeySort = NonNullable<Query<'list-keys'>['sort']>

/** The sort of the table, with a minus for descending, as the API's word. Orders that the API does not have are the usual one. */
const orders: Record<string, KeySort> = { added: 'oldest', '-added': 'newest', '-used': 'last_used', '-failures': 'failures', '-weight': 'weight' }

export function sortOf(order: string): KeySort {
  return orders[order] ?? 'oldest'
}

/** knownOrder keeps an order that the API has. */
export function knownOrder(order: string): string {
  return order in orders ? order : ''
}

/** localInput writes an instant for a datetime-local field, in the operator's zone. */
export function localInput(instant: string): string {
  if (!instant) return ''
  const date = new Date(instant)
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

/** instantOf reads what a datetime-local field holds. */
export function instantOf(local: string): string {
  const date = new Date(local)
  return local && !Number.isNaN(date.getTime()) ? date.toISOString() : ''
}

/**
 * looksLikeKey tells a whole key from a piece of notes. When in doubt it is a key: that is looked for in a body, and never stands in an
 * address.
 */
export function looksLikeKey(text: string): boolean {
  const value = text.trim()
  if (/\s/.test(value)) return false
  return /^(sk-|sk_|AIza|gsk_|xai-|pplx-|hf_|nvapi-|r8_)/.test(value) || (value.length >= 20 && /\d/.test(value) && /[a-z]/i.test(value))
}
