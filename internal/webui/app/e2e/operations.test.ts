import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessible, ask, launch, shot, signIn, visit } from './browser'
import { startNode, startProvider, type Server } from './processes'

let node: Server
let provider: Awaited<ReturnType<typeof startProvider>>
let browser: Browser
let group = ''
beforeAll(async () => {
  ;[node, provider, browser] = await Promise.all([startNode(), startProvider(['sk-good-one', 'sk-good-two']), launch()])
  group = (await ask<{ id: string }>(node.url, 'POST', '/groups', { name: 'alpha', channel: 'openai', upstreams: [{ url: provider.url }] })).id
  await ask(node.url, 'POST', `/groups/${group}/keys`, { text: Array.from({ length: 300 }, (_, i) => `sk-many-${i}-0000`).join('\n') })
})
afterAll(async () => {
  await browser?.close()
  await Promise.all([node?.stop(), provider?.stop()])
})

test('nothing yet, then progress, a stop, and what is left of it', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/operations')
  await page.getByText('No operation yet').waitFor()
  await accessible(page, 'no operations')
  const operation = await ask<{ id: string }>(node.url, 'POST', `/groups/${group}/operations`, { kind: 'validation', per_second: 10 })
  await page.getByRole('link', { name: 'Test', exact: true }).click()
  await page.waitForURL(`**/operations/${operation.id}`)
  const drawer = page.getByRole('complementary', { name: 'Test: alpha' })
  await drawer.getByText('of 300').waitFor()
  await drawer.getByText('key is dead').waitFor()
  await drawer.getByText('AUTH_KEY').waitFor() // who began it, by a program
  await accessible(page, 'operation')
  await shot(page, 'operation')
  await drawer.getByRole('button', { name: 'Stop the operation' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Stop the operation' }).click()
  await drawer.getByText('stopped', { exact: true }).waitFor()
  const download = page.waitForEvent('download')
  await drawer.getByRole('link', { name: 'Download the result' }).click()
  expect((await download).suggestedFilename()).toMatch(/\.jsonl$/)
  await page.keyboard.press('Escape')
  await page.waitForURL('**/operations')
  expect(errors).toEqual([])
  await close()
})

test('filters stand in the address; what was rejected is listed with its reason', async () => {
  const { page, errors, close } = await visit(browser)
  const key = 'x'.repeat(20_000)
  const operation = await ask<{ id: string }>(node.url, 'POST', `/groups/${group}/keys/import`, `sk-good-one\n${key}\nsk-good-two\n`, 'text/plain')
  await signIn(page, node.url, '/operations')
  await page.getByLabel('Kind').selectOption('import')
  await page.waitForURL('**kind=import')
  await page.reload()
  const table = page.getByRole('region', { name: 'Operations' })
  await table.getByText('2 added').waitFor()
  expect(await table.getByText('stopped').count()).toBe(0)
  await shot(page, 'operations')
  await table.getByRole('link', { name: 'Import' }).click()
  await page.waitForURL(`**/operations/${operation.id}?kind=import`)
  await page.getByRole('region', { name: 'rejected' }).getByText('2', { exact: true }).waitFor()
  await accessible(page, 'operation with rejects')
  await page.getByLabel('State').selectOption('failed')
  await page.getByText('No operation fits the filters.').waitFor()
  expect(errors).toEqual([])
  await close()
})

test('what is under way stands above what ended later, in the dark as well', async () => {
  const { page, errors, close } = await visit(browser, { dark: true, width: 1920, height: 1080 })
  const { operations } = await ask<{ operations: { id: string; state: string }[] }>(node.url, 'GET', '/operations')
  expect(operations.every((one) => ['succeeded', 'canceled'].includes(one.state))).toBe(true)
  const running = await ask<{ id: string }>(node.url, 'POST', `/groups/${group}/operations`, { kind: 'validation', per_second: 5 })
  const file = await ask<{ id: string }>(node.url, 'POST', `/groups/${group}/operations`, { kind: 'export', reveal: true, format: 'text' })
  await signIn(page, node.url, '/operations')
  const table = page.getByRole('region', { name: 'Operations' })
  await table.getByRole('row', { name: /Export.*done/ }).waitFor()
  const rows = await table.getByRole('row').allTextContents()
  expect(rows.findIndex((row) => row.includes('running'))).toBeLessThan(rows.findIndex((row) => row.includes('Export')))
  await accessible(page, 'operations in the dark')
  await shot(page, 'operations-wide')
  await table.getByRole('link', { name: 'Export' }).click()
  await page.waitForURL(`**/operations/${file.id}`)
  await accessible(page, 'export in the dark')
  const download = page.waitForEvent('download')
  await page.getByRole('link', { name: 'Download the keys' }).click()
  await download
  await ask(node.url, 'POST', `/operations/${running.id}/cancel`)
  expect(errors).toEqual([])
  await close()
})
