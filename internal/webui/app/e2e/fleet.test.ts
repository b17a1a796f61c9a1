import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessible, ask, launch, shot, signIn, visit } from './browser'
import { startNode, type Server } from './processes'

let node: Server
let browser: Browser
beforeAll(async () => {
  ;[node, browser] = await Promise.all([startNode(), launch()])
})
afterAll(async () => {
  await browser?.close()
  await node?.stop()
})

test('the fleet: the node and its health; sessions can be ended', async () => {
  const other = await visit(browser)
  await signIn(other.page, node.url, '/groups')
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/fleet')
  await page.getByRole('main').getByText('single').first().waitFor()
  await accessible(page, 'fleet')
  await shot(page, 'fleet')
  await expect.poll(async () => (await ask<{ sessions: unknown[] }>(node.url, 'GET', '/sessions')).sessions.length).toBe(2)
  const sessions = page.getByRole('row').filter({ has: page.getByRole('button', { name: 'End', exact: true }) })
  await expect.poll(() => sessions.count()).toBe(2)
  const theirs = sessions.filter({ hasNotText: /this|your/i })
  await theirs.getByRole('button', { name: 'End', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'End' }).click()
  await expect.poll(async () => (await ask<{ sessions: unknown[] }>(node.url, 'GET', '/sessions')).sessions.length).toBe(1)
  await other.page.getByRole('dialog', { name: 'Your session has ended' }).waitFor()
  expect(errors).toEqual([])
  await close()
  await other.close()
})

test('the audit: filters in the address, what changed, and the way back', async () => {
  const { page, errors, close } = await visit(browser)
  await ask(node.url, 'PATCH', '/settings', { max_retries: 8 })
  await ask(node.url, 'POST', '/groups', { name: 'alpha', channel: 'openai', upstreams: [{ url: 'https://api.example.com' }], description: '<b>first</b>' })
  await signIn(page, node.url, '/audit')
  const table = page.getByRole('region', { name: 'Events' })
  await table.getByRole('link', { name: 'Group created' }).waitFor()
  await accessible(page, 'audit')
  await shot(page, 'audit')
  await page.getByLabel('About').or(page.getByRole('search').getByRole('combobox')).first().selectOption('settings')
  await page.waitForURL('**noun=settings**')
  await page.reload()
  await expect.poll(() => table.getByRole('link', { name: 'Group created' }).count()).toBe(0)
  await table.getByRole('link', { name: 'Settings changed' }).first().click()
  const drawer = page.getByRole('complementary')
  await drawer.getByText('max_retries').waitFor()
  await accessible(page, 'event')
  await shot(page, 'event')
  await drawer.getByRole('button', { name: 'Undo' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Undo' }).click()
  await page.getByText('Undone: 1 thing put back').waitFor()
  const { settings } = await ask<{ settings: { name: string; value: unknown }[] }>(node.url, 'GET', '/settings')
  expect(settings.find((one) => one.name === 'max_retries')?.value).toBe(3)
  expect(errors).toEqual([])
  await close()
})
