import type { Channel } from '@/api/types'

/** A kind of provider that a group may begin as. */
export interface Template {
  id: 'openai' | 'openai-response' | 'anthropic' | 'gemini' | 'compatible'
  channel: Channel
  /** Its public address; empty where only the operator knows it. */
  url: string
  /** Name that a group of it gets, unless it is taken. */
  name: string
}

export const templates: readonly Template[] = [
  { id: 'openai', channel: 'openai', url: 'https://api.openai.com', name: 'openai' },
  { id: 'openai-response', channel: 'openai-response', url: 'https://api.openai.com', name: 'openai-responses' },
  { id: 'anthropic', channel: 'anthropic', url: 'https://api.anthropic.com', name: 'anthropic' },
  { id: 'gemini', channel: 'gemini', url: 'https://generativelanguage.googleapis.com', name: 'gemini' },
  { id: 'compatible', channel: 'openai', url: '', name: 'my-provider' },
]

/** freeName returns the name, or the name with the first number behind it that nobody has. */
export function freeName(name: string, taken: readonly string[]): string {
  if (!taken.includes(name)) return name
  let n = 2
  while (taken.includes(`${name}-${n}`)) n++
  return `${name}-${n}`
}
