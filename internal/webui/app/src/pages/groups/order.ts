/** moved is a list with one of its ids at another place, or undefined if that changes nothing. */
export function moved(ids: readonly string[], id: string, to: number): string[] | undefined {
  const from = ids.indexOf(id)
  if (from < 0 || to < 0 || to >= ids.length || from === to) return undefined
  const next = ids.filter((other) => other !== id)
  next.splice(to, 0, id)
  return next
}
