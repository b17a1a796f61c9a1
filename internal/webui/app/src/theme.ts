import { ref, watchEffect } from 'vue'

export type Theme = 'light' | 'dark' | 'system'
export const themes: readonly Theme[] = ['system', 'light', 'dark']

const stored = 'gpt-load.theme' // also read by public/theme.js

function load(): Theme {
  const value = localStorage.getItem(stored)
  return value === 'light' || value === 'dark' ? value : 'system'
}

export const theme = ref<Theme>(load())
/** Whether it is dark now; charts draw themselves again when it changes. */
export const dark = ref(false)

const darkRoom = matchMedia('(prefers-color-scheme: dark)')

function apply(): void {
  dark.value = theme.value === 'dark' || (theme.value === 'system' && darkRoom.matches)
  document.documentElement.classList.toggle('dark', dark.value)
}

export function watchTheme(): void {
  darkRoom.addEventListener('change', apply)
  watchEffect(() => {
    if (theme.value === 'system') localStorage.removeItem(stored)
    else localStorage.setItem(stored, theme.value)
    apply()
  })
}
