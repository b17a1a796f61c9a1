/** toInput writes an instant as a field of type datetime-local takes it, in the operator's zone. Junk becomes empty. */
export function toInput(instant: string): string {
  const at = new Date(instant)
  if (!instant || Number.isNaN(at.getTime())) return ''
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

/** fromInput is the way back: an instant in ISO form, or nothing. */
export function fromInput(text: string): string {
  const at = new Date(text)
  return text && !Number.isNaN(at.getTime()) ? at.toISOString() : ''
}
