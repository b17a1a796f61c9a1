import type { Setting } from '@/api/types'
import { changedFields } from './merge'

/** What a level of settings says, as it is typed, by setting; undefined where the level below holds. */
export type Overrides = Record<string, string | undefined>

export function overridesOf(settings: readonly Setting[], level: 'group' | 'system'): Overrides {
  return Object.fromEntries(settings.map((s) => [s.name, s.level === level ? String(s.value ?? '') : undefined]))
}

/**
 * overridePatch is what changed as the API takes it: null drops an override. What was typed for a figure and is none goes as it is, so
 * that the API says what is wrong with it.
 */
export function overridePatch(settings: readonly Setting[], base: Overrides, form: Overrides): Record<string, unknown> {
  const kinds = new Map(settings.map((s) => [s.name, s.kind]))
  return Object.fromEntries(changedFields(base, form).map((name) => [name, typed(kinds.get(name), form[name])]))
}

function typed(kind: string | undefined, text: string | undefined): unknown {
  if (text === undefined) return null
  if (kind === 'boolean') return text === 'true'
  if (kind === 'integer' && text.trim() !== '' && Number.isFinite(Number(text))) return Number(text)
  return text
}
