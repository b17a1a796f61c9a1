/** Whether two values of a form are the same, however deep. Members stand in the order in which the form makes them. */
export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** changedFields are the fields of a form that are not as they were loaded. */
export function changedFields<F extends object>(base: F, mine: F): (keyof F)[] {
  return (Object.keys(mine) as (keyof F)[]).filter((field) => !same(base[field], mine[field]))
}

/**
 * merge brings together what somebody typed (mine) and what somebody else saved meanwhile (theirs), both made of base. A field that
 * only one of them changed is taken from that one. One that both changed differently stays mine and is named a conflict.
 */
export function merge<F extends object>(base: F, mine: F, theirs: F): { merged: F; conflicts: (keyof F)[] } {
  const merged = { ...theirs }
  const conflicts: (keyof F)[] = []
  for (const field of changedFields(base, mine)) {
    merged[field] = mine[field]
    if (!same(base[field], theirs[field]) && !same(mine[field], theirs[field])) conflicts.push(field)
  }
  return { merged, conflicts }
}
