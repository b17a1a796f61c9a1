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
  await expect.poll(() => retries.evaluate((field) => field === document.activeElement)).toBe(true)
  // Only the content scrolls, never the frame around it.
  expect(await page.evaluate(() => document.documentElement.scrollHeight - innerHeight)).toBe(0)
  expect(await retries.evaluate((field) => Math.round(field.getBoundingClientRect().bottom))).toBeLessThan(640)
  await shot(page, 'settings-bounds')
  await retries.fill('7')
  await page.getByRole('group', { name: '1 change is not saved' }).getByText('max_retries').waitFor()
  expect(await page.getByRole('group', { name: '1 change is not saved' }).textContent()).toMatch(/Default: 3.*7/)
  await accessible(page, 'settings')
  await shot(page, 'settings')
  await page.getByRole('button', { name: 'Save' }).click()
  await page.getByText(/^Revision \d+ is in use on 1 of 1 node\.$/).waitFor()
  await shot(page, 'settings-saved')
  await accessible(page, 'settings, saved')
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
  await page.getByText(/^Revision \d+ is in use on 1 of 1 node\.$/).waitFor()
  expect(await setting('proxy_keys')).toMatchObject({ value: `${authKey},sk-client-00000000000000000002` })
  expect(await setting('cooldown_wait_seconds')).toMatchObject({ value: 9 })
  expect(errors).toEqual([])
  await close()
})

test('two people change the same setting, and a session ends in between', async () => {
  const { page, errors, close } = await visit(browser, { locale: 'zh-CN' })
  await signIn(page, node.url, '/settings')
  await page.getByText('一次请求在首次尝试之后最多再试几次。').waitFor()
  await page.getByLabel('max_retries', { exact: true }).fill('5')
  await page.getByLabel('connect_timeout', { exact: true }).fill('21')
  await ask(node.url, 'PATCH', '/settings', { max_retries: 9, idle_conn_timeout: 77 })
  const { sessions } = await ask<{ sessions: { id: string }[] }>(node.url, 'GET', '/sessions')
  for (const one of sessions) await ask(node.url, 'DELETE', `/sessions/${one.id}`)
  await page.getByRole('button', { name: '保存', exact: true }).click()
  const login = page.getByRole('dialog')
  await login.getByLabel('AUTH_KEY').fill(authKey)
  await login.getByRole('button', { name: '登录' }).click()
  await login.waitFor({ state: 'detached' })
  expect(await page.getByLabel('max_retries', { exact: true }).inputValue()).toBe('5')
  expect(await page.getByLabel('connect_timeout', { exact: true }).inputValue()).toBe('21')
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

test('leaving with changes is asked first; other words for the same', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/settings')
  const wait = page.getByLabel('cooldown_wait_seconds', { exact: true })
  await wait.fill('11')
  let asked = 0
  page.on('dialog', (dialog) => void (asked++, dialog.dismiss()))
  await page.getByRole('link', { name: 'Audit', exact: true }).click()
  await expect.poll(() => asked).toBe(1)
  expect(new URL(page.url()).pathname).toBe('/settings')
  expect(await wait.inputValue()).toBe('11')
  await page.getByRole('button', { name: 'Account and display' }).click()
  await page.getByLabel('Language').selectOption('ja')
  await page.keyboard.press('Escape')
  await page.getByText('未保存の変更が 1 件あります').waitFor()
  expect(await wait.inputValue()).toBe('11')
  await page.getByRole('button', { name: '変更を破棄' }).click()
  expect(await wait.inputValue()).not.toBe('11')
  await page.setViewportSize({ width: 1920, height: 1080 })
  await page.getByRole('navigation', { name: 'セクション' }).getByRole('button', { name: 'ストリーム' }).click()
  await page.getByLabel('stream_idle_timeout', { exact: true }).waitFor()
  await accessible(page, 'settings, wide')
  await shot(page, 'settings-wide')
  expect(errors).toEqual([])
  await close()
})

test('what is typed while a save is on its way stays, and is not taken for saved', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/settings')
  let answer = () => {}
  const held = new Promise<void>((resolve) => (answer = resolve))
  let arrived = () => {}
  const sent = new Promise<void>((resolve) => (arrived = resolve))
  await page.route('**/api/v1/settings', async (route) => {
    if (route.request().method() === 'PATCH') {
      arrived()
      await held
    }
    await route.continue()
  })
  await page.getByLabel('max_idle_conns', { exact: true }).fill('111')
  await page.getByRole('button', { name: 'Save' }).click()
  await sent
  await page.getByLabel('idle_conn_timeout', { exact: true }).fill('66')
  answer()
  await page.getByText('Saved', { exact: true }).waitFor()
  expect(await page.getByLabel('idle_conn_timeout', { exact: true }).inputValue()).toBe('66')
  await page.getByRole('group', { name: '1 change is not saved' }).getByText('idle_conn_timeout').waitFor()
  expect(await setting('max_idle_conns')).toMatchObject({ value: 111 })
  expect((await setting('idle_conn_timeout')).value).not.toBe(66)
  await page.getByRole('button', { name: 'Save' }).click()
  await expect.poll(() => setting('idle_conn_timeout')).toMatchObject({ value: 66 })
  expect(errors).toEqual([])
  await close()
})
