import type { components, operations } from './schema'

type Schemas = components['schemas']

/** Wire types of the admin API by the names that pkg/adminapi gives them. */
export type Wire<Name extends keyof Schemas> = Schemas[Name]

/** Query parameters of an operation, by its id. */
export type Query<Id extends keyof operations> = NonNullable<operations[Id]['parameters']['query']>

export type Group = Wire<'Group'>
export type Key = Wire<'Key'>
export type KeyCounts = Wire<'KeyCounts'>
export type RequestRecord = Wire<'Record'>
export type Operation = Wire<'Operation'>
export type FleetNode = Wire<'Node'>
export type Setting = Wire<'Setting'>
export type AuditEvent = Wire<'AuditEvent'>
export type Channel = Group['channel']
export type KeyState = Key['state']
