import { defineConfig } from 'vitest/config'

// A real Chromium against the real binary. One browser and one file at a time: the machine is the node's as well.
export default defineConfig({
  test: { environment: 'node', include: ['e2e/**/*.test.ts'], fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 },
})
