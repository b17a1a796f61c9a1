import { locale, m } from '@/i18n'

const cache = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>()

function cached<F extends Intl.NumberFormat | Intl.DateTimeFormat | Intl.RelativeTimeFormat>(id: string, make: () => F): F {
  const key = `${locale.value} ${id}`
  let format = cache.get(key) as F | undefined
  if (!format) cache.set(key, (format = make()))
  return format
}

/** number writes a count with separators, or a figure with at most the given decimals. */
export function number(value: number, decimals = 0): string {
  return cached(`n${decimals}`, () => new Intl.NumberFormat(locale.value, { maximumFractionDigits: decimals })).format(value)
}

/** compact writes a large count short: 1.2M. */
export function compact(value: number): string {
  return cached('compact', () => new Intl.NumberFormat(locale.value, { notation: 'compact', maximumFractionDigits: 1 })).format(value)
}

/** percent writes a share of 0 to 1. A share that is not whole never reads as 100 % or 0 %. */
export function percent(share: number, decimals = 1): string {
  const step = 10 ** -(decimals + 2)
  const shown = share > 1 - step && share < 1 ? 1 - step : share > 0 && share < step ? step : share
  return cached(`p${decimals}`, () => new Intl.NumberFormat(locale.value, { style: 'percent', maximumFractionDigits: decimals })).format(shown)
}

/** bytes writes a size in powers of 1000. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let at = 0
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000
    at++
  }
  return `${number(value, at === 0 || value >= 100 ? 0 : 1)} ${units[at]}`
}

/** duration writes milliseconds with the unit that fits. */
export function duration(ms: number): string {
  if (ms < 1000) return `${number(ms)} ms`
  if (ms < 60_000) return `${number(ms / 1000, ms < 10_000 ? 2 : 1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`
}

/** isTime reports whether the API said a time; it writes none as the year 1. */
export function isTime(at: string | undefined | null): at is string {
  return !!at && !at.startsWith('0001-')
}

/** clock writes the time of day in the operator's zone, with the day when it is not today. */
export function clock(at: string | Date, now = new Date()): string {
  const date = new Date(at)
  const today = date.toDateString() === now.toDateString()
  return cached(today ? 'clock' : 'dayclock', () =>
    new Intl.DateTimeFormat(locale.value, today ? { timeStyle: 'medium' } : { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' }),
  ).format(date)
}

/** exact writes an instant so that nothing about it is in doubt, for titles. */
export function exact(at: string | Date): string {
  const date = new Date(at)
  const text = cached('exact', () => new Intl.DateTimeFormat(locale.value, { dateStyle: 'full', timeStyle: 'long' })).format(date)
  return `${text}\n${date.toISOString()}`
}

/** ago writes how long ago something was, or how far ahead it is. */
export function ago(at: string | Date, now: number): string {
  const seconds = (new Date(at).getTime() - now) / 1000
  const format = cached('ago', () => new Intl.RelativeTimeFormat(locale.value, { numeric: 'always', style: 'short' }))
  const size = Math.abs(seconds)
  if (size < 2) return m.value.words.now
  if (size < 60) return format.format(Math.round(seconds), 'second')
  if (size < 3600) return format.format(Math.round(seconds / 60), 'minute')
  if (size < 86_400) return format.format(Math.round(seconds / 3600), 'hour')
  return format.format(Math.round(seconds / 86_400), 'day')
}

/** middle shortens a long id in its middle. */
export function middle(text: string, most = 20): string {
  if (text.length <= most) return text
  const half = Math.floor((most - 1) / 2)
  return `${text.slice(0, most - 1 - half)}…${text.slice(-half)}`
}
