import type { Query } from '@/api/types'

/** What requests have to fit to be shown, by the names of the API, which are those of the address as well. Empty texts do not filter. */
export const names = ['from', 'to', 'group_id', 'parent_id', 'model', 'status_from', 'status_to', 'class', 'stream', 'retried', 'key_id', 'key_tail', 'proxy_key', 'client_ip', 'text'] as const
export type Name = (typeof names)[number]
export type Filter = Record<Name, string>
export type RecordQuery = Omit<Query<'list-records'>, 'limit' | 'cursor'>

/** apiQuery is a filter as the API takes it. What makes no sense there is left out. */
export function apiQuery(filter: Readonly<Filter>): RecordQuery {
  const query: Record<string, string | number> = {}
  for (const name of names) {
    const text = filter[name].trim()
    if (text === '') continue
    if (name === 'status_from' || name === 'status_to') {
      const status = Number(text)
      if (Number.isInteger(status) && status >= 0 && status <= 999) query[name] = status
    } else if (name === 'stream' || name === 'retried') {
      if (text === 'true' || text === 'false') query[name] = text
    } else if (name === 'from' || name === 'to') {
      if (!Number.isNaN(Date.parse(text))) query[name] = text
    } else query[name] = text
  }
  return query as RecordQuery
}

/** The families of status that people look for, as "from-to". */
export const statuses = ['200-299', '400-499', '429-429', '499-499', '500-599'] as const

/** exportURL is where the records that fit can be downloaded. */
export function exportURL(api: string, filter: Readonly<Filter>, format: 'csv' | 'jsonl'): string {
  const query = new URLSearchParams({ format })
  for (const [name, value] of Object.entries(apiQuery(filter))) query.set(name, String(value))
  return `${api}/records/export?${query}`
}
