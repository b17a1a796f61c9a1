/**
 * copyText puts a text on the clipboard, which may first have to be asked for. Browsers have no clipboard of their own on a page that
 * came without TLS from another machine; there an older way does it. It throws if neither works.
 */
export async function copyText(text: string | (() => Promise<string>)): Promise<void> {
  if (typeof text === 'string') return await put(text)
  if (navigator.clipboard && 'ClipboardItem' in window) {
    // The promise itself: who waits for it first no longer acts for the click, which Safari insists on.
    const blob = text().then((value) => new Blob([value], { type: 'text/plain' }))
    return await navigator.clipboard.write([new ClipboardItem({ 'text/plain': blob })])
  }
  await put(await text())
}

async function put(text: string): Promise<void> {
  if (navigator.clipboard) return await navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.readOnly = true
  area.className = 'sr-only'
  const focused = document.activeElement
  // Inside an open dialog, which does not let go of the focus.
  const place = document.querySelector('[role=dialog]') ?? document.body
  place.append(area)
  area.select()
  const copied = document.execCommand('copy')
  area.remove()
  if (focused instanceof HTMLElement) focused.focus()
  if (!copied) throw new Error()
}
