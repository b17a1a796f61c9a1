import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { accessible, ask, launch, shot, signIn, visit } from './browser'
import { authKey, startNode, startProvider, type Server } from './processes'

let node: Server
let provider: Awaited<ReturnType<typeof startProvider>>
let browser: Browser
let group = ''
let many = ''
const folder = mkdtempSync(join(tmpdir(), 'gpt-load-keys-'))
beforeAll(async () => {
  ;[node, provider, browser] = await Promise.all([startNode(), startProvider(['sk-good-0001', 'sk-good-0002']), launch()])
  const create = async (name: string) => (await ask<{ id: string }>(node.url, 'POST', '/groups', { name, channel: 'openai', upstreams: [{ url: provider.url }] })).id
  group = await create('alpha')
  many = await create('many')
})
afterAll(async () => {
  await browser?.close()
  await Promise.all([node?.stop(), provider?.stop()])
  rmSync(folder, { recursive: true })
})

const rowOf = (page: Page, tail: string) => page.getByRole('row').filter({ has: page.getByRole('link', { name: `****${tail}` }) })
async function counts(id: string): Promise<Record<string, number>> {
  return (await ask<{ key_counts: Record<string, number> }>(node.url, 'GET', `/groups/${id}`)).key_counts
}

test('keys are pasted with junk between, tested, and what was rejected is told', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, `/keys?group=${group}`)
  await page.getByText('This group has no keys yet').waitFor()
  await accessible(page, 'no keys')
  await page.getByRole('button', { name: 'Add keys' }).first().click()
  const dialog = page.getByRole('dialog', { name: 'Add keys to alpha' })
  await dialog.getByLabel('Keys').fill(`sk-good-0001\nsk-good-0002, sk-dead-0003\nsk-dead-0004 sk-good-0001;sk-dead-0005\n${'x'.repeat(9000)}\n`)
  await accessible(page, 'add keys')
  await shot(page, 'keys-add')
  await dialog.getByRole('button', { name: /^Add \d+ lines/ }).click()
  await dialog.getByRole('region', { name: 'rejected' }).waitFor()
  await shot(page, 'keys-added')
  await dialog.getByRole('button', { name: 'Test 5 new keys' }).click()
  await page.getByText('2 work, 3 do not').waitFor()
  await accessible(page, 'verdicts')
  await page.keyboard.press('Escape')
  await rowOf(page, '0003').getByText('invalid').first().waitFor()
  await accessible(page, 'keys')
  await shot(page, 'keys')
  expect(errors).toEqual([])
  await close()
})

test('one key: why it stands so, its notes, its value on demand', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, `/keys?group=${group}`)
  await page.getByRole('link', { name: '****0005' }).click()
  const drawer = page.getByRole('complementary', { name: 'Key ****0005' })
  await drawer.getByText('Incorrect API key provided').waitFor()
  await drawer.getByLabel('Notes').fill('<b>bought</b> in May')
  await drawer.getByRole('button', { name: 'Save' }).click()
  await expect.poll(async () => (await ask<{ keys: { notes: string }[] }>(node.url, 'GET', `/groups/${group}/keys`)).keys.map((key) => key.notes)).toContain('<b>bought</b> in May')
  expect(await page.content()).not.toContain('sk-dead-0005')
  await drawer.getByRole('button', { name: 'Show' }).click()
  await drawer.getByText('sk-dead-0005').waitFor()
  await accessible(page, 'key')
  await shot(page, 'key')
  await drawer.getByRole('button', { name: 'Hide' }).click()
  await drawer.getByRole('button', { name: 'Disable' }).click()
  await drawer.getByText('disabled').first().waitFor()
  await drawer.getByRole('button', { name: 'Enable' }).click()
  await drawer.getByText('active').first().waitFor()
  await drawer.getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete 1 key' }).click()
  await page.waitForURL((url) => url.pathname === '/keys')
  await expect.poll(() => page.getByRole('link', { name: '****0005' }).count()).toBe(0)
  expect(errors).toEqual([])
  await close()
})

