import type { components } from './schema'

type Problem = components['schemas']['Problem']

/** ApiError is an answer of the admin API with a status of 400 or above, or no answer at all: then status is 0. */
export class ApiError extends Error {
  readonly status: number
  readonly code: Problem['code'] | 'unreachable'
  /** What is wrong with each field; the fields are paths such as upstreams[0].url. */
  readonly details: Problem['details']
  readonly requestId: string
  /** With precondition_failed: the revision that the thing is at now. */
  readonly revision?: number

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.message ?? '')
    this.name = 'ApiError'
    this.status = status
    this.code = problem.code ?? (status === 0 ? 'unreachable' : 'internal')
    this.details = problem.details ?? []
    this.requestId = problem.request_id ?? ''
    this.revision = problem.revision
  }

  /** What is wrong with a field, or undefined. */
  field(name: string): string | undefined {
    return this.details?.find((d) => d.field === name)?.message
  }
}

/** asApiError makes an ApiError of whatever was thrown. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error
  return new ApiError(0, { message: error instanceof Error ? error.message : String(error) })
}
