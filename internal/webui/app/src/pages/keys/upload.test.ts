import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { ApiError } from '@/api/errors'
import { upload } from './upload'

class FakeRequest {
  static last: FakeRequest
  upload: { onprogress?: (event: { loaded: number }) => void } = {}
  status = 0
  responseText = ''
  headers: Record<string, string> = {}
  sent?: Blob
  url = ''
  onload?: () => void
  onerror?: () => void
  onabort?: () => void
  onloadend?: () => void
  constructor() {
    FakeRequest.last = this
  }
  open(_: string, url: URL) {
    this.url = url.pathname + url.search
  }
  setRequestHeader(name: string, value: string) {
    this.headers[name] = value
  }
  send(body: Blob) {
    this.sent = body
  }
  abort() {
    this.onabort?.()
    this.onloadend?.()
  }
  answer(status: number, body: string) {
    this.status = status
    this.responseText = body
    this.onload?.()
    this.onloadend?.()
  }
}

beforeEach(() => vi.stubGlobal('XMLHttpRequest', FakeRequest))
afterEach(() => vi.unstubAllGlobals())

function begin(signal = new AbortController().signal) {
  const file = new Blob(['sk-a\n'])
  const sent: number[] = []
  const answer = upload('7', file, { format: 'csv', disabled: true, signal, onProgress: (n) => sent.push(n) })
  return { file, sent, answer, request: FakeRequest.last }
}

it('sends the file itself and tells how far it is', async () => {
  const { file, sent, answer, request } = begin()
  request.upload.onprogress?.({ loaded: 3 })
  request.answer(202, '{"id":"5"}')
  expect((await answer).id).toBe('5')
  expect(request.sent).toBe(file)
  expect(request.url).toMatch(/\/groups\/7\/keys\/import\?format=csv&disabled=true$/)
  expect(request.headers['Content-Type']).toBe('application/octet-stream')
  expect(sent).toEqual([3])
})

it('says what the server refused', async () => {
  const { answer, request } = begin()
  request.answer(409, '{"code":"conflict","message":"one at a time","request_id":"adm_1","details":[]}')
  await expect(answer).rejects.toMatchObject({ status: 409, code: 'conflict', requestId: 'adm_1' })
})

it('knows a server that is not there, or that answers something else', async () => {
  const first = begin()
  first.request.onerror?.()
  await expect(first.answer).rejects.toMatchObject({ code: 'unreachable' })
  const second = begin()
  second.request.answer(502, '<html>')
  await expect(second.answer).rejects.toBeInstanceOf(ApiError)
})

it('stops when it is told to', async () => {
  const stop = new AbortController()
  const { answer } = begin(stop.signal)
  stop.abort()
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' })
})
