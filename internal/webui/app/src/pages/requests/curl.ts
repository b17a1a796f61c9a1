import type { RequestRecord } from '@/api/types'
import { shell } from '@/snippets/snippets'

/**
 * curlOf is the request again, for a shell. base is the address of the installation, with a slash at its end. The client's key is not known here: it is taken from GPT_LOAD_KEY. Without a captured body
 * a short one with the same model stands in for it.
 */
export function curlOf(record: RequestRecord, base: string): string {
  const group = encodeURIComponent(record.parent_name || record.group_name)
  const lines = [`curl ${shell(`${base}proxy/${group}${record.path}`)}`, `  -H "Authorization: Bearer $GPT_LOAD_KEY"`]
  if (record.method !== 'GET' && record.method !== 'POST') lines.splice(1, 0, `  -X ${shell(record.method)}`)
  if (record.stream) lines[0] = lines[0]!.replace('curl ', 'curl -N ')
  if (record.method !== 'GET') {
    lines.push(`  -H 'Content-Type: application/json'`)
    lines.push(`  -d ${shell(body(record))}`)
  }
  return lines.join(' \\\n')
}

function body(record: RequestRecord): string {
  const captured = record.capture?.request
  if (captured && captured.encoding === 'text' && !captured.truncated && captured.content !== '') return captured.content
  const model = record.model_asked || 'MODEL'
  const stream = record.stream ? { stream: true } : {}
  if (record.path.includes('/v1beta/')) return JSON.stringify({ contents: [{ parts: [{ text: 'hi' }] }] })
  if (record.path.endsWith('/responses')) return JSON.stringify({ model, input: 'hi', ...stream })
  return JSON.stringify({ model, max_tokens: 16, messages: [{ role: 'user', content: 'hi' }], ...stream })
}
