import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { shell, snippet, tools, usualModels, type Target } from './snippets'

const channels = ['openai', 'openai-response', 'anthropic', 'gemini'] as const

function target(channel: (typeof channels)[number], proxyKey = 'sk-of-a-client'): Target {
  return { channel, proxyURL: 'http://127.0.0.1:3001/proxy/g', sdkURL: 'http://127.0.0.1:3001/proxy/g/v1', proxyKey, model: usualModels[channel] }
}

test('every tool and channel names the base URL, the key and the model', () => {
  for (const channel of channels)
    for (const tool of tools) {
      const text = snippet(tool, target(channel))
      for (const part of [tool === 'curl' ? '/proxy/g/v1' : 'http://127.0.0.1:3001/proxy/g/v1', 'sk-of-a-client', usualModels[channel]]) expect(text, `${tool} ${channel}`).toContain(part)
    }
})

test('a hostile key stays a text', () => {
  const hostile = `it's "$(reboot)" \`x\` \\`
  for (const channel of channels) {
    const text = snippet('curl', target(channel, hostile)).replace(/^curl/, 'printf "%s\\n"')
    expect(execFileSync('sh', ['-c', text]).toString()).toContain(hostile)
    expect(snippet('python', target(channel, hostile))).toContain(JSON.stringify(hostile))
  }
  expect(execFileSync('sh', ['-c', `printf %s ${shell(hostile)}`]).toString()).toBe(hostile)
})
