import type { Setting } from '@/api/types'
import { language, locale, m } from '@/i18n'

/** Units of settings, as Intl names them. */
const units: Record<string, string> = { seconds: 'second', minutes: 'minute', days: 'day' }

/** written is a value of a setting as a sentence has it. */
export function written(setting: Setting, value: unknown): string {
  if (value === undefined || value === null || value === '') return m.value.settings.empty
  if (typeof value === 'boolean') return value ? m.value.words.yes : m.value.words.no
  const unit = setting.unit && units[setting.unit]
  const figure = Number(value)
  // What is typed may be no figure yet.
  if (unit && Number.isFinite(figure)) return new Intl.NumberFormat(locale.value, { style: 'unit', unit, unitDisplay: language.value === 'en' ? 'long' : 'short' }).format(figure)
  return setting.unit ? `${String(value)} ${setting.unit}` : String(value)
}

/** fits tells whether a setting has to do with a text somebody looks for. */
export function fits(setting: Setting, text: string): boolean {
  const wanted = text.trim().toLowerCase()
  const doc = m.value.settings.docs[setting.name] ?? ''
  return wanted === '' || [setting.name, setting.doc, doc].some((one) => one.toLowerCase().includes(wanted))
}

/** said is what a setting of the installation says, or that its default holds. Secrets are told apart, not shown. */
export function said(setting: Setting, own: string | undefined): string {
  if (own === undefined) return m.value.settings.defaultIs(written(setting, setting.default))
  if (setting.secret && own !== '') return own.length >= 12 ? `****${own.slice(-4)}` : '****'
  return written(setting, setting.kind === 'boolean' ? own === 'true' : own)
}
