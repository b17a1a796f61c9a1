import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessible, ask, launch, shot, signIn, visit } from './browser'
import { authKey, startNode, startProvider, type Server } from './processes'

let node: Server
let provider: Awaited<ReturnType<typeof startProvider>>
let browser: Browser
beforeAll(async () => {
  ;[node, provider, browser] = await Promise.all([startNode(), startProvider(['sk-good-0001', 'sk-good-0002']), launch()])
  await ask(node.url, 'PATCH', '/settings', { request_log_write_interval_minutes: 0 })
})
afterAll(async () => {
  await browser?.close()
  await Promise.all([node?.stop(), provider?.stop()])
})

async function chat(group: string, model: string): Promise<void> {
  const answer = await fetch(`${node.url}/proxy/${group}/v1/chat/completions`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${authKey}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] }),
  })
  await answer.text()
}

test('from nothing to a live picture of what is served', async () => {
  const { page, errors, close } = await visit(browser, { height: 1400 })
  await signIn(page, node.url, '/')
  await page.getByRole('main').getByRole('link').first().waitFor()
  await accessible(page, 'empty overview')
  await shot(page, 'overview-empty')

  const ids: string[] = []
  for (const name of ['alpha', 'beta']) {
    const { id } = await ask<{ id: string }>(node.url, 'POST', '/groups', { name, channel: 'openai', upstreams: [{ url: provider.url }] })
    await ask(node.url, 'POST', `/groups/${id}/keys`, { text: 'sk-good-0001\nsk-good-0002\nsk-dead-0003' })
    ids.push(id)
  }
  // Nobody loads the page again: the server tells.
  await page.getByRole('link', { name: 'alpha' }).first().waitFor()
  for (let i = 0; i < 30; i++) await chat(i % 3 ? 'alpha' : 'beta', i % 2 ? 'gpt-4.1-nano' : 'gpt-4.1')
  for (let i = 0; i < 3; i++) await chat('beta', 'fault-500')
  await chat('alpha', 'fault-429')
  await expect.poll(async () => (await page.getByRole('main').textContent()) ?? '', { timeout: 30_000 }).toContain('34')
  await page.getByText('****0003').first().waitFor()
  await accessible(page, 'overview')
  await shot(page, 'overview')
  expect(errors).toEqual([])
  await close()
})

test('what is shown is marked as old while the server is away', async () => {
  const { page, close } = await visit(browser)
  await signIn(page, node.url, '/')
  await page.getByRole('link', { name: 'alpha' }).first().waitFor()
  await node.kill()
  await page.getByText('The server does not answer. What you see is from before.').waitFor()
  await page.getByRole('link', { name: 'alpha' }).first().waitFor()
  await node.start()
  await page.getByText('The server does not answer. What you see is from before.').waitFor({ state: 'detached' })
  await close()
})
