import { refusal } from '@/api/client'
import { ApiError } from '@/api/errors'
import type { Operation, Wire } from '@/api/types'
import { apiURL } from '@/base'

export type FileFormat = NonNullable<Wire<'OperationInput'>['format']> | 'lines'

export interface UploadOptions {
  /** Found out by the server when it is left out. */
  format?: FileFormat
  /** Add the keys switched off. */
  disabled?: boolean
  signal: AbortSignal
  /** Bytes that are on the server. */
  onProgress: (sent: number) => void
}

/**
 * upload sends a file of keys as it is, without reading it into memory, and returns the operation that goes on with it. Only
 * XMLHttpRequest tells how much of a body has been sent. It throws an ApiError, or an AbortError when it was stopped.
 */
export function upload(group: string, file: Blob, options: UploadOptions): Promise<Operation> {
  const url = new URL(`${apiURL}/groups/${encodeURIComponent(group)}/keys/import`)
  if (options.format) url.searchParams.set('format', options.format)
  if (options.disabled) url.searchParams.set('disabled', 'true')

  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const stopped = () => reject(new DOMException('stopped', 'AbortError'))
    const stop = () => request.abort()
    request.upload.onprogress = (event) => options.onProgress(event.loaded)
    request.onload = () => {
      let body: unknown
      try {
        body = JSON.parse(request.responseText)
      } catch {
        body = undefined
      }
      if (request.status >= 200 && request.status < 300 && body !== undefined) resolve(body as Operation)
      else reject(refusal(request.status, body ?? null))
    }
    request.onerror = () => reject(new ApiError(0, {}))
    request.onabort = stopped
    request.onloadend = () => options.signal.removeEventListener('abort', stop)
    if (options.signal.aborted) {
      stopped()
      return
    }
    options.signal.addEventListener('abort', stop)
    request.open('POST', url)
    request.setRequestHeader('Content-Type', 'application/octet-stream')
    request.send(file)
  })
}
