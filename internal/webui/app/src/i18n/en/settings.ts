import { plural } from '../plural'

export default {
  help: 'They hold for every group that does not say otherwise.',
  search: 'Search settings',
  contents: 'Sections',
  noMatch: 'No setting fits.',
  sections: { basic: 'Basics', requests: 'Requests', connections: 'Connections', keys: 'Keys', streams: 'Streams' } as Record<string, string>,
  units: { seconds: 'seconds', minutes: 'minutes', days: 'days' } as Record<string, string>,
  bounds: (min: string, max: string, unit: string) => `${min} to ${max} ${unit}`.trim(),
  own: 'set',
  empty: 'empty',
  defaultIs: (value: string) => `Default: ${value}`,
  groupsMay: 'a group may override it',
  revealToEdit: 'Show and edit',
  reset: (name: string) => `Back to the default: ${name}`,
  changes: (n: number) => plural('en', n, { one: '# change is not saved', other: '# changes are not saved' }),
  before: 'before:',
  after: 'after:',
  live: 'What you save is in use on every node within about a second.',
  saved: (revision: string) => `Saved as revision ${revision}.`,
  inUse: (revision: string, there: number, all: number) => `Revision ${revision} is in use on ${there} of ${plural('en', all, { one: '# node', other: '# nodes' })}.`,
  behind: (nodes: string) => `Not yet on: ${nodes}`,
  othersUnknown: 'The other nodes cannot be asked now.',
  /** What a setting does, by its name. What is not here is shown as the server says it, which is in English. */
  docs: {} as Record<string, string>,
}
