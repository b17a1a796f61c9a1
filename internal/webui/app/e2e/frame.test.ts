import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessible, launch, shot, signIn, visit } from './browser'
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

test('signing in with a wrong key, with the right one, and out', async () => {
  const { page, errors, close } = await visit(browser)
  await page.goto(node.url)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('Enter the AUTH_KEY.').waitFor()
  await page.getByLabel('AUTH_KEY of this server').fill('wrong')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('This is not the AUTH_KEY of this server.').waitFor()
  await accessible(page, 'sign in')
  await shot(page, 'sign-in')
  await page.getByLabel('AUTH_KEY of this server').fill(authKey)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('navigation', { name: 'Pages' }).waitFor()
  expect(await page.evaluate(() => JSON.stringify(localStorage) + document.cookie)).not.toContain(authKey)
  await page.getByRole('button', { name: 'Account and display' }).click()
  await page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await page.getByLabel('AUTH_KEY of this server').waitFor()
  expect(errors).toEqual([])
  await close()
})

test('language and theme are the browser’s, or what somebody chose', async () => {
  const { page, errors, close } = await visit(browser, { dark: true, locale: 'zh-CN' })
  await page.goto(node.url)
  await page.getByRole('button', { name: '登录' }).waitFor()
  expect(await page.evaluate(() => [document.documentElement.lang, document.documentElement.className])).toEqual(['zh-CN', 'dark'])
  await page.getByRole('button', { name: '账户与显示' }).click()
  await page.getByLabel('语言').selectOption('ja')
  await page.getByLabel('テーマ').selectOption('light')
  await page.reload()
  await page.getByRole('button', { name: 'サインイン' }).waitFor()
  expect(await page.evaluate(() => [document.documentElement.lang, document.documentElement.className])).toEqual(['ja', ''])
  expect(errors).toEqual([])
  await close()
})

test('an unknown page, the palette, the keyboard', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/no/such/page')
  await page.getByText('There is no such page').waitFor()
  await accessible(page, 'lost')
  await page.keyboard.press('Control+k')
  await page.keyboard.type('settings')
  await page.keyboard.press('Enter')
  await page.waitForURL('**/settings')
  await page.locator('#content').focus()
  await page.keyboard.press('g')
  await page.keyboard.press('a')
  await page.waitForURL('**/audit')
  await page.keyboard.press('?')
  await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
  await accessible(page, 'shortcuts')
  expect(errors).toEqual([])
  await close()
})

test('the first load is light and quick', async () => {
  const { page, close } = await visit(browser)
  let bytes = 0
  const sizes: Promise<void>[] = []
  page.on('response', (response) => sizes.push(response.request().sizes().then((size) => void (bytes += size.responseBodySize), () => undefined)))
  await page.goto(node.url)
  await page.getByLabel('AUTH_KEY of this server').waitFor()
  await Promise.all(sizes)
  expect(bytes).toBeGreaterThan(20_000)
  expect(bytes).toBeLessThan(250_000)
  await close()
})

test('below a path prefix that a load balancer takes away', async () => {
  const balancer = createServer((incoming, outgoing) => {
    if (!incoming.url?.startsWith('/tools/gpt-load/')) return void outgoing.writeHead(404).end()
    const on = request(node.url + incoming.url.slice('/tools/gpt-load'.length), { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    on.on('error', () => outgoing.destroy())
    outgoing.on('close', () => on.destroy())
    incoming.pipe(on)
  })
  await new Promise<void>((resolve) => balancer.listen(0, '127.0.0.1', resolve))
  const base = `http://127.0.0.1:${(balancer.address() as AddressInfo).port}/tools/gpt-load`
  const { page, errors, close } = await visit(browser)
  await signIn(page, base, '/groups')
  await page.getByRole('link', { name: 'Fleet' }).click()
  await page.waitForURL(`${base}/fleet`)
  await page.reload()
  await page.getByRole('main').getByText('single').first().waitFor()
  expect(errors).toEqual([])
  await close()
  balancer.closeAllConnections()
  balancer.close()
})
