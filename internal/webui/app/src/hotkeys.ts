import { onScopeDispose } from 'vue'

/** Whether somebody types into something, so that letters are text. */
function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}

/**
 * useHotkeys calls a function at a key while the component lives: 'j', '/', 'ctrl+k', or 'g o' for two after each other. Single
 * characters count only while nobody types and no dialog is open.
 */
export function useHotkeys(keys: Record<string, (event: KeyboardEvent) => void>): void {
  let first = ''
  let firstAt = 0
  const within = 1000 // milliseconds between the two keys of a pair

  function onKey(event: KeyboardEvent) {
    if (event.defaultPrevented || event.isComposing || event.altKey) return
    const control = event.ctrlKey || event.metaKey
    const name = control ? `ctrl+${event.key.toLowerCase()}` : event.key
    if (!control && name !== 'Escape' && (typing(event.target) || document.querySelector('[role=dialog][data-modal=true]'))) return
    const pair = first && event.timeStamp - firstAt < within ? `${first} ${name}` : ''
    const run = keys[pair] ?? keys[name]
    first = name
    firstAt = event.timeStamp
    if (!run) return
    event.preventDefault()
    first = ''
    run(event)
  }
  document.addEventListener('keydown', onKey)
  onScopeDispose(() => document.removeEventListener('keydown', onKey))
}
