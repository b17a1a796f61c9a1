const rules = new Map<string, Intl.PluralRules>()

/** plural picks the form of a count and writes the count into it where # stands. */
export function plural(tag: string, count: number, forms: { one?: string; other: string }): string {
  let rule = rules.get(tag)
  if (!rule) rules.set(tag, (rule = new Intl.PluralRules(tag)))
  const form = rule.select(count) === 'one' ? (forms.one ?? forms.other) : forms.other
  return form.replace('#', count.toLocaleString(tag))
}
