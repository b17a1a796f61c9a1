import { computed, onScopeDispose, ref, shallowRef, type Ref } from 'vue'
import { api, ask } from '@/api/client'
import { ApiError } from '@/api/errors'
import type { Operation, Wire } from '@/api/types'
import { m } from '@/i18n'
import { keysChanged } from './acts'
import { intake, isDirect } from './intake'
import { ended } from '@/operations'
import { follow } from './operations'
import { upload, type FileFormat } from './upload'

/** useImporter takes keys that were pasted or come in a file, and knows how far that is. What was typed stays until it is cleared. */
export function useImporter(group: Ref<string>) {
  const text = ref('')
  const file = shallowRef<File>()
  const format = ref<FileFormat | ''>('')
  const disabled = ref(false)

  const busy = ref(false)
  const sent = ref(0)
  const size = ref(0) // 0: nothing is being uploaded
  const error = ref<unknown>()
  const result = shallowRef<Wire<'KeyImport'>>()
  const operation = shallowRef<Operation>()
  let stop = new AbortController()

  const what = computed(() => intake(text.value))
  const ready = computed(() => !busy.value && (file.value ? file.value.size > 0 : what.value.kind !== 'empty'))

  async function begin() {
    if (!ready.value) return
    stop = new AbortController()
    busy.value = true
    error.value = undefined
    try {
      if (!file.value && isDirect(what.value)) await add()
      else await send(file.value ?? new Blob([text.value]))
    } catch (thrown) {
      if (!stop.signal.aborted) error.value = thrown
    } finally {
      busy.value = false
      size.value = 0
    }
  }

  async function add() {
    try {
      result.value = await ask(
        api.POST('/groups/{id}/keys', {
          params: { path: { id: group.value } },
          body: { text: text.value, disabled: disabled.value || undefined },
          signal: stop.signal,
          fetch: (request: Request) => fetch(request), // it is written before the answer comes
        }),
      )
    } finally {
      void keysChanged(group.value) // also those of an import that broke off half way
    }
  }

  async function send(body: Blob) {
    // The server takes one import of a group at a time, and would say so only after the whole file was sent.
    const { operations } = await ask(api.GET('/operations', { params: { query: { group_id: group.value, kind: 'import', limit: 5 } }, signal: stop.signal }))
    if (operations?.some((one) => !ended(one))) throw new ApiError(409, { code: 'conflict', message: m.value.keys.importBusy })
    sent.value = 0
    size.value = body.size
    const begun = await upload(group.value, body, {
      format: file.value ? format.value || undefined : undefined,
      disabled: disabled.value,
      signal: stop.signal,
      onProgress: (n) => (sent.value = Math.min(n, body.size)),
    })
    operation.value = begun
    follow(begun)
  }

  /** again makes place for the next keys. */
  function again() {
    text.value = ''
    file.value = undefined
    format.value = ''
    result.value = undefined
    operation.value = undefined
    error.value = undefined
  }
  onScopeDispose(() => stop.abort())

  return { text, file, format, disabled, busy, sent, size, error, result, operation, what, ready, begin, again, stop: () => stop.abort() }
}
