import { computed, ref, shallowRef } from 'vue'
import en from './en'

export type Messages = typeof en

export const languages = { en: 'English', zh: '中文', ja: '日本語' } as const
export type Language = keyof typeof languages

const stored = 'gpt-load.language'

/** English is always there; the others come when they are asked for. */
const catalogs: Record<Language, () => Promise<Messages>> = {
  en: () => Promise.resolve(en),
  zh: async () => (await import('./zh')).default,
  ja: async () => (await import('./ja')).default,
}

export const language = ref<Language>('en')

/**
 * m holds every text that people read, by page: m.keys.title. A text with figures is a function. Templates use it as it is, scripts
 * as m.value.
 */
export const m = shallowRef<Messages>(en)

/** The locale by which numbers, dates and plurals are written. */
export const locale = computed(() => ({ en: navigator.language.startsWith('en') ? navigator.language : 'en', zh: 'zh-CN', ja: 'ja' })[language.value])

function isLanguage(value: string | null | undefined): value is Language {
  return value !== null && value !== undefined && value in languages
}

/** setLanguage changes the texts and remembers the choice. The texts stay as they were if the others cannot be loaded. */
export async function setLanguage(next: Language, remember = true): Promise<void> {
  m.value = await catalogs[next]()
  language.value = next
  document.documentElement.lang = { en: 'en', zh: 'zh-CN', ja: 'ja' }[next]
  if (remember) localStorage.setItem(stored, next)
}

/** startLanguage takes the remembered language, or the first one of the browser that there is. */
export async function startLanguage(): Promise<void> {
  const chosen = localStorage.getItem(stored)
  const wanted = isLanguage(chosen) ? chosen : navigator.languages.map((tag) => tag.split('-')[0]).find(isLanguage)
  if (wanted) await setLanguage(wanted, false)
}
