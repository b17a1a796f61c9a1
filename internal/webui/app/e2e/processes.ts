import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The AUTH_KEY of every node that is started here, and so its first proxy key. */
export const authKey = 'sk-console-7d31f0c2a94b4e58'

export interface Server {
  url: string
  stop(): Promise<void>
  /** Stops it as a crash would, and starts it again at the same address with the same data. */
  kill(): Promise<void>
  start(): Promise<void>
}

function needed(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`${name} has to name a program; ./task console:e2e builds it and sets this`)
  return value
}

async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve))
}

/** The node itself says when it is ready; it is asked until then, or until it ended. */
async function ready(url: string, child: ChildProcess, log: () => string): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`the node ended with ${child.exitCode}:\n${log()}`)
    try {
      if ((await fetch(`${url}/readyz`)).ok) return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50)) // it does not listen yet
    }
  }
}

/** startNode starts a node of its own with SQLite in an empty folder. */
export async function startNode(env: Record<string, string> = {}): Promise<Server> {
  const binary = needed('GPT_LOAD')
  const folder = mkdtempSync(join(tmpdir(), 'gpt-load-console-'))
  const url = `http://127.0.0.1:${await freePort()}`
  let child: ChildProcess
  let log = ''
  async function start() {
    child = spawn(binary, [], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: new URL(url).port, AUTH_KEY: authKey, TZ: 'UTC', SERVER_SHUTDOWN_DELAY: '0', ...env },
    })
    child.stdout?.on('data', (text: Buffer) => (log = (log + text.toString()).slice(-20_000)))
    child.stderr?.on('data', (text: Buffer) => (log = (log + text.toString()).slice(-20_000)))
    await ready(url, child, () => log)
  }
  await start()
  return {
    url,
    start,
    async kill() {
      child.kill('SIGKILL')
      await ended(child)
    },
    async stop() {
      child.kill('SIGTERM')
      await ended(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** startProvider starts a fake provider that accepts the given keys only. */
export async function startProvider(keys: string[]): Promise<{ url: string; stop(): Promise<void> }> {
  const child = spawn(needed('FAKEPROVIDER'), ['-addr', '127.0.0.1:0', '-quiet', '-keys', keys.join(',')], { stdio: ['ignore', 'pipe', 'inherit'] })
  const url = await new Promise<string>((resolve, reject) => {
    let said = ''
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString()
      const found = /listening on (http:\S+)/.exec(said)
      if (found?.[1]) resolve(found[1])
    })
    child.once('exit', (code) => reject(new Error(`the fake provider ended with ${code}`)))
  })
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      await ended(child)
    },
  }
}
