import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessible, ask, launch, shot, signIn, visit } from './browser'
import { authKey, startNode, type Server } from './processes'

let node: Server
let browser: Browser
beforeAll(async () => {
  ;[node, browser] = await Promise.all([startNode(), launch()])
})
afterAll(async () => {
  await browser?.close()
  await node?.stop()
})

interface Setting {
  name: string
  value: unknown
  level: string
}
async function setting(name: string): Promise<Setting> {
  const { settings } = await ask<{ settings: Setting[] }>(node.url, 'GET', '/settings?reveal=true')
  return settings.find((one) => one.name === name)!
}

test('only what changed is sent, out of bounds is said at the field, and back to the default', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/settings')
  const retries = page.getByLabel('max_retries', { exact: true })
  await retries.fill('99999')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('alert').getByText('20').first().waitFor()
  await retries.fill('7')
  await page.getByText('Not saved: max_retries').waitFor()
  await accessible(page, 'settings')
  await shot(page, 'settings')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved', { exact: true }).waitFor()
  expect(await setting('max_retries')).toMatchObject({ value: 7, level: 'system' })
  expect(await setting('request_timeout')).toMatchObject({ level: 'default' })
  await page.getByRole('button', { name: 'Back to the default: max_retries' }).click()
  expect(await retries.inputValue()).toBe('3')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect.poll(() => setting('max_retries')).toMatchObject({ value: 3, level: 'default' })
  await page.getByRole('searchbox', { name: 'Search settings' }).fill('idle')
  await page.getByLabel('idle_conn_timeout', { exact: true }).waitFor()
  expect(await retries.count()).toBe(0)
  expect(new URL(page.url()).searchParams.get('q')).toBe('idle')
  expect(errors).toEqual([])
  await close()
})

test('client keys are shown on demand only', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/settings')
  await page.getByText(`****${authKey.slice(-4)}`).waitFor()
  expect(await page.content()).not.toContain(authKey)
  await page.getByLabel('cooldown_wait_seconds', { exact: true }).fill('9')
  await page.getByRole('button', { name: 'Show and edit' }).first().click()
  const keys = page.getByLabel('proxy_keys', { exact: true })
  await keys.waitFor()
  expect(await keys.inputValue()).toBe(authKey)
  expect(await page.getByLabel('cooldown_wait_seconds', { exact: true }).inputValue()).toBe('9')
  await keys.fill(`${authKey},sk-client-00000000000000000002`)
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText('Saved', { exact: true }).waitFor()
  expect(await setting('proxy_keys')).toMatchObject({ value: `${authKey},sk-client-00000000000000000002` })
  expect(await setting('cooldown_wait_seconds')).toMatchObject({ value: 9 })
  expect(errors).toEqual([])
  await close()
})

test('two people change the same setting, and a session ends in between', async () => {
  const { page, context, errors, close } = await visit(browser, { locale: 'zh-CN' })
  await signIn(page, node.url, '/settings')
  await page.getByText('一次请求在首次尝试之后最多再试几次。').waitFor()
  await page.getByLabel('max_retries', { exact: true }).fill('5')
  await page.getByLabel('connect_timeout', { exact: true }).fill('21')
  await ask(node.url, 'PATCH', '/settings', { max_retries: 9, idle_conn_timeout: 77 })
  await context.clearCookies()
  await page.getByRole('button', { name: '保存', exact: true }).click()
  const login = page.getByRole('dialog')
  await login.getByLabel('AUTH_KEY').fill(authKey)
  await login.getByRole('button', { name: '登录' }).click()
  await login.waitFor({ state: 'detached' })
  await page.getByRole('button', { name: '保存', exact: true }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByText('9', { exact: true }).waitFor()
  await dialog.getByText('5', { exact: true }).waitFor()
  await accessible(page, 'conflict of settings')
  await shot(page, 'settings-conflict')
  await dialog.getByRole('radio').nth(1).check()
  await dialog.getByRole('button').last().click()
  await expect.poll(() => setting('connect_timeout')).toMatchObject({ value: 21 })
  expect(await setting('max_retries')).toMatchObject({ value: 9 })
  expect(await setting('idle_conn_timeout')).toMatchObject({ value: 77 })
  expect(errors).toEqual([])
  await close()
})
