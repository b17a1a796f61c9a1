import createClient, { type FetchResponse } from 'openapi-fetch'
import { apiURL } from '@/base'
import { ApiError } from './errors'
import type { paths } from './schema'

/** How long an answer may take to begin. Uploads and downloads go without. */
const patience = 30_000

/** api has a method for each operation of the OpenAPI document. Give what it returns to ask. */
export const api = createClient<paths>({
  baseUrl: apiURL,
  credentials: 'same-origin',
  fetch: (request) => fetch(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(patience)]) }),
  // Lists travel as ?state=a,b.
  querySerializer: { array: { style: 'form', explode: false } },
})

/** onSignedOut is called at each answer that says that there is no session. */
let onSignedOut: () => void = () => undefined

export function whenSignedOut(callback: () => void): void {
  onSignedOut = callback
}

/** refusal turns an answer with a status of 400 or above into an ApiError. */
export function refusal(status: number, body: unknown, response?: Response): ApiError {
  if (status === 401) onSignedOut()
  const problem = body !== null && typeof body === 'object' ? body : { message: response?.statusText }
  return new ApiError(status, problem)
}

// openapi-fetch wants its own generics here, which nobody but it can name.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnyResponse = FetchResponse<any, any, any>

/** ask waits for an answer and returns its body. It throws an ApiError. */
export async function ask<R extends AnyResponse>(answer: Promise<R>): Promise<NonNullable<R['data']>> {
  let got: R
  try {
    got = await answer
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new ApiError(0, {})
  }
  if (!got.response.ok) throw refusal(got.response.status, got.error, got.response)
  return got.data as NonNullable<R['data']>
}
