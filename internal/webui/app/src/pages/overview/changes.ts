import type { AuditEvent } from '@/api/types'

/** Events of one kind that came right after each other, as one line. */
export interface Change {
  /** The newest of them. */
  event: AuditEvent
  count: number
  /** How many events it stands for. */
  events: number
}

/** What is written down but changes nothing for clients, so that it would only hide what does. */
const quiet = new Set(['session.opened', 'session.closed', 'operation.started', 'group.ordered'])

function alike(a: AuditEvent, b: AuditEvent): boolean {
  return a.kind === b.kind && a.group_id === b.group_id && a.reason === b.reason && a.who.kind === b.who.kind && !a.undo_of && !b.undo_of && (a.noun === 'key' || a.noun === 'session')
}

/** changes makes lines of events, which come newest first: a hundred keys that die of one cause are one line. */
export function changes(events: readonly AuditEvent[], most: number): Change[] {
  const lines: Change[] = []
  for (const event of events) {
    if (quiet.has(event.kind)) continue
    const same = lines.slice(-2).find((line) => alike(line.event, event))
    if (same) {
      same.count += event.count
      same.events++
    } else {
      if (lines.length === most) break
      lines.push({ event, count: event.count, events: 1 })
    }
  }
  return lines
}
