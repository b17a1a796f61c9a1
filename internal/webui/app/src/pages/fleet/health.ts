import type { FleetNode } from '@/api/types'

/** What can be wrong with a node, or with the fleet as a whole. */
export type Trouble = 'notReady' | 'localCopy' | 'lagging' | 'keysLagging' | 'otherVersion' | 'dropped' | 'clock'

/** A clock further off than this, in milliseconds, shifts cool-downs and records noticeably. */
const clockTolerance = 1_000
/** Revisions behind that are only the moment between a write and its news. */
const lagTolerance = 1

/** commonVersion is the version that most nodes run; of as many, that of the node that answered. */
export function commonVersion(nodes: readonly FleetNode[]): string {
  const counts = new Map<string, number>()
  for (const node of nodes) counts.set(node.version, (counts.get(node.version) ?? 0) + (node.self ? 1.5 : 1))
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? ''
}

/** troubles lists what is wrong with a node, the worst first. */
export function troubles(node: FleetNode, version: string): Trouble[] {
  const found: Trouble[] = []
  if (!node.ready) found.push('notReady')
  if (node.serving_from !== 'store') found.push('localCopy')
  if (node.revision_lag > lagTolerance) found.push('lagging')
  if (node.key_revision_lag > lagTolerance) found.push('keysLagging')
  if (node.records_dropped > 0) found.push('dropped')
  if (node.version !== version) found.push('otherVersion')
  if (Math.abs(node.clock_offset_ms) > clockTolerance) found.push('clock')
  return found
}

/** grave troubles cost clients or records; the others are worth a look. */
export function grave(trouble: Trouble): boolean {
  return trouble === 'notReady' || trouble === 'localCopy' || trouble === 'dropped'
}

/** leaderless reports a fleet of several nodes, seen whole, of which none leads. */
export function leaderless(nodes: readonly FleetNode[], complete: boolean): boolean {
  return complete && nodes.length > 0 && !nodes.some((node) => node.role === 'leader' || node.role === 'single')
}
