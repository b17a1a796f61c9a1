import type { Wire } from '@/api/types'

/** reach tells how many nodes go by a revision, and which do not yet. Nodes that could not be asked count as neither. */
export function reach(list: Pick<Wire<'NodeList'>, 'nodes' | 'complete'> | undefined, revision: number): { there: number; behind: string[]; all: boolean } {
  const nodes = list?.nodes ?? []
  const behind = nodes.filter((node) => node.revision < revision).map((node) => node.id)
  return { there: nodes.length - behind.length, behind, all: list?.complete === true && nodes.length > 0 && behind.length === 0 }
}