test('acts on some keys and on all that match, with the count first and a way back', async () => {
  const { page, errors, close } = await visit(browser)
  await signIn(page, node.url, `/keys?group=${group}`)
  await page.getByRole('button', { name: /^invalid/ }).click()
  await page.waitForURL('**state=invalid')
  await expect.poll(() => page.getByRole('link', { name: '****0001' }).count()).toBe(0)
  await page.reload()
  await page.getByRole('checkbox', { name: 'Select all rows shown' }).check()
  await page.getByRole('button', { name: 'Restore' }).click()
  await page.getByRole('dialog').getByText('****0003').waitFor()
  await accessible(page, 'restore')
  await page.getByRole('dialog').getByRole('button', { name: 'Restore 2 keys' }).click()
  await page.getByText('Restored 2 keys').waitFor()
  expect(await counts(group)).toMatchObject({ active: 4, invalid: 0 })
  await page.getByRole('button', { name: 'Undo' }).click()
  await expect.poll(() => counts(group)).toMatchObject({ active: 2, invalid: 2 })

  await page.getByRole('button', { name: /^All/ }).first().click()
  await rowOf(page, '0001').getByRole('checkbox').check()
  await page.getByRole('button', { name: 'Disable', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Disable 1 key' }).click()
  await expect.poll(() => counts(group)).toMatchObject({ disabled: 1 })
  await rowOf(page, '0001').getByRole('checkbox').check()
  await page.getByRole('button', { name: 'Enable', exact: true }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Enable 1 key' }).click()
  await expect.poll(() => counts(group)).toMatchObject({ disabled: 0 })

  await page.getByRole('checkbox', { name: 'Select all rows shown' }).check()
  await page.getByRole('button', { name: 'Test now' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Test 4 keys' }).click()
  await page.getByText('2 work, 2 do not').waitFor()
  await page.keyboard.press('Escape')

  // A key that is out of quota for a while, and is let out of its rest.
  const rests = async () => (await ask<{ keys: { state: string }[] }>(node.url, 'GET', `/groups/${group}/keys?state=cooling`)).keys.length
  await fetch(`${node.url}/proxy/alpha/v1/chat/completions`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${authKey}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ model: 'fault-429-quota', messages: [] }),
  })
  await expect.poll(rests).toBeGreaterThan(0)
  await page.getByRole('button', { name: /^cooling/ }).click()
  await page.waitForURL('**state=cooling')
  await rowOf(page, '0003').waitFor({ state: 'detached' })
  await page.getByRole('checkbox', { name: 'Select all rows shown' }).check()
  await page.getByRole('button', { name: 'More' }).click()
  await page.getByRole('menuitem', { name: 'Reset cool-downs' }).click()
  await page.getByRole('dialog').getByRole('button', { name: /^Reset \d/ }).click()
  await expect.poll(rests).toBe(0)
  await page.getByRole('button', { name: /^All/ }).first().click()
  await rowOf(page, '0003').waitFor()

  await page.getByRole('checkbox', { name: 'Select all rows shown' }).check()
  await page.getByRole('button', { name: 'More' }).click()
  await page.getByRole('menuitem', { name: 'Set weight, notes, tags' }).click()
  await page.getByRole('dialog').getByLabel('Weight').fill('7')
  await page.getByRole('dialog').getByLabel('Add tags').fill('paid')
  await page.getByRole('dialog').getByRole('button', { name: 'Change 4 keys' }).click()
  await page.getByText('Changed 4 keys').waitFor()
  const { keys } = await ask<{ keys: { weight: number; tags: string[] }[] }>(node.url, 'GET', `/groups/${group}/keys`)
  expect(keys.map((key) => [key.weight, key.tags])).toEqual(Array(4).fill([7, ['paid']]))
  expect(errors).toEqual([])
  await close()
})

test('a file of 50 MB: progress, a table that stays smooth, an export, everything deleted by name', async () => {
  const { page, errors, close } = await visit(browser)
  const file = join(folder, 'keys.txt')
  const lines = Array.from({ length: 950_000 }, (_, i) => `sk-many-${String(i * 7919 % 950_000).padStart(8, '0')}-abcdefghijklmnopqrstuvwxyz0123456789`)
  writeFileSync(file, lines.join('\n'))
  await signIn(page, node.url, `/keys?group=${many}`)
  await page.getByRole('button', { name: 'Add keys' }).first().click()
  await page.locator('input[type=file]').setInputFiles(file)
  await page.getByRole('button', { name: 'Import the file' }).click()
  await page.getByText(/of 950,000/).first().waitFor()
  await accessible(page, 'import under way')
  await shot(page, 'keys-importing')
  await page.getByRole('dialog').getByRole('button', { name: 'Stop', exact: true }).click()
  await page.getByRole('dialog').getByText('stopped').waitFor()
  await page.getByRole('dialog').getByRole('button', { name: 'Close' }).last().click()
  const table = page.getByRole('region', { name: 'Keys' })
  await table.getByRole('link').first().waitFor()
  // The table reads on as it is scrolled, and holds no more rows than the view.
  for (let i = 0; i < 30; i++) {
    await table.evaluate((element) => (element.scrollTop = element.scrollHeight))
    await page.waitForTimeout(30) // as fast as somebody scrolls
  }
  await expect.poll(async () => Number(/([\d,]+) (?:of .* )?loaded/.exec((await page.getByRole('main').textContent()) ?? '')?.[1]?.replaceAll(',', ''))).toBeGreaterThan(500)
  expect(await table.getByRole('row').count()).toBeLessThan(120)

  await page.getByRole('button', { name: 'Export' }).click()
  await page.getByRole('dialog').getByLabel('Write the keys in clear').check()
  await page.getByRole('dialog').getByRole('button', { name: 'Export' }).click()
  const link = page.getByRole('link', { name: 'Download the keys' })
  await link.waitFor()
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()])
  expect(readFileSync((await download.path())!, 'utf8')).toContain('sk-many-')

  await page.getByRole('checkbox', { name: 'Select all rows shown' }).check()
  await page.getByRole('button', { name: /^Select all/ }).click()
  await page.getByRole('button', { name: 'More' }).click()
  await page.getByRole('menuitem', { name: 'Delete' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Type many to confirm').fill('many')
  await dialog.getByRole('button', { name: /^Delete / }).click()
  await expect.poll(() => counts(many), { timeout: 60_000 }).toMatchObject({ active: 0 })
  expect(errors).toEqual([])
  await close()
})
