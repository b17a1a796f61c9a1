import { readFileSync } from 'node:fs'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessible, ask, launch, shot, signIn, visit } from './browser'
import { authKey, startNode, startProvider, type Server } from './processes'

let node: Server
let provider: Awaited<ReturnType<typeof startProvider>>
let browser: Browser

async function chat(model: string, body: object = {}): Promise<number> {
  const answer = await fetch(`${node.url}/proxy/alpha/v1/chat/completions`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${authKey}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], ...body }),
  })
  await answer.text().catch(() => '')
  return answer.status
}
async function recorded(n: number) {
  await expect.poll(async () => (await ask<{ records: unknown[] }>(node.url, 'GET', '/records?limit=1000')).records.length, { timeout: 20_000 }).toBe(n)
}

beforeAll(async () => {
  ;[node, provider, browser] = await Promise.all([startNode(), startProvider(['sk-good-0001']), launch()])
  await ask(node.url, 'PATCH', '/settings', { request_log_write_interval_minutes: 0, enable_request_body_logging: true })
  const { id } = await ask<{ id: string }>(node.url, 'POST', '/groups', { name: 'alpha', channel: 'openai', upstreams: [{ url: provider.url }] })
  await ask(node.url, 'POST', `/groups/${id}/keys`, { text: 'sk-good-0001' })
})
afterAll(async () => {
  await browser?.close()
  await Promise.all([node?.stop(), provider?.stop()])
})

test('an empty log, then requests by what became of them', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/requests')
  await page.getByText('No request yet').waitFor()
  await accessible(page, 'no requests')
  await shot(page, 'requests-none')

  const { groups } = await ask<{ groups: { id: string }[] }>(node.url, 'GET', '/groups')
  await ask(node.url, 'POST', `/groups/${groups[0]!.id}/keys`, { text: 'sk-dead-0002' })
  for (let i = 0; i < 4; i++) expect(await chat('gpt-4.1-nano')).toBe(200) // one of them meets the dead key
  expect(await chat('<img src=x onerror=alert(1)>')).toBe(200)
  expect(await chat('fault-400')).toBe(400)
  expect(await chat('fault-500')).toBeGreaterThanOrEqual(500)
  await recorded(7)

  const table = page.getByRole('region', { name: 'Requests' })
  await table.getByText('<img src=x onerror=alert(1)>').waitFor()
  await table.getByText("client's mistake").waitFor()
  await accessible(page, 'requests')
  await shot(page, 'requests')

  await page.getByLabel('Ended by').selectOption('client')
  await page.waitForURL('**class=client')
  await expect.poll(() => table.getByRole('link', { name: '200' }).count()).toBe(0)
  await page.reload()
  await table.getByText("client's mistake").waitFor()
  await page.getByRole('button', { name: 'Clear' }).click()
  await page.getByRole('button', { name: 'More filters' }).click()
  await page.getByLabel('Retried').selectOption('true')
  await page.waitForURL('**retried=true')
  await expect.poll(() => table.getByRole('link', { name: '200 success' }).count()).toBe(1)
  await page.getByLabel('Key ends in').fill('none')
  await page.getByText('No request fits the filters').waitFor()
  await page.getByRole('button', { name: 'Clear' }).click()
  await page.getByLabel('Status').selectOption('500-599')
  await page.waitForURL('**status_from=500**')
  await expect.poll(() => table.getByRole('link', { name: /^50/ }).count()).toBe(1)
  const download = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Export' }).click()
  await page.getByRole('menuitem', { name: 'As CSV' }).click()
  const lines = readFileSync((await (await download).path())!, 'utf8').trim().split('\n')
  expect(lines).toHaveLength(2)
  expect(errors).toEqual([])
  await close()
})

test('a request tells what happened, with its bodies, and as curl without a key', async () => {
  const { page, context, errors, close } = await visit(browser)
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await signIn(page, node.url, '/requests?retried=true')
  const link = page.getByRole('region', { name: 'Requests' }).getByRole('link', { name: '200 success' })
  await expect.poll(() => link.count()).toBe(1)
  await link.click()
  const drawer = page.getByRole('complementary', { name: 'Request' })
  await drawer.getByText('key is dead').waitFor()
  await drawer.getByText('It went on with another attempt.').waitFor()
  await drawer.getByText(/^The client got 200 after/).waitFor()
  await drawer.getByText('"content": "hello"').waitFor()
  await accessible(page, 'request')
  await shot(page, 'request')
  await drawer.getByRole('button', { name: 'Copy as curl' }).click()
  await drawer.getByText('Copied').waitFor()
  const curl = await page.evaluate(() => navigator.clipboard.readText())
  expect(curl).toContain('/proxy/alpha/v1/chat/completions')
  expect(curl).not.toContain(authKey)
  await page.goto(`${node.url}/requests/req_nothing`)
  await page.getByText('This request is not recorded').waitFor()
  expect(errors.filter((text) => !text.includes('404'))).toEqual([])
  await close()
})

test('a live tail shows what comes, and can be held', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/requests')
  await page.getByRole('button', { name: 'Live tail' }).click()
  await page.waitForURL('**tail=live')
  const table = page.getByRole('region', { name: 'Requests' })
  await table.getByText("client's mistake").waitFor() // the newest ones to begin with
  await chat('tail-one')
  await table.getByText('tail-one').waitFor()
  await page.getByRole('button', { name: 'Hold' }).click()
  await chat('tail-two')
  await page.getByText('Held; 1 waits').waitFor()
  expect(await table.getByText('tail-two').count()).toBe(0)
  await page.getByRole('button', { name: 'Go on' }).click()
  await table.getByText('tail-two').waitFor()
  await accessible(page, 'live tail')
  expect(errors).toEqual([])
  await close()
})
