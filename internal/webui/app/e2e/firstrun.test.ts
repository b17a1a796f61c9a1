import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessible, ask, launch, shot, signIn, visit } from './browser'
import { startNode, startProvider, type Server } from './processes'

const run = promisify(execFile)
const goodKeys = ['sk-first-run-good-1', 'sk-first-run-good-2']

let node: Server
let provider: Awaited<ReturnType<typeof startProvider>>
let browser: Browser
beforeAll(async () => {
  ;[node, provider, browser] = await Promise.all([startNode(), startProvider(goodKeys), launch()])
  await ask(node.url, 'PATCH', '/settings', { request_log_write_interval_minutes: 0 })
})
afterAll(async () => {
  await browser?.close()
  await Promise.all([node?.stop(), provider?.stop()])
})

async function copied(page: Page): Promise<string> {
  const box = page.getByRole('tabpanel').locator('..')
  await box.getByRole('button', { name: 'Copy' }).click()
  await box.getByRole('button', { name: 'Copied' }).waitFor()
  await box.getByRole('button', { name: 'Copy' }).waitFor() // it can be pressed again
  return await page.evaluate(() => navigator.clipboard.readText())
}

test('from an empty database to a successful call of an SDK', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/start')
  await page.getByRole('heading', { name: 'Create a group' }).waitFor()
  await accessible(page, 'start')
  await shot(page, 'start-light')

  await page.getByLabel('Another one, compatible').check()
  await page.getByLabel('Name').fill('')
  await page.getByRole('button', { name: 'Create the group' }).click()
  await page.getByText('Enter a name').waitFor()
  await page.getByText('Enter the base URL').waitFor()
  await page.getByLabel('Name').fill('my <b>group')
  await page.getByLabel('Base URL of the provider').fill(provider.url)
  await page.getByRole('button', { name: 'Create the group' }).click()
  await page.getByRole('alert').first().waitFor() // what the server says of the name
  await page.getByLabel('Name').fill('first')
  await page.getByRole('textbox', { name: /^Keys/ }).fill(`${goodKeys.join('\n')}\nsk-first-run-dead`)
  await page.getByRole('button', { name: 'Create the group and test the keys' }).click()
  await page.getByText('2 of 3 work').waitFor()
  await page.getByText('3 keys added').waitFor()
  await page.getByText('Waiting for the first request').waitFor()
  await accessible(page, 'start, tested')
  await shot(page, 'start-tested-light')

  await page.getByRole('tab', { name: 'Node' }).click()
  await page.getByRole('tabpanel').waitFor()
  expect(await page.getByRole('tabpanel').textContent()).not.toContain('sk-console-')
  const program = await copied(page)
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: new URL('..', import.meta.url).pathname })
  expect(stdout.trim()).not.toBe('')

  await page.getByText('The first request came through').waitFor()
  await shot(page, 'start-arrived-light')
  await page.getByRole('tab', { name: 'curl' }).click()
  const command = await copied(page)
  const answer = await run('sh', ['-c', `${command} -sS --noproxy '*'`])
  expect(JSON.parse(answer.stdout)).toMatchObject({ object: 'chat.completion' })
  expect(errors).toEqual([])
  await close()
})

test('client keys say what they open', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, '/clients')
  await page.getByText('every group').waitFor()
  await page.getByRole('cell', { name: 'every group' }).click()
  await page.getByRole('heading', { name: 'first' }).waitFor()
  await accessible(page, 'client keys')
  await shot(page, 'clients-light')
  await page.keyboard.press('Escape')
  await page.getByRole('heading', { name: 'first' }).waitFor({ state: 'detached' })
  expect(errors).toEqual([])
  await close()
})
