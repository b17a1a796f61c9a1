import type { Setting } from '@/api/types'
import { m } from '@/i18n'

/** written is a value of a setting as a sentence has it. */
export function written(setting: Setting, value: unknown): string {
  if (value === undefined || value === null || value === '') return m.value.settings.empty
  if (typeof value === 'boolean') return value ? m.value.words.yes : m.value.words.no
  return setting.unit ? `${String(value)} ${m.value.settings.units[setting.unit] ?? setting.unit}` : String(value)
}

/** fits tells whether a setting has to do with a text somebody looks for. */
export function fits(setting: Setting, text: string): boolean {
  const wanted = text.trim().toLowerCase()
  const doc = m.value.settings.docs[setting.name] ?? ''
  return wanted === '' || [setting.name, setting.doc, doc].some((one) => one.toLowerCase().includes(wanted))
}
