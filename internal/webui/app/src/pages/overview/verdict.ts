import type { FleetNode, Wire } from '@/api/types'
import { commonVersion, grave, leaderless, troubles, type Trouble } from '@/pages/fleet/health'
import { successShare, type Sum } from './pulse'

type Group = Wire<'DashboardGroup'>

/** Something that an operator should look at, with what it takes to say it and to lead there. */
export type Problem = { level: 'bad' | 'warn' } & (
  | { kind: 'dry'; group: Group } // it has keys, but none can be used now
  | { kind: 'keyless'; group: Group } // it gets requests, but has no keys
  | { kind: 'failing'; group: Group; sum: Sum }
  | { kind: 'low'; group: Group } // few of its keys can be used
  | { kind: 'node'; node: FleetNode; trouble: Trouble }
  | { kind: 'leaderless' }
  | { kind: 'incomplete'; message: string }
  | { kind: 'finding'; finding: Wire<'Finding'> }
)

export type Level = 'good' | 'warn' | 'bad' | 'idle'

/** Shares of requests that fail, and how many failures it takes to count. */
const manyFail = { share: 0.5, failed: 5 }
const someFail = { share: 0.05, failed: 3 }
/** A group with keys enough to tell runs low below this share of usable ones. */
const low = { keys: 5, share: 0.2 }

export function keyTotal(group: Group): number {
  return group.keys.active + group.keys.cooling + group.keys.invalid + group.keys.disabled
}

/** byDryness puts the groups that run dry next first: the fewest usable keys, of as many the smaller share. Those without keys are last. */
export function byDryness(groups: readonly Group[]): Group[] {
  const share = (group: Group) => group.keys.active / Math.max(1, keyTotal(group))
  return [...groups].sort((a, b) => Number(keyTotal(a) === 0) - Number(keyTotal(b) === 0) || a.keys.active - b.keys.active || share(a) - share(b))
}

function ofGroup(group: Group, sum: Sum | undefined): Problem | undefined {
  const total = keyTotal(group)
  const asked = (sum?.requests ?? 0) > 0
  if (total === 0) return asked ? { level: 'bad', kind: 'keyless', group } : undefined
  if (group.keys.active === 0) return { level: asked ? 'bad' : 'warn', kind: 'dry', group }
  if (sum) {
    const failing = 1 - (successShare(sum) ?? 1)
    if (failing >= manyFail.share && sum.failed >= manyFail.failed) return { level: 'bad', kind: 'failing', group, sum }
    if (failing >= someFail.share && sum.failed >= someFail.failed) return { level: 'warn', kind: 'failing', group, sum }
  }
  if (total >= low.keys && group.keys.active / total < low.share) return { level: 'warn', kind: 'low', group }
  return undefined
}

/** problems lists what an operator should look at, the worst first. recent has the sums of the last minutes by group id. */
export function problems(dashboard: Pick<Wire<'Dashboard'>, 'groups' | 'security'>, recent: ReadonlyMap<string, Sum>, fleet?: Wire<'NodeList'>): Problem[] {
  const found: Problem[] = []
  for (const group of byDryness(dashboard.groups)) {
    const problem = ofGroup(group, recent.get(group.id))
    if (problem) found.push(problem)
  }
  if (fleet) {
    const version = commonVersion(fleet.nodes)
    for (const node of fleet.nodes) for (const trouble of troubles(node, version)) found.push({ level: grave(trouble) ? 'bad' : 'warn', kind: 'node', node, trouble })
    if (leaderless(fleet.nodes, fleet.complete)) found.push({ level: 'warn', kind: 'leaderless' })
    if (!fleet.complete) found.push({ level: 'warn', kind: 'incomplete', message: fleet.message ?? '' })
  }
  for (const finding of dashboard.security) if (finding.severity === 'high') found.push({ level: 'warn', kind: 'finding', finding })
  return [...found.filter((one) => one.level === 'bad'), ...found.filter((one) => one.level === 'warn')]
}

/** verdict is the one word for it all. */
export function verdict(found: readonly Problem[], now: Sum | undefined): Level {
  if (found.some((one) => one.level === 'bad')) return 'bad'
  // What is not as safe as it could be does not keep clients from being served.
  if (found.some((one) => one.kind !== 'finding')) return 'warn'
  return now && now.requests === 0 ? 'idle' : 'good'
}
