import { createRequire } from 'node:module'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { expect } from 'vitest'
import { authKey } from './processes'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const screenshots = new URL('../screenshots', import.meta.url).pathname

export interface Visit {
  page: Page
  context: BrowserContext
  /** Errors of the page and of the browser's console so far, those of its policy included. */
  errors: string[]
  close(): Promise<void>
}

export async function launch(): Promise<Browser> {
  return await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-proxy-server'],
  })
}

/** visit opens a window of its own, with nothing remembered. */
export async function visit(browser: Browser, options: { dark?: boolean; locale?: string; width?: number; height?: number } = {}): Promise<Visit> {
  const context = await browser.newContext({
    colorScheme: options.dark ? 'dark' : 'light',
    locale: options.locale ?? 'en-GB',
    timezoneId: 'Europe/Berlin',
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    reducedMotion: 'reduce',
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  const page = await context.newPage()
  page.setDefaultTimeout(30_000)
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    // The browser itself writes a line for each answer of 400 and above; whether one was expected is for the test to say.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) errors.push(message.text())
  })
  return { page, context, errors, close: () => context.close() }
}

/** signIn opens the console and signs in as an operator would. */
export async function signIn(page: Page, base: string, path = '/'): Promise<void> {
  await page.goto(base + path)
  const key = page.getByLabel('AUTH_KEY') // in every language
  await key.fill(authKey)
  await key.press('Enter')
  await page.getByRole('navigation').first().waitFor({ state: 'attached' })
}

/** shot keeps pictures of the page as build output: light, dark, and as a phone shows it. */
export async function shot(page: Page, name: string): Promise<void> {
  mkdirSync(screenshots, { recursive: true })
  const size = page.viewportSize()
  const before = await page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'))
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await expect.poll(() => page.evaluate(() => document.documentElement.classList.contains('dark'))).toBe(colorScheme === 'dark')
    await page.screenshot({ path: join(screenshots, `${name}-${colorScheme}.png`) })
  }
  await page.emulateMedia({ colorScheme: before })
  await page.setViewportSize({ width: 390, height: 844 })
  await page.screenshot({ path: join(screenshots, `${name}-phone.png`) })
  if (size) await page.setViewportSize(size)
}

/** accessible holds a page to WCAG 2 A and AA, as far as a program can see. */
export async function accessible(page: Page, name: string): Promise<void> {
  await page.evaluate(axe)
  const found = await page.evaluate(async () => {
    const run = (window as unknown as { axe: { run(options: object): Promise<{ violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }> } }).axe
    const result = await run.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'] })
    return result.violations.map((v) => `${v.impact} ${v.id}: ${v.nodes.map((n) => `${n.html.slice(0, 200)}\n   ${n.failureSummary}`).join('\n  ')}`)
  })
  expect(found, `accessibility of ${name}`).toEqual([])
}

/** ask calls the admin API as a program would. */
export async function ask<T>(base: string, method: string, path: string, body?: unknown, type = 'application/json'): Promise<T> {
  const answer = await fetch(`${base}/api/v1${path}`, {
    method,
    headers: { Authorization: `Bearer ${authKey}`, 'Content-Type': type },
    body: typeof body === 'string' || body === undefined ? body : JSON.stringify(body),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return (text ? JSON.parse(text) : undefined) as T
}
