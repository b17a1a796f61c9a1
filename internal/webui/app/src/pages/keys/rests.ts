import type { Key, Wire } from '@/api/types'

/** restOf is the rest of a key to show in a row: the one for every model, which holds it back whole, or else the one that ends first. */
export function restOf(key: Key): Wire<'Cooldown'> | undefined {
  const rests = key.cooldowns ?? []
  const whole = rests.find((rest) => rest.model === '')
  return whole ?? rests.reduce<Wire<'Cooldown'> | undefined>((first, rest) => (first && Date.parse(first.until) <= Date.parse(rest.until) ? first : rest), undefined)
}
