import type { Key, Wire } from '@/api/types'

/** Keys to act on: some by their ids, or all of a group that fit a filter, those that were not loaded included. No filter is every key. */
export type Selection = { by: 'ids'; ids: string[] } | { by: 'filter'; filter?: Wire<'KeyFilter'> }

/** How many ids the API takes at once, and how many of them to test. */
const mostIds = 10_000
const mostTested = 10

/** Above this many, an act on a filter becomes an operation, which cannot be undone. */
export const atOnce = 1_000

/** bodies are what to send for a selection, in turn. */
export function bodies(selection: Selection, most = mostIds): Wire<'KeySelection'>[] {
  if (selection.by === 'filter') return [selection.filter ? { filter: selection.filter } : { all: true }]
  const list: Wire<'KeySelection'>[] = []
  for (let i = 0; i < selection.ids.length; i += most) list.push({ ids: selection.ids.slice(i, i + most) })
  return list
}

/** testBodies are few keys at a time, so that their results come while the others are tested. */
export function testBodies(selection: Selection): Wire<'KeySelection'>[] {
  return bodies(selection, mostTested)
}

/** Whether it is every key of the group. */
export function isEverything(selection: Selection): boolean {
  return selection.by === 'filter' && !selection.filter
}

/** What a dry run said, over all of its parts. */
export interface Reach {
  matching: number
  more: boolean
  examples: Key[]
}

const fewExamples = 5

export function addReach(reach: Reach, part: { matching?: number; more?: boolean; examples?: Key[] | null }): Reach {
  return {
    matching: reach.matching + (part.matching ?? 0),
    more: reach.more || !!part.more,
    examples: [...reach.examples, ...(part.examples ?? [])].slice(0, fewExamples),
  }
}

export const noReach: Reach = { matching: 0, more: false, examples: [] }

/** parseTags reads tags as people write them: with commas or spaces between. */
export function parseTags(text: string): string[] {
  return [...new Set(text.split(/[\s,，、]+/).filter(Boolean))]
}
