import type { RouteLocationRaw } from 'vue-router'
import type { AuditEvent } from '@/api/types'
import { m } from '@/i18n'
import { differences, written } from './diff'

/** eventText says what happened in a few words. A kind that this console does not know stays as it is. */
export function eventText(kind: string, count: number): string {
  return m.value.audit.kinds[kind]?.(count) ?? kind
}

const shown = 2 // changed fields that a line has room for

/** eventDetail is what a line says besides: the thing's name, or the fields that changed. */
export function eventDetail(event: AuditEvent): string {
  if (event.kind === 'settings.changed' || event.kind === 'group.changed' || event.kind === 'key.edited') {
    const changed = differences(event.before, event.after)
    const parts = changed.slice(0, shown).map((one) => `${one.field} ${short(one.before)} → ${short(one.after)}`)
    if (changed.length > shown) parts.push('…')
    return [event.noun === 'key' ? event.name : '', parts.join(', ')].filter(Boolean).join(': ')
  }
  if (event.noun === 'group' || event.noun === 'session') return ''
  return event.name ?? ''
}

function short(value: unknown): string {
  const text = written(value).replace(/\s+/g, ' ')
  if (text === '') return '–'
  return text.length > 24 ? `${text.slice(0, 23)}…` : text
}

/** eventWhy is why something happened by itself, in the API's stable word. */
export function eventWhy(event: AuditEvent): string {
  return event.kind === 'group.copied' ? '' : (event.reason ?? '')
}

/** eventObject leads to the thing that the event is about, if it has a page and is still there. */
export function eventObject(event: AuditEvent): RouteLocationRaw | undefined {
  if (event.kind.endsWith('.deleted')) return undefined
  switch (event.noun) {
    case 'settings':
      return { name: 'settings' }
    case 'proxy_key':
      return { name: 'clients' }
    case 'session':
      return { name: 'fleet' }
    case 'group':
      return event.noun_id ? { name: 'group', params: { id: event.noun_id } } : { name: 'groups' }
    case 'operation':
      return event.noun_id ? { name: 'operation', params: { id: event.noun_id } } : undefined
    case 'key':
      if (event.noun_id) return { name: 'key', params: { key: event.noun_id }, query: { group: event.group_id } }
      return event.group_id ? { name: 'keys', query: { group: event.group_id } } : undefined
    default:
      return undefined
  }
}
