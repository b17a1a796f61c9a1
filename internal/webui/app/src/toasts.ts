import { readonly, ref } from 'vue'

export interface Toast {
  id: number
  kind: 'good' | 'bad'
  text: string
  detail?: string
  /** A way back or on, with its word. */
  action?: { label: string; run: () => void | Promise<void> }
}

const shown = ref<Toast[]>([])
export const toasts = readonly(shown)

let last = 0
const most = 4
const staysFor = { good: 8_000, bad: 15_000 }

/** toast tells what became of an act. It leaves by itself. */
export function toast(kind: Toast['kind'], text: string, more: Pick<Toast, 'detail' | 'action'> = {}): void {
  const id = ++last
  shown.value = [...shown.value.slice(1 - most), { id, kind, text, ...more }]
  setTimeout(() => dismiss(id), staysFor[kind])
}

export function dismiss(id: number): void {
  shown.value = shown.value.filter((t) => t.id !== id)
}
