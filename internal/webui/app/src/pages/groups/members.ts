import type { Wire } from '@/api/types'

/** A member as it is typed. */
export interface MemberForm {
  group_id: string
  weight: string
  tier: string
}

export function membersForm(members: readonly { group_id: string; weight?: number; tier?: number }[]): MemberForm[] {
  return members.map((member) => ({ group_id: member.group_id, weight: String(member.weight ?? 1), tier: String(member.tier ?? 1) }))
}

/** membersOf is what was typed as the API takes it. What is no figure stays out of bounds there, so that the API names it. */
export function membersOf(rows: readonly MemberForm[]): Wire<'Member'>[] {
  const figure = (text: string) => (text.trim() !== '' && Number.isInteger(Number(text)) ? Number(text) : -1)
  return rows.map((row) => ({ group_id: row.group_id, weight: figure(row.weight), tier: figure(row.tier) }))
}

/** shares is what each member gets of the requests of its tier, 0 to 1. */
export function shares(rows: readonly MemberForm[]): number[] {
  const weight = (row: MemberForm) => Math.max(0, Number(row.weight) || 0)
  return rows.map((row) => {
    const all = rows.filter((other) => other.tier === row.tier).reduce((sum, other) => sum + weight(other), 0)
    return all > 0 ? weight(row) / all : 0
  })
}
