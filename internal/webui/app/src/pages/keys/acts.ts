import { api, ask } from '@/api/client'
import { ApiError, asApiError } from '@/api/errors'
import { queries } from '@/api/query'
import type { Operation, Wire } from '@/api/types'
import { m } from '@/i18n'
import { toast } from '@/toasts'
import { follow } from './operations'
import { addReach, bodies, noReach, testBodies, type Reach, type Selection } from './selection'

export type Act = 'test' | 'enable' | 'disable' | 'restore' | 'reset-cooldowns' | 'set' | 'delete'

/** What an act takes beside the keys. */
export type ActValues = Pick<Wire<'KeyValues'>, 'weight' | 'notes' | 'add_tags' | 'remove_tags'> & Pick<Wire<'CooldownReset'>, 'model'>

export type Verdict = Wire<'KeyTest'>

// Acts wait for the keys, so they may take longer than other answers.
const patient = { fetch: (request: Request) => fetch(request) }

interface Answer {
  changed: number
  results: Verdict[]
  operation?: Operation
  reach: { matching?: number; more?: boolean; examples?: Wire<'Key'>[] | null }
  requestId: string
}

/** call sends an act for one part of a selection. */
async function call(act: Act, group: string, part: Wire<'KeySelection'>, values: ActValues, signal?: AbortSignal): Promise<Answer> {
  const params = { path: { id: group } }
  const { model, ...set } = values
  let requestId = ''
  const noted = <R extends { response: Response }>(answer: R): R => {
    requestId = answer.response.headers.get('X-Request-Id') ?? ''
    return answer
  }
  if (act === 'test') {
    const body = await ask(api.POST('/groups/{id}/keys/test', { params, body: part, signal, ...patient }).then(noted))
    return { changed: 0, results: body.results ?? [], operation: body.operation, reach: body, requestId }
  }
  const send = () => {
    switch (act) {
      case 'enable':
        return api.POST('/groups/{id}/keys/enable', { params, body: part, signal, ...patient }).then(noted)
      case 'disable':
        return api.POST('/groups/{id}/keys/disable', { params, body: part, signal, ...patient }).then(noted)
      case 'restore':
        return api.POST('/groups/{id}/keys/restore', { params, body: part, signal, ...patient }).then(noted)
      case 'delete':
        return api.POST('/groups/{id}/keys/delete', { params, body: part, signal, ...patient }).then(noted)
      case 'reset-cooldowns':
        return api.POST('/groups/{id}/keys/reset-cooldowns', { params, body: { ...part, model }, signal, ...patient }).then(noted)
      case 'set':
        return api.POST('/groups/{id}/keys/set', { params, body: { ...part, ...set }, signal, ...patient }).then(noted)
    }
  }
  const body = await ask(send())
  return { changed: body.changed, results: [], operation: body.operation, reach: body, requestId }
}

/** reachOf says how many keys an act is about, without doing it. */
export async function reachOf(act: Act, group: string, selection: Selection, model: string | undefined, signal?: AbortSignal): Promise<Reach> {
  let reach = noReach
  try {
    for (const part of bodies(selection)) {
      // What is set does not matter for which keys it is set; something has to be.
      const answer = await call(act, group, { ...part, dry_run: true }, act === 'set' ? { weight: 1 } : { model }, signal)
      reach = addReach(reach, answer.reach)
    }
  } catch (error) {
    // The states of the filter are none that this act is for.
    if (!(error instanceof ApiError) || error.code !== 'invalid' || error.field('state') === undefined) throw error
  }
  return reach
}

/** changed makes the page ask again for what an act changed. */
export async function keysChanged(group: string): Promise<void> {
  await Promise.all([
    queries.invalidateQueries({ queryKey: ['keys', group] }),
    queries.invalidateQueries({ queryKey: ['key'] }),
    queries.invalidateQueries({ queryKey: ['groups'] }),
    queries.invalidateQueries({ queryKey: ['group', group] }),
  ])
}

/** perform does an act other than a test, tells what became of it, and offers the way back if there is one. */
export async function perform(act: Exclude<Act, 'test'>, group: string, selection: Selection, values: ActValues = {}): Promise<void> {
  let changed = 0
  const requests: string[] = []
  try {
    for (const part of bodies(selection)) {
      const answer = await call(act, group, part, values)
      changed += answer.changed
      requests.push(answer.requestId)
      if (answer.operation) {
        follow(answer.operation)
        return
      }
    }
  } finally {
    void keysChanged(group)
  }
  const undo = changed > 0 ? await wayBack(group, requests).catch(() => []) : []
  toast('good', m.value.keys.acts[act].done(changed), undo.length > 0 ? { action: { label: m.value.words.undo, run: () => undoAll(group, undo) } } : {})
}

/**
 * testKeys tests keys a few at a time and hands over the verdicts as they come. It reports whether an operation goes on with the keys,
 * since they are many.
 */
export async function testKeys(group: string, selection: Selection, take: (verdicts: Verdict[]) => void, signal: AbortSignal): Promise<boolean> {
  try {
    for (const part of testBodies(selection)) {
      const answer = await call('test', group, part, {}, signal)
      if (answer.operation) {
        follow(answer.operation)
        return true
      }
      take(answer.results)
    }
    return false
  } finally {
    void keysChanged(group)
  }
}

/** wayBack finds the events of these requests that can be undone. */
async function wayBack(group: string, requests: readonly string[]): Promise<string[]> {
  const page = await ask(api.GET('/audit', { params: { query: { noun: 'key', group_id: group, limit: 20 + requests.length } } }))
  return (page.events ?? []).filter((event) => event.undoable && requests.includes(event.who.request_id ?? '')).map((event) => event.id)
}

/** undoAll undoes events and tells how far that went. */
export async function undoAll(group: string, events: readonly string[]): Promise<void> {
  let changed = 0
  let kept = 0
  try {
    for (const id of events) {
      const undone = await ask(api.POST('/audit/{id}/undo', { params: { path: { id } } }))
      changed += undone.changed
      kept += undone.kept
    }
    toast('good', m.value.keys.undone(changed), kept > 0 ? { detail: m.value.keys.undoneKept(kept) } : {})
  } catch (error) {
    toast('bad', m.value.keys.notUndone, { detail: asApiError(error).message })
  } finally {
    void keysChanged(group)
    void queries.invalidateQueries({ queryKey: ['audit'] })
  }
}
