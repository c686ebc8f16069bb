/**
 * `npm run test:k3s`: what muster relies on of k3s, and its driver against it. On the double, or with K3S_BIN on the
 * real program. Every file makes machines, so it needs root, and they come one after the other.
 */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    name: 'k3s',
    include: ['test/k3s/**/*.test.ts'],
    globalSetup: 'test/k3s/setup.ts',
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})
